import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startIssuer } from "../../../test/oidc/issuer.ts";
import { createMemoryStore } from "../../../test/oidc/memory-store.ts";
import { sendJson, startTlsServer } from "../../../test/oidc/tls-server.ts";
import type { RequestHandler } from "../../../test/oidc/tls-server.ts";
import { createManualClock } from "../../clock.ts";
import { configMaps, secrets } from "../../kube/objects.ts";
import type { Condition } from "../../kube/objects.ts";
import { jwtAuthenticators } from "../../resources/jwt-authenticator.ts";
import type { JWTAuthenticator, JWTAuthenticatorSpec } from "../../resources/jwt-authenticator.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createAuthenticatorCache } from "../authenticators/authenticator-cache.ts";
import { AUTHENTICATION_GROUP } from "../authenticators/authenticator.ts";
import { withoutProxy } from "../authenticators/outbound-proxy.ts";
import { createAuthenticatorCacheCleaner } from "./authenticator-cache-cleaner.ts";
import { createJwtAuthenticatorController } from "./jwt-authenticator-controller.ts";

const certificate = await createLoopbackCertificate();
const clock = createManualClock(Date.now());
const issuer = await startIssuer({ users: [{ username: "jane", groups: ["ops"] }], certificate, clock });
after(() => issuer.stop());

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const ca = { certificateAuthorityData: base64(certificate.caPem) };
const { signal } = new AbortController();
const DISCOVERY = "/.well-known/openid-configuration";

const object = (name: string, spec: Partial<JWTAuthenticatorSpec> = {}): JWTAuthenticator => ({
  apiVersion: `${AUTHENTICATION_GROUP}/v1alpha1`,
  kind: "JWTAuthenticator",
  metadata: { name, uid: `uid-${name}`, generation: 3 },
  spec: { issuer: issuer.issuerUrl, audience: issuer.clientId, tls: ca, ...spec },
});

function setUp() {
  const store = createMemoryStore();
  const cache = createAuthenticatorCache();
  const fetched: string[] = [];
  const metrics = {
    jwksFetched: (name: string, succeeded: boolean) => fetched.push(`${name} ${succeeded}`),
    jwksForgotten: (name: string) => fetched.push(`${name} forgotten`),
  };
  const options = {
    store,
    cache,
    namespace: "concierge",
    clock,
    log: silentLogger,
    proxyForUrl: withoutProxy,
    apiGroupSuffix: "pinniped.dev",
    metrics,
  };
  const controller = createJwtAuthenticatorController(options);
  const cleaner = createAuthenticatorCacheCleaner(options);
  const reference = (name: string) => ({
    apiGroup: AUTHENTICATION_GROUP,
    kind: "JWTAuthenticator" as const,
    name,
  });
  const statusOf = (name: string) => store.view(jwtAuthenticators).get({ name })?.status;
  return {
    store,
    cache,
    controller,
    fetched,
    put: (value: JWTAuthenticator) => store.put(jwtAuthenticators, value),
    sync: () => controller.reconcile(signal),
    clean: () => cleaner.reconcile(signal),
    cached: (name: string) => cache.get(reference(name)),
    entry: (name: string) => cache.entry(reference(name)),
    phase: (name: string) => statusOf(name)?.phase,
    conditions: (name: string) =>
      Object.fromEntries((statusOf(name)?.conditions ?? []).map((condition) => [condition.type, condition])),
    order: (name: string) => (statusOf(name)?.conditions ?? []).map((condition) => condition.type),
  };
}

const short = (conditions: Readonly<Record<string, Condition>>): Record<string, string> =>
  Object.fromEntries(
    Object.values(conditions).map(({ type, status, reason, message }) => [
      type,
      `${status} ${reason} ${message}`,
    ]),
  );

