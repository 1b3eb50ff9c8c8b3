import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startIssuer } from "../../../test/oidc/issuer.ts";
import { createMemoryStore } from "../../../test/oidc/memory-store.ts";
import { startWebhook } from "../../../test/oidc/webhook.ts";
import { systemClock } from "../../clock.ts";
import { jwtAuthenticators } from "../../resources/jwt-authenticator.ts";
import type { JWTAuthenticatorSpec } from "../../resources/jwt-authenticator.ts";
import { webhookAuthenticators } from "../../resources/webhook-authenticator.ts";
import type { WebhookAuthenticatorSpec } from "../../resources/webhook-authenticator.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createAuthenticatorCache } from "../authenticators/authenticator-cache.ts";
import { AUTHENTICATION_GROUP } from "../authenticators/authenticator.ts";
import { withoutProxy } from "../authenticators/outbound-proxy.ts";
import { createJwtAuthenticatorController } from "./jwt-authenticator-controller.ts";
import { createWebhookAuthenticatorController } from "./webhook-authenticator-controller.ts";

const certificate = await createLoopbackCertificate();
const issuer = await startIssuer({ users: [], certificate });
const webhook = await startWebhook({
  tokens: { good: { username: "jane", groups: ["ops"] } },
  certificate,
});
after(() => Promise.all([issuer.stop(), webhook.stop()]));
const { signal } = new AbortController();
const tls = { certificateAuthorityData: Buffer.from(certificate.caPem).toString("base64") };

type ExtraJwtSpec = Partial<JWTAuthenticatorSpec>;
type ExtraWebhookSpec = Partial<WebhookAuthenticatorSpec>;

/** Both kinds over one store. */
function setUp() {
  const store = createMemoryStore();
  const cache = createAuthenticatorCache();
  const reported: string[] = [];
  const options = {
    store,
    cache,
    namespace: "concierge",
    clock: systemClock,
    log: silentLogger,
    proxyForUrl: withoutProxy,
    apiGroupSuffix: "pinniped.dev",
    metrics: {
      jwksFetched: (name: string, succeeded: boolean) => reported.push(`${name} ${succeeded}`),
      jwksForgotten: (name: string) => reported.push(`${name} forgotten`),
    },
  };
  const controllers = [
    createJwtAuthenticatorController(options),
    createWebhookAuthenticatorController(options),
  ];
  const metadata = { name: "x", uid: "u", generation: 1 };
  const apiVersion = `${AUTHENTICATION_GROUP}/v1alpha1`;
  const views = {
    JWTAuthenticator: store.view(jwtAuthenticators),
    WebhookAuthenticator: store.view(webhookAuthenticators),
  };
  return {
    store,
    reported,
    controllers,
    jwt: (spec: ExtraJwtSpec) => {
      const status = views.JWTAuthenticator.get({ name: "x" })?.status;
      store.put(jwtAuthenticators, {
        apiVersion,
        kind: "JWTAuthenticator",
        metadata,
        spec: { issuer: issuer.issuerUrl, audience: issuer.clientId, tls, ...spec },
        ...(status === undefined ? {} : { status }),
      });
    },
    webhook: (spec: ExtraWebhookSpec) => {
      const status = views.WebhookAuthenticator.get({ name: "x" })?.status;
      store.put(webhookAuthenticators, {
        apiVersion,
        kind: "WebhookAuthenticator",
        metadata,
        spec: { endpoint: webhook.endpoint, tls, ...spec },
        ...(status === undefined ? {} : { status }),
      });
    },
    sync: async () => {
      for (const controller of controllers) {
        await controller.reconcile(signal);
      }
    },
    cached: (kind: keyof typeof views) => cache.get({ apiGroup: AUTHENTICATION_GROUP, kind, name: "x" }),
    conditions: (kind: keyof typeof views) =>
      Object.fromEntries(
        (views[kind].get({ name: "x" })?.status?.conditions ?? []).map((condition) => [
          condition.type,
          `${condition.status} ${condition.reason} ${condition.message}`,
        ]),
      ),
    phase: (kind: keyof typeof views) => views[kind].get({ name: "x" })?.status?.phase,
  };
}

const kinds = ["JWTAuthenticator", "WebhookAuthenticator"] as const;
const tokenOf = async (kind: (typeof kinds)[number]): Promise<string> =>
  kind === "WebhookAuthenticator" ? "good" : await issuer.signToken({ username: "jane", groups: ["ops"] });
