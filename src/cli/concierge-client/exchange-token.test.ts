import assert from "node:assert/strict";
import { createServer as createTlsServer } from "node:https";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, beforeEach, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startTlsServer } from "../../../test/oidc/tls-server.ts";
import { createManualClock } from "../../clock.ts";
import { parseCertificationRequest } from "../../pki/certificate-signing-request.ts";
import { createClientCertificateIssuer } from "../../pki/client-certificate.ts";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { createTestContext, type TestContext } from "../http/testing/context.ts";
import { exchangeToken, type ExchangeOptions } from "./exchange-token.ts";
import type { ConciergeParameters } from "./parameters.ts";

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const certificate = await createLoopbackCertificate();
let received: Received[] = [];
let respond: (request: Received, number: number) => Answer | Promise<Answer>;
const server = await startTlsServer(certificate, (request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const { method, url, headers } = request;
    const each = { method, url, headers, body: Buffer.concat(chunks).toString("utf8") };
    received.push(each);
    void (async () => {
      const { status = 201, headers = {}, body } = await respond(each, received.length);
      const isText = typeof body === "string";
      response.writeHead(status, { "content-type": isText ? "text/plain" : "application/json", ...headers });
      response.end(isText ? body : JSON.stringify(body));
    })();
  });
});
after(() => server.stop());
beforeEach(() => {
  received = [];
});

const SERVER_MADE = {
  expirationTimestamp: "2026-06-01T12:04:15Z",
  clientCertificateData: "a certificate",
  clientKeyData: "a key",
};
const succeed = (credential: unknown): Answer => ({
  body: { kind: "TokenCredentialRequest", status: { credential } },
});

function call(
  options: Partial<ExchangeOptions> = {},
  overrides: Partial<CommandContext> = {},
  parameters: Partial<ConciergeParameters> = {},
): { readonly context: TestContext; readonly result: ReturnType<typeof exchangeToken> } {
  const context = createTestContext(overrides);
  const result = exchangeToken(context, {
    parameters: {
      endpoint: server.origin,
      caPem: certificate.caPem,
      authenticatorKind: "JWTAuthenticator",
      authenticatorName: "my-<issuer>",
      apiGroupSuffix: "pinniped.dev",
      ...parameters,
    },
    token: "secret-token",
    interactive: true,
    signal: new AbortController().signal,
    ...options,
  });
  return { context, result };
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => assert.fail("it did not fail"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof CommandError, String(error));
  assert.doesNotMatch(error.message, /\n|secret-token|PRIVATE KEY/);
  return error.message;
}

const specOf = (index: number): Record<string, unknown> =>
  (JSON.parse(received[index]?.body ?? "") as { spec: Record<string, unknown> }).spec;

test("a Concierge that ignores the additive fields: its pair is used, and nothing shows", async () => {
  respond = () => ({
    ...succeed(SERVER_MADE),
    headers: { date: "Mon, 01 Jun 2026 12:00:00 GMT", "Audit-ID": "audit-1" },
  });
  const { context, result } = call();
  const { clockOffset, ...issued } = await result;
  assert.deepEqual(issued, {
    credential: SERVER_MADE,
    fromConcierge: true,
    issuedAt: Date.UTC(2026, 5, 1, 12),
    endpoint: server.origin,
  });
  assert.ok(Math.abs((clockOffset ?? 0) - (Date.UTC(2026, 5, 1, 12) - Date.now())) < 5000);
  assert.equal(context.errors() + context.output(), "");
  assert.equal(received.length, 1);
  assert.equal(
    received[0]?.url,
    "/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests?fieldValidation=Ignore",
  );
  assert.deepEqual(context.lines, [
    {
      level: "info",
      message: "Received auditID for failed request",
      values: {
        path: "/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests",
        statusCode: 201,
        auditID: "audit-1",
      },
    },
  ]);
  assert.ok(!("expirationSeconds" in specOf(0)));
});

for (const status of [400, 422]) {
  test(`a Concierge that refuses the additive fields with ${status} gets exactly the contract's bytes`, async () => {
    respond = (_request, number) =>
      number === 1
        ? {
            status,
            body: {
              kind: "Status",
              status: "Failure",
              message: 'strict decoding error: unknown field "spec.certificateSigningRequest"',
            },
          }
        : succeed(SERVER_MADE);
    const { result } = call({ lifetimeSeconds: 600 }, {}, { apiGroupSuffix: "a.example.com" });
    assert.deepEqual((await result).credential, SERVER_MADE);
    assert.equal(specOf(0)["expirationSeconds"], 600);
    const { url, method, headers, body } = received[1] ?? assert.fail();
    assert.equal(method, "POST");
    assert.equal(url, "/apis/login.concierge.a.example.com/v1alpha1/tokencredentialrequests");
    assert.equal(
      body,
      '{"kind":"TokenCredentialRequest","apiVersion":"login.concierge.a.example.com/v1alpha1","metadata":{"creationTimestamp":null},"spec":{"token":"secret-token","authenticator":{"apiGroup":"authentication.concierge.a.example.com","kind":"JWTAuthenticator","name":"my-\\u003cissuer\\u003e"}},"status":{}}',
    );
    assert.ok(!("authorization" in headers));
    assert.equal(headers["content-type"], "application/json");
  });
}