const UNKNOWN = "Unknown UnableToValidate unable to validate; see other conditions for details";
const NOT_READY = "False NotReady the JWTAuthenticator is not ready: see other conditions for details";
const good = {
  AuthenticatorValid: "True Success authenticator initialized",
  DiscoveryURLValid: "True Success discovery performed successfully",
  IssuerURLValid: "True Success issuer is a valid URL",
  JWKSFetchValid: "True Success successfully fetched jwks",
  JWKSURLValid: "True Success jwks_uri is a valid URL",
  Ready: "True Success the JWTAuthenticator is ready",
  TLSConfigurationValid: "True Success spec.tls is valid: using configured CA bundle",
};
const failedFrom = (step: "issuer" | "tls" | "discovery" | "jwksUrl" | "jwks", text: string) => {
  const network = ["DiscoveryURLValid", "JWKSURLValid", "JWKSFetchValid", "AuthenticatorValid"] as const;
  const first = { issuer: 0, tls: 0, discovery: 0, jwksUrl: 1, jwks: 2 }[step];
  const unknown = Object.fromEntries(network.slice(first).map((type) => [type, UNKNOWN]));
  const type = {
    issuer: "IssuerURLValid",
    tls: "TLSConfigurationValid",
    discovery: "DiscoveryURLValid",
    jwksUrl: "JWKSURLValid",
    jwks: "JWKSFetchValid",
  }[step];
  return { ...good, ...unknown, [type]: `False ${text}`, Ready: NOT_READY };
};

test("a good one is ready, in force and logs a user of a real issuer in", async () => {
  const { put, sync, cached, phase, conditions, order, store } = setUp();
  put(object("good"));
  await sync();
  assert.equal(phase("good"), "Ready");
  assert.deepEqual(short(conditions("good")), good);
  assert.deepEqual(order("good"), Object.keys(good));
  for (const condition of Object.values(conditions("good"))) {
    assert.equal(condition.observedGeneration, 3);
  }
  const token = await issuer.getIdToken({ username: "jane" });
  const identity = await cached("good")?.authenticate(token, signal);
  assert.equal(identity?.username, "jane");
  assert.deepEqual(identity?.groups, ["ops"]);
  assert.equal(await cached("good")?.authenticate("x", signal), undefined);
  await sync();
  assert.equal(store.statusWrites.length, 1);
});

const issuerRows: readonly (readonly [string, string])[] = [
  [
    "https://a:x",
    'InvalidIssuerURL spec.issuer URL is invalid: parse "https://a:x": invalid port ":x" after host',
  ],
  ["http://a", "InvalidIssuerURLScheme spec.issuer http://a has invalid scheme, require 'https'"],
  [
    `https://a/b${DISCOVERY}`,
    `InvalidIssuerURLContainsWellKnownEndpoint spec.issuer https://a/b${DISCOVERY} cannot include path '${DISCOVERY}'`,
  ],
  [
    "https://a?x=1",
    "InvalidIssuerURLContainsQueryParams spec.issuer https://a?x=1 cannot include query params",
  ],
  ["https://a#f", "InvalidIssuerURLContainsFragment spec.issuer https://a#f cannot include fragment"],
  ["http://a?x=1#f", "InvalidIssuerURLScheme spec.issuer http://a?x=1#f has invalid scheme, require 'https'"],
];

test("every bad issuer URL has its reason and message, and waits for a change (contract 4.4)", async () => {
  for (const [url, text] of issuerRows) {
    const { put, sync, phase, conditions, cached } = setUp();
    put(object("bad", { issuer: url }));
    assert.equal(await sync(), undefined);
    assert.equal(phase("bad"), "Error");
    assert.deepEqual(short(conditions("bad")), failedFrom("issuer", text), url);
    assert.equal(cached("bad"), undefined);
  }
});

test("URL and TLS configuration are judged apart from each other", async () => {
  const { put, sync, conditions } = setUp();
  put(object("bad", { issuer: "http://a", tls: { certificateAuthorityData: "not base64" } }));
  assert.equal(await sync(), undefined);
  assert.deepEqual(short(conditions("bad")), {
    ...failedFrom(
      "issuer",
      "InvalidIssuerURLScheme spec.issuer http://a has invalid scheme, require 'https'",
    ),
    TLSConfigurationValid:
      "False InvalidTLSConfig spec.tls.certificateAuthorityData is invalid: illegal base64 data at input byte 3",
  });
});

/** A fake provider: what it answers at its two addresses. */
async function withProvider(
  answers: (origin: string) => Readonly<Record<string, RequestHandler>>,
  work: (origin: string) => Promise<void>,
): Promise<void> {
  let routes: Readonly<Record<string, RequestHandler>> = {};
  const server = await startTlsServer(certificate, (request, response) => {
    const route = routes[request.url ?? ""];
    return route === undefined ? response.writeHead(404).end("nothing here") : route(request, response);
  });
  routes = answers(server.origin);
  try {
    await work(server.origin);
  } finally {
    await server.stop();
  }
}