const good = {
  constants: [{ name: "prefix", type: "string" as const, stringValue: "corp:" }],
  expressions: [{ type: "username/v1" as const, expression: "strConst.prefix + username" }],
  examples: [{ username: "a", groups: ["g"], expects: { username: "corp:a", groups: ["g"] } }],
};

test("transforms have conditions while they are there, and run at login, for both kinds", async () => {
  const bench = setUp();
  bench.jwt({ transforms: good });
  bench.webhook({ transforms: good });
  await bench.sync();
  for (const kind of kinds) {
    const { TransformsExpressionsValid, TransformsExamplesValid, ClaimExpressionsValid, Ready } =
      bench.conditions(kind);
    assert.equal(
      TransformsExpressionsValid,
      "True Success the expressions specified by .spec.transforms.expressions[] are valid",
    );
    assert.equal(
      TransformsExamplesValid,
      "True Success the examples specified by .spec.transforms.examples[] had no errors",
    );
    assert.equal(ClaimExpressionsValid, undefined);
    assert.equal(Ready, `True Success the ${kind} is ready`);
    const identity = await bench.cached(kind)?.authenticate(await tokenOf(kind), signal);
    assert.equal(identity?.username, "corp:jane");
  }
  bench.jwt({});
  bench.webhook({});
  await bench.sync();
  for (const kind of kinds) {
    assert.deepEqual(
      Object.keys(bench.conditions(kind)).filter((type) => type.startsWith("Transforms")),
      [],
    );
    assert.equal((await bench.cached(kind)?.authenticate(await tokenOf(kind), signal))?.username, "jane");
  }
});

test("bad expressions and failed examples are said with their paths", async () => {
  const bench = setUp();
  const transforms = {
    expressions: [
      { type: "policy/v1" as const, expression: "username" },
      { type: "groups/v1" as const, expression: "groups" },
      { type: "username/v1" as const, expression: " " },
    ],
  };
  bench.webhook({ transforms });
  bench.jwt({
    transforms: {
      ...good,
      examples: [
        { username: "a", expects: { username: "a" } },
        { username: "b", expects: { username: "corp:b" } },
        { username: "c", expects: { rejected: true } },
      ],
    },
  });
  await bench.sync();
  const expressions = bench.conditions("WebhookAuthenticator");
  assert.equal(
    expressions["TransformsExpressionsValid"],
    'False InvalidTransformsExpressions .spec.transforms.expressions[0].expression was invalid:\nCEL expression should return type "bool" but returns type "string"\n\n.spec.transforms.expressions[2].expression was invalid:\ncannot compile empty CEL expression',
  );
  assert.equal(
    expressions["TransformsExamplesValid"],
    "False TransformsExamplesFailed unable to check if the examples specified by .spec.transforms.examples[] had errors because an expression was invalid",
  );
  assert.equal(expressions["AuthenticatorValid"], "True Success authenticator initialized");
  const examples = bench.conditions("JWTAuthenticator");
  assert.equal(
    examples["TransformsExamplesValid"],
    'False TransformsExamplesFailed .spec.transforms.examples[0] example failed:\nexpected: username "a"\nactual:   username "corp:a"\n\n.spec.transforms.examples[2] example failed:\nexpected: authentication to be rejected\nactual:   authentication was not rejected',
  );
  for (const kind of kinds) {
    assert.equal(bench.phase(kind), "Error");
    assert.equal(bench.cached(kind), undefined);
  }
});

test("claim expressions have a condition while they are there", async () => {
  const bench = setUp();
  bench.jwt({ claims: { usernameExpression: "claims.email" } });
  await bench.sync();
  assert.equal(
    bench.conditions("JWTAuthenticator")["ClaimExpressionsValid"],
    "False InvalidClaimExpressions .spec.claims.usernameExpression was invalid:\nclaims.email_verified must be used in usernameExpression, in a valueExpression of extra or in an expression of claimValidationRules when usernameExpression uses claims.email",
  );
  assert.equal(bench.cached("JWTAuthenticator"), undefined);
  bench.jwt({
    claims: { usernameExpression: "claims.email" },
    claimValidationRules: [{ expression: "claims.email_verified == true", message: "not verified" }],
  });
  await bench.sync();
  assert.equal(
    bench.conditions("JWTAuthenticator")["ClaimExpressionsValid"],
    "True Success the expressions and rules for claims are valid",
  );
  const login = async (claims: object) =>
    bench.cached("JWTAuthenticator")?.authenticate(await issuer.signToken({ ...claims }), signal);
  assert.equal((await login({ email: "a@b", email_verified: true }))?.username, "a@b");
  await assert.rejects(login({ email: "a@b", email_verified: false }), {
    message: "oidc: claim validation rule: not verified",
  });
  bench.jwt({});
  await bench.sync();
  assert.equal(bench.conditions("JWTAuthenticator")["ClaimExpressionsValid"], undefined);
  assert.equal(bench.phase("JWTAuthenticator"), "Ready");
});