test("a way of signing that takes no key of ours is asked again without one, the lifetime stays", async () => {
  respond = (request) =>
    request.body.includes("certificateSigningRequest")
      ? { body: { status: { message: "authentication failed" } } }
      : succeed(SERVER_MADE);
  const { result } = call({ lifetimeSeconds: 600 });
  assert.deepEqual((await result).credential, SERVER_MADE);
  assert.deepEqual(
    received.map((_each, index) => specOf(index)["expirationSeconds"]),
    [600, 600],
  );
});

test("a lifetime that the Concierge understands and refuses is an error", async () => {
  respond = () => ({
    status: 422,
    body: {
      kind: "Status",
      status: "Failure",
      message: "spec.expirationSeconds: Invalid value: 61: too odd",
      details: {
        causes: [
          {
            reason: "FieldValueInvalid",
            field: "spec.expirationSeconds",
            message: "Invalid value: 61: too odd",
          },
        ],
      },
    },
  });
  assert.equal(
    await refusal(call({ lifetimeSeconds: 61 }).result),
    "could not login: spec.expirationSeconds: Invalid value: 61: too odd",
  );
  assert.equal(received.length, 1);
});

const authority = await createCertificateAuthority({
  commonName: "cluster",
  notBefore: new Date(Date.now() - 1000),
  notAfter: new Date(Date.now() + 86_400_000),
});
const issuer = createClientCertificateIssuer(authority);

async function certify(request: Received): Promise<string> {
  const csr = (JSON.parse(request.body) as { spec: { certificateSigningRequest: string } }).spec
    .certificateSigningRequest;
  const issued = await issuer.issue({
    username: "ann",
    groups: [],
    notBefore: new Date(Date.now() - 1000),
    notAfter: new Date(Date.now() + 300_000),
    publicKeySpki: parseCertificationRequest(csr).publicKeyInfo,
  });
  return issued.certificatePem;
}

test("a Concierge that understands: the key never left this machine and fits the certificate", async () => {
  let made = "";
  respond = async (request) => {
    made = await certify(request);
    return succeed({ expirationTimestamp: "2026-06-01T12:04:15Z", clientCertificateData: made });
  };
  const { createPrivateKey, X509Certificate } = await import("node:crypto");
  const { credential } = await call({}, { environment: { LANYARD_REQUIRE_LOCAL_KEY: "true" } }).result;
  assert.equal(credential.clientCertificateData, made);
  assert.match(credential.clientKeyData ?? "", /^-----BEGIN PRIVATE KEY-----\n/);
  assert.ok(new X509Certificate(made).checkPrivateKey(createPrivateKey(credential.clientKeyData ?? "")));
  assert.doesNotMatch(received[0]?.body ?? "", /PRIVATE/);
});

test("S23: a certificate for another key is refused", async () => {
  const first = call();
  let stolen = "";
  respond = async (request) => {
    stolen ||= await certify(request);
    return { ...succeed({ clientCertificateData: stolen }), headers: { "Audit-ID": "a-2" } };
  };
  await first.result;
  assert.equal(
    await refusal(call().result),
    "could not login: the Concierge certified a key that is not ours: do not use this cluster before its administrator has had a look (audit ID a-2)",
  );
});

const REQUIRE = { environment: { LANYARD_REQUIRE_LOCAL_KEY: "true" } };
const requireRows: readonly (readonly [string, Answer, string])[] = [
  ["a bearer token", succeed({ token: "bearer" }), "the Concierge answered with a bearer token"],
  ["a key of the Concierge", succeed(SERVER_MADE), "the Concierge made the key itself"],
  [
    "a refusal of the fields",
    { status: 400, body: { kind: "Status", message: "unknown field" } },
    "the Concierge does not accept one: could not login: unknown field",
  ],
];
for (const [what, answer, reason] of requireRows) {
  test(`S23: LANYARD_REQUIRE_LOCAL_KEY=true refuses ${what}`, async () => {
    respond = () => answer;
    assert.equal(
      await refusal(call({}, REQUIRE).result),
      `could not login: LANYARD_REQUIRE_LOCAL_KEY demands a certificate for a key made here, but ${reason} (ask for a newer Concierge, or unset the variable)`,
    );
    assert.equal(received.length, 1);
  });
}