const json =
  (value: unknown): RequestHandler =>
  (_request, response) =>
    sendJson(response, 200, value);
const text =
  (status: number, body: string): RequestHandler =>
  (_request, response) =>
    response.writeHead(status, { "content-type": "text/plain" }).end(body);

const PROBE = "InvalidDiscoveryProbe could not perform oidc discovery on provider issuer: ";
const providerRows: readonly (readonly [
  step: "discovery" | "jwksUrl" | "jwks",
  answers: (origin: string) => Readonly<Record<string, RequestHandler>>,
  text: (origin: string) => string,
])[] = [
  ["discovery", () => ({}), () => `${PROBE}404 Not Found: nothing here`],
  [
    "discovery",
    () => ({ [DISCOVERY]: text(500, "x".repeat(400)) }),
    () => `${PROBE}500 Internal Server Error: ${"x".repeat(273)} [truncated 127 chars]`,
  ],
  [
    "discovery",
    () => ({ [DISCOVERY]: text(500, `oidc: ${"x".repeat(400)}`) }),
    () => `${PROBE}500 Internal Server Error: oidc: ${"x".repeat(400)}`,
  ],
  [
    "discovery",
    (origin) => ({ [DISCOVERY]: json({ issuer: `${origin}/` }) }),
    (origin) =>
      `${PROBE}oidc: issuer did not match the issuer returned by provider, expected "${origin}" got "${origin}/"`,
  ],
  [
    "jwksUrl",
    (origin) => ({ [DISCOVERY]: json({ issuer: origin, jwks_uri: 1 }) }),
    () => "InvalidProviderJWKSURL could not get provider jwks_uri: it is not a string",
  ],
  [
    "jwksUrl",
    (origin) => ({ [DISCOVERY]: json({ issuer: origin, jwks_uri: "https://a:x/" }) }),
    () =>
      'InvalidProviderJWKSURL could not parse provider jwks_uri: parse "https://a:x/": invalid port ":x" after host',
  ],
  [
    "jwksUrl",
    (origin) => ({ [DISCOVERY]: json({ issuer: origin, jwks_uri: "http://a/k" }) }),
    () => "InvalidProviderJWKSURLScheme jwks_uri http://a/k has invalid scheme, require 'https'",
  ],
  [
    "jwks",
    (origin) => ({
      [DISCOVERY]: json({ issuer: origin, jwks_uri: `${origin}/keys` }),
      "/keys": text(503, "later"),
    }),
    () =>
      "InvalidCouldNotFetchJWKS could not fetch keys: fetching keys oidc: get keys failed: 503 Service Unavailable later",
  ],
  [
    "jwks",
    (origin) => ({
      [DISCOVERY]: json({ issuer: origin, jwks_uri: `${origin}/keys` }),
      "/keys": text(200, "<html>"),
    }),
    () =>
      'InvalidCouldNotFetchJWKS could not fetch keys: fetching keys oidc: failed to decode keys: the answer (Content-Type "text/plain") is not a JSON Web Key Set',
  ],
];

test("every fault of a provider has its reason and message, and is tried again (contract 4.4)", async () => {
  for (const [step, answers, message] of providerRows) {
    await withProvider(answers, async (origin) => {
      const { put, sync, phase, conditions, cached } = setUp();
      put(object("bad", { issuer: origin }));
      await assert.rejects(async () => sync(), /^LanyardError: error for JWTAuthenticator bad: /);
      assert.equal(phase("bad"), "Error");
      assert.deepEqual(short(conditions("bad")), failedFrom(step, message(origin)));
      assert.equal(cached("bad"), undefined);
    });
  }
});

