import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { sendJson } from "../../../test/oidc/tls-server.ts";
import { startWebhook } from "../../../test/oidc/webhook.ts";
import type { WebhookOptions, WebhookUser } from "../../../test/oidc/webhook.ts";
import { createManualClock, systemClock } from "../../clock.ts";
import type { Clock } from "../../clock.ts";
import { compileClaimsMapping } from "../../identity/compile-claims-mapping.ts";
import type { ClaimsMappingSpec } from "../../identity/compile-claims-mapping.ts";
import type { Identity } from "../../identity/identity.ts";
import { compileTransforms } from "../../identity/transformations.ts";
import type { TransformExpression } from "../../identity/transformations.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { AuthenticatorSettings } from "./authenticator.ts";
import { createOutboundHttp } from "./outbound-http.ts";
import { withoutProxy } from "./outbound-proxy.ts";
import { createExchangeBench } from "./testing/exchange-bench.ts";
import type { ExchangeBench } from "./testing/exchange-bench.ts";
import { createJwtBench, makeKey } from "./testing/jwt-bench.ts";
import { createTransformingAuthenticator } from "./transforming-authenticator.ts";
import { createWebhookAuthenticator } from "./webhook-authenticator.ts";

const certificate = await createLoopbackCertificate();
const rsa = await makeKey("RS256", "rsa");
const jane = { username: "jane", groups: ["ops"] };

interface WebhookBench extends ExchangeBench {
  login(token?: string): Promise<boolean>;
  readonly asked: () => number;
}

async function withWebhook(
  options: Partial<WebhookOptions>,
  work: (bench: WebhookBench) => Promise<void>,
  clock: Clock = { ...systemClock, sleep: () => Promise.resolve() },
): Promise<void> {
  const webhook = await startWebhook({ tokens: { good: jane }, certificate, ...options });
  const http = createOutboundHttp({ caPem: certificate.caPem, proxyForUrl: withoutProxy, clock });
  const authenticator = createWebhookAuthenticator({ url: new URL(webhook.endpoint), http, clock });
  const bench = await createExchangeBench();
  bench.put("WebhookAuthenticator", authenticator);
  try {
    await work({
      ...bench,
      login: async (token = "good") => (await bench.exchange("WebhookAuthenticator", token)) !== undefined,
      asked: () => webhook.seen.length,
    });
  } finally {
    authenticator.close();
    await webhook.stop();
  }
}