test("S23: with LANYARD_REQUIRE_LOCAL_KEY=true no request goes without a key, and a misspelt value stops all", async () => {
  respond = () => ({ body: { status: { message: "authentication failed" } } });
  assert.equal(await refusal(call({}, REQUIRE).result), "login failed: authentication failed");
  assert.equal(received.length, 1);
  assert.match(
    await refusal(call({}, { environment: { LANYARD_REQUIRE_LOCAL_KEY: "yes" } }).result),
    /^LANYARD_REQUIRE_LOCAL_KEY must be true or false/,
  );
  assert.equal(received.length, 1);
});

test("a bearer credential is passed on", async () => {
  respond = () => succeed({ expirationTimestamp: "2026-06-01T12:04:15Z", token: "bearer" });
  assert.deepEqual((await call().result).credential, {
    expirationTimestamp: "2026-06-01T12:04:15Z",
    token: "bearer",
  });
});

// Contract cli.md 8: each answer and the text it must give.
const group = "(post tokencredentialrequests.login.concierge.pinniped.dev)";
const status = (message: string): unknown => ({ kind: "Status", status: "Failure", message });
const texts: readonly (readonly [string, Answer, string])[] = [
  [
    "a Status",
    { status: 403, body: status('tokencredentialrequests is forbidden: User "x" cannot create') },
    'could not login: tokencredentialrequests is forbidden: User "x" cannot create',
  ],
  [
    "500 with a text",
    { status: 500, body: "some server error\n" },
    `could not login: an error on the server ("some server error") has prevented the request from succeeding ${group}`,
  ],
  [
    "500 with JSON that is no Status",
    { status: 500, body: {} },
    `could not login: an error on the server ("unknown") has prevented the request from succeeding ${group}`,
  ],
  [
    "404",
    { status: 404, body: "404 page not found" },
    `could not login: the server could not find the requested resource ${group}`,
  ],
  [
    "401",
    { status: 401, body: "no" },
    `could not login: the server has asked for the client to provide credentials ${group}`,
  ],
  [
    "302",
    { status: 302, body: "" },
    `could not login: the server responded with the status code 302 but did not return more information ${group}`,
  ],
  [
    "503",
    { status: 503, body: "" },
    `could not login: the server is currently unable to handle the request ${group}`,
  ],
  [
    "a message",
    { body: { status: { message: "some failure", credential: SERVER_MADE } } },
    "login failed: some failure",
  ],
  ["nothing", { body: { status: {} } }, "login failed: unknown cause"],
  ["an empty credential", succeed({}), "login failed: unknown cause"],
  [
    "no object",
    { status: 200, body: "<html>" },
    "could not login: the answer (200 OK) is no TokenCredentialRequest: is the endpoint that of a Concierge?",
  ],
];
for (const [what, answer, text] of texts) {
  test(`the text for ${what}, with the audit ID`, async () => {
    respond = () => ({ ...answer, headers: { "Audit-ID": "a-b-c" } });
    assert.equal(await refusal(call().result), `${text} (audit ID a-b-c)`);
    respond = () => answer;
    assert.equal(await refusal(call().result), text);
  });
}

test("Retry-After is obeyed while it fits into the 30 seconds", async () => {
  const clock = createManualClock();
  respond = (_request, number) =>
    number < 3
      ? { status: number === 1 ? 429 : 503, body: "", headers: { "retry-after": "2" } }
      : succeed(SERVER_MADE);
  const start = clock.now();
  const { result } = call({}, { clock });
  const deadline = performance.now() + 10_000;
  while (received.length < 3 && performance.now() < deadline) {
    await new Promise((resolve) => setImmediate(resolve));
    if (received.length * 2000 > clock.now() - start) {
      await clock.advance(received.length === 0 ? 0 : 2000);
    }
  }
  assert.deepEqual((await result).credential, SERVER_MADE);
  received = [];
  respond = () => ({ status: 503, body: "", headers: { "retry-after": "31" } });
  assert.match(await refusal(call().result), /currently unable/);
  assert.equal(received.length, 1);
});

test("an early renewal writes nothing to stderr, whatever the server warns of", async () => {
  respond = () => ({ ...succeed(SERVER_MADE), headers: { warning: '299 - "old"' } });
  const early = call({ interactive: false });
  await early.result;
  assert.equal(early.context.errors(), "");
  const late = call();
  await late.result;
  assert.equal(late.context.errors(), "Warning: old\n");
});

test("nothing but TLS 1.3 is spoken to a Concierge", async () => {
  const old = createTlsServer({
    key: certificate.privateKeyPem,
    cert: certificate.certificatePem,
    maxVersion: "TLSv1.2",
  });
  old.on("request", (_request, response) => response.writeHead(500).end());
  old.listen(0, "127.0.0.1");
  await once(old, "listening");
  try {
    const endpoint = `https://127.0.0.1:${(old.address() as AddressInfo).port}`;
    assert.equal(
      await refusal(call({}, {}, { endpoint }).result),
      `could not login: Post "${endpoint}/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests": remote error: tls: protocol version not supported (whatever answers at this address must speak TLS 1.3)`,
    );
  } finally {
    old.closeAllConnections();
    old.close();
  }
});