test("a slow server and an oversized key set are in the status", async () => {
  const arrived = Promise.withResolvers<void>();
  await withProvider(
    () => ({ [DISCOVERY]: () => arrived.resolve() }),
    async (origin) => {
      const { put, sync, conditions } = setUp();
      put(object("slow", { issuer: origin }));
      const failed = assert.rejects(async () => sync());
      await arrived.promise;
      await clock.advance(30_000);
      await failed;
      const late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
      assert.deepEqual(
        short(conditions("slow")),
        failedFrom("discovery", `${PROBE}Get "${origin}${DISCOVERY}": ${late}`),
      );
    },
  );
  await withProvider(
    (origin) => ({
      [DISCOVERY]: json({ issuer: origin, jwks_uri: `${origin}/keys` }),
      "/keys": text(200, " ".repeat(2_000_000)),
    }),
    async (origin) => {
      const { put, sync, phase, conditions } = setUp();
      put(object("huge", { issuer: origin }));
      await assert.rejects(async () => sync());
      assert.equal(phase("huge"), "Error");
      assert.deepEqual(
        short(conditions("huge")),
        failedFrom(
          "jwks",
          `InvalidCouldNotFetchJWKS could not fetch keys: fetching keys oidc: get keys failed Get "${origin}/keys": the answer is longer than 1048576 bytes`,
        ),
      );
    },
  );
});

test("another CA and a server that is gone have Go's texts", async () => {
  const { put, sync, conditions } = setUp();
  const other = await createLoopbackCertificate();
  const gone = await startTlsServer(certificate, () => {});
  await gone.stop();
  put(object("ca", { tls: { certificateAuthorityData: base64(other.caPem) } }));
  put(object("gone", { issuer: `${gone.origin}/` }));
  const url = `${issuer.issuerUrl}${DISCOVERY}`;
  const caText = `Get "${url}": tls: failed to verify certificate: x509: certificate signed by unknown authority`;
  const goneText = `Get "${gone.origin}${DISCOVERY}": dial tcp 127.0.0.1:${gone.port}: connect: connection refused`;
  const fixed = "could not perform oidc discovery on provider issuer: ";
  await assert.rejects(async () => sync(), {
    message: `[error for JWTAuthenticator ca: ${fixed}${caText}, error for JWTAuthenticator gone: ${fixed}${goneText}]`,
  });
  assert.deepEqual(short(conditions("ca")), failedFrom("discovery", `${PROBE}${caText}`));
  assert.deepEqual(short(conditions("gone")), failedFrom("discovery", `${PROBE}${goneText}`));
});

test("one failure does not stop the others", async () => {
  const { put, sync, cached } = setUp();
  put(object("a", { issuer: `${issuer.issuerUrl}/none` }));
  put(object("b"));
  await assert.rejects(async () => sync(), /^LanyardError: error for JWTAuthenticator a: /);
  assert.ok(cached("b") !== undefined && cached("a") === undefined);
});

test("a replica that is not the leader puts nothing in force before the leader's status is there", async () => {
  const { store, put, sync, cached } = setUp();
  store.leading = false;
  put(object("x"));
  await assert.rejects(async () => sync(), { code: "leadership.required" });
  assert.equal(cached("x"), undefined);
  const leader = setUp();
  leader.put(object("x"));
  await leader.sync();
  const written = leader.store.view(jwtAuthenticators).get({ name: "x" });
  assert.ok(written !== undefined);
  put(written);
  await sync();
  assert.ok(cached("x") !== undefined);
});

test("what fails leaves the cache before its status is written", async () => {
  const { store, put, sync, cached } = setUp();
  put(object("x"));
  await sync();
  assert.ok(cached("x") !== undefined);
  const seen: unknown[] = [];
  store.beforeStatusWrite = () => seen.push(cached("x"));
  put(object("x", { issuer: "http://a" }));
  await sync();
  assert.deepEqual(seen, [undefined]);
  put(object("x"));
  await sync();
  assert.ok(cached("x") !== undefined);
  store.leading = false;
  put(object("x", { tls: { certificateAuthorityData: "!" } }));
  await assert.rejects(async () => sync(), { code: "leadership.required" });
  assert.equal(cached("x"), undefined);
});