const answering = (status: unknown): Partial<WebhookOptions> => ({
  intercept: (_seen, response) => {
    sendJson(response, 200, { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1beta1", status });
    return true;
  },
});

describe("field test 30: what a webhook may say", () => {
  const refused: readonly (readonly [string, Partial<WebhookOptions>, string])[] = [
    [
      "not authenticated, with a user",
      answering({ authenticated: false, user: jane }),
      "Authentication Failed",
    ],
    ["a user without authenticated", answering({ user: jane }), "Authentication Failed"],
    ["authenticated without a user", answering({ authenticated: true }), "Authentication Failed"],
    ["a user without a name", answering({ authenticated: true, user: {} }), "Unsupported UserInfo"],
    ["no status", answering(undefined), "Authentication Failed"],
    ["an error and a user", answering({ authenticated: true, user: jane, error: "no" }), "Unexpected Error"],
    ["a UID", answering({ authenticated: true, user: { ...jane, uid: "1" } }), "Unsupported UserInfo"],
    [
      "extras",
      answering({ authenticated: true, user: { ...jane, extra: { "a.b/c": ["d"] } } }),
      "Unsupported UserInfo",
    ],
    [
      "a redirect",
      {
        intercept: (_seen, response) => {
          response.writeHead(307, { location: "/elsewhere" }).end();
          return true;
        },
      },
      "Unexpected Error",
    ],
    [
      "a fault of its own",
      {
        intercept: (_seen, response) => {
          sendJson(response, 500, {});
          return true;
        },
      },
      "Unexpected Error",
    ],
    [
      "too much",
      {
        intercept: (_seen, response) => {
          response.end(Buffer.alloc(4_000_000, 0x20));
          return true;
        },
      },
      "Unexpected Error",
    ],
  ];
  for (const [what, options, event] of refused) {
    it(`${what}: no credential, event ${event}`, async () => {
      await withWebhook(options, async ({ login, audit, bounds }) => {
        assert.equal(await login(), false);
        assert.equal(audit.at(-1)?.message, `TokenCredentialRequest ${event}`);
        assert.deepEqual(bounds, []);
      });
    });
  }

  it("audiences are not asked for, and those in an answer change nothing", async () => {
    const bodies: unknown[] = [];
    const options: Partial<WebhookOptions> = {
      intercept: (seen, response) => {
        bodies.push(seen.body);
        const status = { authenticated: true, user: jane, audiences: ["another"] };
        sendJson(response, 200, { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1beta1", status });
        return true;
      },
    };
    await withWebhook(options, async ({ login }) => assert.equal(await login(), true));
    assert.deepEqual((bodies[0] as { readonly spec: unknown }).spec, { token: "good" });
  });

  it("an answer that does not come within 30 seconds", async () => {
    const clock = createManualClock(systemClock.now());
    const arrived = Promise.withResolvers<void>();
    const options: Partial<WebhookOptions> = {
      intercept: () => {
        arrived.resolve();
        return true;
      },
    };
    await withWebhook(
      options,
      async ({ login, audit }) => {
        const attempt = login();
        await arrived.promise;
        await clock.advance(30_000);
        assert.equal(await attempt, false);
        assert.equal(audit.at(-1)?.message, "TokenCredentialRequest Unexpected Error");
      },
      clock,
    );
  });

  it("no verdict is kept, neither a good one nor a bad one", async () => {
    const tokens: Record<string, WebhookUser> = { good: jane };
    await withWebhook({ tokens }, async ({ login, asked }) => {
      assert.deepEqual([await login(), await login(), asked()], [true, true, 2]);
      delete tokens["good"];
      assert.deepEqual([await login(), await login("late")], [false, false]);
      tokens["late"] = jane;
      assert.equal(await login("late"), true);
      assert.equal(asked(), 5);
    });
  });
});

/** The exchange for an identity that some authenticator has found. */
async function exchangeOf(identity: Identity, settings: AuthenticatorSettings = {}) {
  const bench = await createExchangeBench();
  bench.put("JWTAuthenticator", {
    settings,
    authenticate: () => Promise.resolve(identity),
    close: () => {},
  });
  const credential = await bench.exchange("JWTAuthenticator", "t");
  return { credential, err: bench.audit.at(-1)?.fields?.["err"], bounds: bench.bounds };
}

describe("field test 31: reserved identities", () => {
  const names = [
    "system:masters",
    "system:nodes",
    "system:node:a",
    "system:serviceaccount:kube-system:default",
    "system:serviceaccounts",
    "system:anonymous",
    "system:unauthenticated",
    "system:kube-scheduler",
    "system:kube-controller-manager",
    "kubeadm:cluster-admins",
    "eks:node-manager",
    "System:Masters",
    "ｓｙｓｔｅｍ:masters",
    "sys\u200btem:masters",
    "\u200bsystem:masters",
    "system\u2060:nodes",
    "\u00a0system:masters",
    " system:masters",
    "\tsystem:masters",
    "system:masters ",
  ];
  it("are refused as username and as group, and the audit line does not name them", async () => {
    for (const name of names) {
      for (const identity of [
        { username: name, groups: [], extra: {} },
        { username: "jane", groups: ["ops", name], extra: {} },
      ]) {
        const { credential, err, bounds } = await exchangeOf(identity);
        assert.equal(credential, undefined, name);
        assert.equal(bounds.length, 0);
        assert.match(String(err), /^reserved identity: |starts or ends with a space or a tab$/);
        assert.ok(!String(err).includes(name));
      }
    }
  });

  it("pass when the object names them exactly, for this authenticator alone", async () => {
    const identity = { username: "system:foo", groups: ["eks:ops"], extra: {} };
    const settings = { allowedUsernames: ["system:foo"], allowedGroups: ["eks:ops"] };
    const { credential } = await exchangeOf(identity, settings);
    assert.equal(
      new X509Certificate(
        credential !== undefined && "clientCertificateData" in credential.value
          ? credential.value.clientCertificateData
          : "",
      ).subject,
      "O=eks:ops\nCN=system:foo",
    );
    for (const other of [
      {},
      { allowedUsernames: ["system:foo"] },
      { allowedUsernames: ["system:*"], allowedGroups: ["eks:ops"] },
      { allowedUsernames: ["eks:ops"], allowedGroups: ["system:foo"] },
      { allowedUsernames: ["System:foo"], allowedGroups: ["eks:ops"] },
    ]) {
      assert.equal((await exchangeOf(identity, other)).credential, undefined, JSON.stringify(other));
    }
  });

  it("some never pass", async () => {
    for (const name of ["system:masters", "system:nodes", "system:kube-proxy", "system:anonymous"]) {
      const settings = { allowedUsernames: [name, "jane"], allowedGroups: [name] };
      assert.equal(
        (await exchangeOf({ username: name, groups: [], extra: {} }, settings)).credential,
        undefined,
      );
      const member = { username: "jane", groups: [name], extra: {} };
      assert.equal((await exchangeOf(member, settings)).credential, undefined);
    }
  });

  it("a transformation cannot make one", async () => {
    const bench = await createExchangeBench();
    const { transformation } = compileTransforms({
      expressions: [{ type: "groups/v1", expression: '["system:" + "masters"]' }],
    });
    const inner = {
      authenticate: () => Promise.resolve({ ...jane, extra: {} }),
      close: () => {},
    };
    bench.put(
      "WebhookAuthenticator",
      createTransformingAuthenticator(inner, { transformation, settings: {}, log: silentLogger, name: "x" }),
    );
    assert.equal(await bench.exchange("WebhookAuthenticator", "t"), undefined);
    assert.equal(bench.audit.at(-1)?.fields?.["err"], "reserved identity: group is never allowed");
  });
});

describe("field test 32: CEL", () => {
  const problemOf = (spec: ClaimsMappingSpec): string =>
    compileClaimsMapping(spec, { reservedDomains: [] }).problems?.join("\n") ?? "";
  const transformProblem = (expression: TransformExpression): string =>
    compileTransforms({ expressions: [expression] }).problems?.[0]?.message ?? "";

  it("expressions that cost too much or run away are refused before anybody logs in", () => {
    const nested = (depth: number): string =>
      depth === 0 ? "true" : `groups.all(g${depth}, ${nested(depth - 1)})`;
    assert.notEqual(transformProblem({ type: "policy/v1", expression: nested(8) }), "");
    assert.equal(transformProblem({ type: "policy/v1", expression: nested(2) }), "");
    const long = `username == "${"x".repeat(200_000)}"`;
    assert.notEqual(transformProblem({ type: "policy/v1", expression: long }), "");
    const claims = (depth: number): string =>
      depth === 0 ? "true" : `claims.all(c${depth}, ${claims(depth - 1)})`;
    assert.notEqual(problemOf({ claimValidationRules: [{ expression: claims(8) }] }), "");
  });

  it("a pattern that makes others backtrack for ever is done at once", () => {
    const { transformation } = compileTransforms({
      expressions: [{ type: "policy/v1", expression: 'username.matches("^(a|aa)+$")' }],
    });
    const startedAt = performance.now();
    const result = transformation?.apply({ username: `${"a".repeat(5_000)}!`, groups: [] });
    assert.equal(result?.rejected, "authentication was rejected by a configured policy");
    assert.ok(performance.now() - startedAt < 1_000);
  });

  it("types are checked before anybody logs in", () => {
    assert.match(problemOf({ claims: { usernameExpression: "1" } }), /returns type "int"/);
    assert.match(
      problemOf({ claims: { usernameExpression: "claims.a + 1 + 'x'" } }),
      /found no matching overload/,
    );
    assert.match(problemOf({ userValidationRules: [{ expression: "user.age > 1" }] }), /age/);
    assert.match(transformProblem({ type: "groups/v1", expression: "username" }), /should return type/);
  });

  it("missing is an error, null is no value", async () => {
    const spec = { claims: { groupsExpression: "claims.roles" } };
    const { rules } = compileClaimsMapping(spec, { reservedDomains: [] });
    const { login, sign } = await createJwtBench([rsa], { rules });
    await assert.rejects(login(await sign({}, rsa)), /no such key: roles/);
    assert.deepEqual((await login(await sign({ roles: null }, rsa)))?.groups, []);
    assert.deepEqual((await login(await sign({ roles: ["a"] }, rsa)))?.groups, ["a"]);
  });

  it("email without email_verified", () => {
    assert.match(
      problemOf({ claims: { usernameExpression: "claims.email" } }),
      /email_verified must be used/,
    );
    assert.equal(problemOf({ claims: { username: "email" } }), "");
  });

  it("an identity with mapped extras gets no certificate (S3)", async () => {
    const spec = { claims: { extra: [{ key: "example.com/team", valueExpression: "claims.team" }] } };
    const { rules } = compileClaimsMapping(spec, { reservedDomains: [] });
    const { authenticator, sign } = await createJwtBench([rsa], { rules });
    const bench = await createExchangeBench();
    bench.put("JWTAuthenticator", authenticator);
    assert.equal(await bench.exchange("JWTAuthenticator", await sign({ team: "blue" }, rsa)), undefined);
    const event = bench.audit.at(-1);
    assert.equal(event?.message, "TokenCredentialRequest Unsupported UserInfo");
    assert.equal(event.fields?.["userInfoExtrasCount"], 1);
    assert.equal(
      event.fields["err"],
      "extra may have only one key 'authentication.kubernetes.io/credential-id'",
    );
    assert.ok((await bench.exchange("JWTAuthenticator", await sign({ team: "" }, rsa))) !== undefined);
  });

  it("a policy's refusal says why to nobody but the log", async () => {
    const bench = await createExchangeBench();
    const { transformation } = compileTransforms({
      expressions: [{ type: "policy/v1", expression: "false", message: "you are on leave" }],
    });
    const lines: unknown[] = [];
    const log = { ...silentLogger, info: (_message: string, fields?: object) => void lines.push(fields) };
    const inner = { authenticate: () => Promise.resolve({ ...jane, extra: {} }), close: () => {} };
    bench.put(
      "JWTAuthenticator",
      createTransformingAuthenticator(inner, { transformation, settings: {}, log, name: "x" }),
    );
    assert.equal(await bench.exchange("JWTAuthenticator", "t"), undefined);
    const event = bench.audit.at(-1);
    assert.equal(event?.message, "TokenCredentialRequest Authentication Failed");
    assert.deepEqual(event.fields, {
      reason: "auth rejected by authenticator",
      authenticator: bench.reference("JWTAuthenticator"),
    });
    assert.deepEqual(lines, [{ authenticator: "x", policyMessage: "you are on leave" }]);
  });
});

describe("the longest life of a credential", () => {
  it("is the authenticator's own bound when it has one", async () => {
    const identity = { username: "jane", groups: [], extra: {} };
    assert.deepEqual((await exchangeOf(identity, { maximumLifetimeSeconds: 60 })).bounds, [60]);
    assert.deepEqual((await exchangeOf(identity)).bounds, [undefined]);
  });
});