test("field test 32: a slip in an expression is in the status, and the old configuration keeps serving", async () => {
  const bench = setUp();
  bench.jwt({ transforms: good });
  bench.webhook({ transforms: good });
  await bench.sync();
  const before = kinds.map((kind) => bench.cached(kind));
  const slip = { expressions: [{ type: "username/v1" as const, expression: "usrename" }] };
  bench.jwt({ transforms: slip, reservedIdentities: { allowedGroups: ["system:x"] } });
  bench.webhook({ transforms: slip });
  await bench.sync();
  for (const [index, kind] of kinds.entries()) {
    assert.equal(bench.phase(kind), "Error");
    assert.match(
      bench.conditions(kind)["TransformsExpressionsValid"] ?? "",
      /undeclared reference to 'usrename'/,
    );
    assert.match(bench.conditions(kind)["Ready"] ?? "", /^False NotReady /);
    assert.equal(bench.cached(kind), before[index]);
    assert.deepEqual(bench.cached(kind)?.settings?.allowedGroups, undefined);
    const identity = await bench.cached(kind)?.authenticate(await tokenOf(kind), signal);
    assert.equal(identity?.username, "corp:jane");
  }
  // Together with another issuer or server there is nothing to keep.
  bench.jwt({ transforms: slip, audience: "another" });
  bench.webhook({ transforms: slip, endpoint: `${webhook.endpoint}/elsewhere` });
  await bench.sync();
  for (const kind of kinds) {
    assert.equal(bench.cached(kind), undefined);
  }
});

test("settings for the steps after it come with the authenticator", async () => {
  const bench = setUp();
  const settings = {
    reservedIdentities: { allowedUsernames: ["system:u"], allowedGroups: ["system:g"] },
    credential: { maximumLifetimeSeconds: 120 },
  };
  bench.jwt(settings);
  bench.webhook(settings);
  await bench.sync();
  for (const kind of kinds) {
    assert.deepEqual(bench.cached(kind)?.settings, {
      allowedUsernames: ["system:u"],
      allowedGroups: ["system:g"],
      maximumLifetimeSeconds: 120,
    });
  }
});

test("an algorithm counts when the issuer announces it", async () => {
  const modern = await startIssuer({ users: [], certificate, algorithms: ["PS256"] });
  try {
    const bench = setUp();
    bench.jwt({ issuer: modern.issuerUrl, audience: modern.clientId });
    await bench.sync();
    const token = await modern.signToken({ username: "jane" });
    assert.equal((await bench.cached("JWTAuthenticator")?.authenticate(token, signal))?.username, "jane");
  } finally {
    await modern.stop();
  }
});

test("fetches of keys are reported, and forgotten with the object", async () => {
  const bench = setUp();
  const stops = bench.controllers.map((controller) => controller.watch(() => {}));
  bench.jwt({});
  await bench.sync();
  assert.deepEqual(bench.reported, ["x true"]);
  await issuer.stop();
  const token = await issuer.signToken({ username: "jane" }, { keyId: "unknown" });
  const authenticator = bench.cached("JWTAuthenticator");
  assert.ok(authenticator !== undefined);
  await assert.rejects(authenticator.authenticate(token, signal));
  await issuer.start();
  assert.deepEqual(bench.reported, ["x true", "x false"]);
  bench.jwt({ issuer: "http://a" });
  await bench.sync();
  assert.deepEqual(bench.reported.slice(2), ["x forgotten"]);
  bench.store.remove(jwtAuthenticators, { name: "x" });
  assert.deepEqual(bench.reported.slice(3), ["x forgotten"]);
  for (const stop of stops) {
    stop();
  }
});