test("the network is asked only when something changed", async () => {
  const { put, sync, store, entry, conditions } = setUp();
  const hits = () => issuer.hits(DISCOVERY);
  const caObject = (pem: string) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "ca", namespace: "concierge" },
    data: { "ca.crt": pem },
  });
  const tls = { certificateAuthorityDataSource: { kind: "ConfigMap" as const, name: "ca", key: "ca.crt" } };
  store.put(configMaps, caObject(certificate.caPem));
  put(object("x", { tls }));
  await sync();
  const before = hits();
  const first = entry("x")?.authenticator;
  await sync();
  const edited = store.view(jwtAuthenticators).get({ name: "x" });
  assert.ok(edited !== undefined);
  put({ ...edited, status: { phase: "Pending", conditions: [] } });
  await sync();
  assert.deepEqual(short(conditions("x")), good);
  assert.equal(hits(), before);
  assert.equal(entry("x")?.authenticator, first);
  for (const change of [
    () => store.put(configMaps, caObject(`${certificate.caPem}\n`)),
    () => put(object("x", { tls, audience: "other" })),
    () => put(object("x", { tls, audience: "other", claims: { username: "sub" } })),
  ]) {
    const [asked, last] = [hits(), entry("x")?.authenticator];
    change();
    await sync();
    assert.equal(hits(), asked + 1);
    assert.ok(entry("x") !== undefined && entry("x")?.authenticator !== last);
  }
  store.remove(configMaps, { namespace: "concierge", name: "ca" });
  assert.equal(await sync(), undefined);
  assert.equal(entry("x"), undefined);
  assert.equal(
    short(conditions("x"))["TLSConfigurationValid"],
    'False InvalidTLSConfig spec.tls.certificateAuthorityDataSource is invalid: failed to get configmap "concierge/ca": configmap "ca" not found',
  );
});

test("an object that goes away during its check is not put in force", async () => {
  const { put, sync, store } = setUp();
  put(object("x"));
  await sync();
  const other = setUp();
  const ready = store.view(jwtAuthenticators).get({ name: "x" });
  assert.ok(ready !== undefined);
  await withProvider(
    (origin) => ({
      [DISCOVERY]: (_request, response) => {
        other.store.remove(jwtAuthenticators, { name: "x" });
        sendJson(response, 200, { issuer: origin, jwks_uri: `${origin}/keys` });
      },
      "/keys": json({ keys: [] }),
    }),
    async (origin) => {
      other.put({ ...ready, spec: { ...ready.spec, issuer: origin } });
      await other.sync();
      assert.equal(other.cached("x"), undefined);
    },
  );
});

test("the cleaner drops and closes what has no object any more", async () => {
  const { put, sync, clean, store, cached, cache } = setUp();
  put(object("x"));
  put(object("y"));
  await sync();
  let closed = 0;
  const reference = { apiGroup: AUTHENTICATION_GROUP, kind: "JWTAuthenticator" as const, name: "x" };
  cache.set(reference, {
    fingerprint: "f",
    authenticator: {
      authenticate: () => Promise.resolve(undefined),
      close: () => {
        closed += 1;
      },
    },
  });
  store.synced = false;
  store.remove(jwtAuthenticators, { name: "x" });
  await clean();
  assert.equal(closed, 0);
  store.synced = true;
  await clean();
  assert.equal(closed, 1);
  assert.equal(cached("x"), undefined);
  assert.ok(cached("y") !== undefined);
});

test("triggers are its own objects, ConfigMaps, and Secrets that can be a source", () => {
  const { controller, store, put } = setUp();
  let triggers = 0;
  const stop = controller.watch(() => {
    triggers += 1;
  });
  const secret = (type: string) =>
    store.put(secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: type.replace("/", "-"), namespace: "concierge" },
      type,
    });
  const counts = [
    () => put(object("x")),
    () => secret("Opaque"),
    () => secret("kubernetes.io/tls"),
    () => secret("helm.sh/release.v1"),
    () => store.remove(secrets, { namespace: "concierge", name: "Opaque" }),
    () =>
      store.put(configMaps, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "m", namespace: "concierge" },
      }),
  ].map((change) => {
    change();
    return triggers;
  });
  assert.deepEqual(counts, [1, 2, 3, 3, 4, 5]);
  stop();
  put(object("y"));
  assert.equal(triggers, 5);
});

test("nothing is judged before the lists are in", async () => {
  const { controller, store, put, phase } = setUp();
  store.synced = false;
  put(object("x"));
  assert.ok(((await controller.reconcile(signal)) ?? {}).requeueAfterMilliseconds !== undefined);
  assert.equal(phase("x"), undefined);
});
