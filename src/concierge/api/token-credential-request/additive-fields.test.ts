import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { createCertificationRequest } from "../../../pki/create-certification-request.ts";
import { generateP256KeyPair } from "../../../pki/p256-key-pair.ts";
import { encodePem } from "../../../pki/pem.ts";
import type { AuthenticatedIdentity, AuthenticatorSettings } from "../../authenticators/authenticator.ts";
import type { CredentialRequest } from "../../credentials/issue-credential.ts";
import { LOGIN, startHarness } from "../testing/harness.ts";
import type { Answer, CallOptions, Harness } from "../testing/harness.ts";

const GROUP = "login.concierge.pinniped.dev";
const JWT = { apiGroup: "authentication.concierge.pinniped.dev", kind: "JWTAuthenticator", name: "j" };
const WEBHOOK = { ...JWT, kind: "WebhookAuthenticator" };

let harness: Harness;
let verdict: AuthenticatedIdentity | undefined;
let settings: AuthenticatorSettings;
let denied: (who: { readonly username: string; readonly tokenID: string }) => boolean;
const asked: CredentialRequest[] = [];
const forms: boolean[] = [];

before(async () => {
  harness = await startHarness({
    credentialEvents: true,
    isDenied: (who) => denied(who),
    credentials: {
      formFor: (throughProxy) => {
        forms.push(throughProxy);
        return throughProxy ? "BearerToken" : "ClientCertificate";
      },
      issue: async (request) => {
        asked.push(request);
        return {
          value:
            request.form === "BearerToken"
              ? { token: "TOKEN" }
              : {
                  clientCertificateData: "CERT",
                  clientKeyData: request.publicKeyInfo === undefined ? "KEY" : undefined,
                },
          notBefore: new Date(Date.UTC(2026, 0, 1)),
          notAfter: new Date(Date.UTC(2026, 0, 1, 0, 10)),
          expirationTimestamp: new Date(Date.UTC(2026, 0, 1, 0, 9, 15)),
          grantedSeconds: 600,
          signer: "test",
          credentialID: () => "X509SHA256=00",
        };
      },
    },
  });
  for (const reference of [JWT, WEBHOOK]) {
    harness.authenticators.set(JSON.stringify(Object.values(reference)), {
      authenticate: async () => verdict,
      get settings() {
        return settings;
      },
      close: () => {},
    });
  }
});
after(() => harness.close());
beforeEach(() => {
  harness.audit.length = 0;
  asked.length = 0;
  forms.length = 0;
  verdict = { username: "jane", groups: ["ops"], extra: {}, tokenExpiresAt: 1_800_000_000_000 };
  settings = {};
  denied = () => false;
});

/** `spec` as JSON text where its numbers must reach the server as written. */
const create = (spec: object | string, extra: Partial<CallOptions> = {}): Promise<Answer> => {
  const text =
    typeof spec === "string"
      ? `{"token":"t","authenticator":${JSON.stringify(JWT)},${spec}}`
      : JSON.stringify({ token: "t", authenticator: JWT, ...spec });
  return harness.call({
    method: "POST",
    path: LOGIN,
    headers: { "content-type": "application/json" },
    body: `{"kind":"TokenCredentialRequest","apiVersion":"${GROUP}/v1alpha1","spec":${text}}`,
    ...extra,
  });
};
const throughProxy = (value: string) => ({
  headers: { "content-type": "application/json", "x-lanyard-through-proxy": value },
});
const causesOf = ({ body }: Answer): readonly { readonly field: string; readonly message: string }[] =>
  JSON.parse(body).details.causes;
const credentialOf = ({ body }: Answer): unknown => JSON.parse(body).status.credential;

const keyPair = generateP256KeyPair();
const request = createCertificationRequest({ username: "someone else", groups: ["admins"], keyPair });
/** The same request with another signature: form and key are fit. */
const forged = (() => {
  const der = Buffer.from(request.der);
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
  return encodePem("CERTIFICATE REQUEST", der);
})();

describe("S7: expirationSeconds", () => {
  test("reaches whoever decides, with the authenticator's bound and the token's end", async () => {
    settings = { maximumLifetimeSeconds: 120 };
    assert.equal((await create({ expirationSeconds: 3600 })).status, 201);
    assert.equal((await create({ expirationSeconds: null })).status, 201);
    const [given, absent] = asked;
    assert.equal(given?.requestedSeconds, 3600);
    assert.equal(given.authenticatorMaximumSeconds, 120);
    assert.equal(given.tokenExpiresAt, 1_800_000_000_000);
    assert.deepEqual(given.identity, { username: "jane", groups: ["ops"], extra: {} });
    assert.equal(absent?.requestedSeconds, undefined);
  });

  for (const [value, shown] of [
    ["59", "59"],
    ["0", "0"],
    ["-300", "-300"],
    ["60.5", "60.5"],
    ["2147483648", "2147483648"],
    ["1e400", "Infinity"],
    ["9007199254740993", "9007199254740992"],
    ['"300"', '"string"'],
    ["true", '"bool"'],
    ["[300]", '"array"'],
    ['{"seconds":300}', '"object"'],
  ] as const) {
    test(`${value} is a 422 that names the field, and nobody is asked`, async () => {
      const answer = await create(`"expirationSeconds":${value}`);
      assert.equal(answer.status, 422);
      assert.deepEqual(causesOf(answer), [
        {
          reason: "FieldValueInvalid",
          message: `Invalid value: ${shown}: must be a whole number of seconds from 60 to 2147483647`,
          field: "spec.expirationSeconds",
        },
      ]);
      assert.deepEqual(harness.audit, []);
      assert.equal(asked.length, 0);
    });
  }

  test("60 and the largest int32 are fit, in YAML too", async () => {
    for (const value of ["60", "2147483647", "300.0"]) {
      assert.equal((await create(`"expirationSeconds":${value}`)).status, 201, value);
    }
    const yaml = await create(
      {},
      {
        headers: { "content-type": "application/yaml" },
        body: `spec:\n  token: t\n  expirationSeconds: soon\n`,
      },
    );
    assert.equal(yaml.status, 422);
  });

  test("the contract's checks come first", async () => {
    const bad = { expirationSeconds: 1, certificateSigningRequest: "x" };
    assert.deepEqual(
      causesOf(await create({ ...bad, token: "" })).map(({ field }) => field),
      ["spec.token.value"],
    );
    assert.deepEqual(
      causesOf(await create(bad, { path: `${LOGIN}?dryRun=All` })).map(({ field }) => field),
      ["dryRun"],
    );
    assert.deepEqual(
      causesOf(await create(bad)).map(({ field }) => field),
      ["spec.expirationSeconds", "spec.certificateSigningRequest"],
    );
  });
});

describe("S8: certificateSigningRequest", () => {
  test("only the public key is taken, and the answer has no key", async () => {
    const answer = await create({ certificateSigningRequest: request.pem });
    assert.equal(answer.status, 201);
    assert.deepEqual(credentialOf(answer), {
      expirationTimestamp: "2026-01-01T00:09:15Z",
      clientCertificateData: "CERT",
    });
    assert.deepEqual(Buffer.from(asked[0]?.publicKeyInfo ?? []), Buffer.from(keyPair.spki));
    assert.equal(asked[0]?.identity.username, "jane");
  });

  test("wrong size, form or key type is a 422 before the token is looked at", async () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    for (const value of [
      "",
      "x",
      7,
      {},
      request.pem.repeat(2),
      " ".repeat(16_385),
      publicKey.export({ format: "pem", type: "spki" }),
    ]) {
      const answer = await create({ certificateSigningRequest: value });
      assert.equal(answer.status, 422, JSON.stringify(value));
      const [cause, ...more] = causesOf(answer);
      assert.equal(cause?.field, "spec.certificateSigningRequest");
      assert.match(cause.message, /^Invalid value: must be /);
      assert.deepEqual(more, []);
      assert.deepEqual(harness.audit, []);
    }
  });

  test("its signature is checked only after the token was accepted", async () => {
    verdict = undefined;
    const stranger = await create({ certificateSigningRequest: forged });
    assert.equal(stranger.status, 201);
    assert.match(stranger.body, /"message":"authentication failed"/);
    harness.audit.length = 0;

    verdict = { username: "jane", groups: [], extra: {} };
    const answer = await create({ certificateSigningRequest: forged });
    assert.equal(answer.status, 422);
    assert.deepEqual(causesOf(answer), [
      {
        reason: "FieldValueInvalid",
        message: "Invalid value: must be signed by the key that it holds",
        field: "spec.certificateSigningRequest",
      },
    ]);
    assert.equal(asked.length, 0);
    assert.deepEqual(harness.audit.slice(1), [
      {
        message: "TokenCredentialRequest Unexpected Error",
        auditID: String(answer.headers["audit-id"]),
        fields: {
          reason: "cert issuer returned an error",
          err: "spec.certificateSigningRequest must be signed by the key that it holds",
          authenticator: JWT,
        },
      },
    ]);
  });
});

describe("S9: the form of the answer", () => {
  test("a token for those who come through the proxy, whatever request they bring", async () => {
    for (const certificateSigningRequest of [undefined, request.pem, forged, "x", 7]) {
      const answer = await create({ certificateSigningRequest }, throughProxy("true"));
      assert.equal(answer.status, 201);
      assert.deepEqual(credentialOf(answer), {
        expirationTimestamp: "2026-01-01T00:09:15Z",
        token: "TOKEN",
      });
      assert.equal(asked.at(-1)?.publicKeyInfo, undefined);
      assert.equal(asked.at(-1)?.tokenID, createHash("sha256").update("t").digest("hex"));
    }
  });

  test("only the header's one value true says so", async () => {
    for (const value of ["True", "1", "", "true, true", "false"]) {
      await create({}, throughProxy(value));
    }
    await create(
      {},
      {
        headers: [
          "Content-Type",
          "application/json",
          "X-Lanyard-Through-Proxy",
          "true",
          "X-Lanyard-Through-Proxy",
          "true",
        ],
      },
    );
    await create({});
    assert.deepEqual(
      forms,
      Array.from({ length: 7 }, () => false),
    );
  });

  test("S3: mapped extras get a bearer credential or nothing", async () => {
    verdict = { username: "jane", groups: [], extra: { "example.com/a": ["1"], "example.com/b": ["2"] } };
    assert.match((await create({})).body, /authentication failed/);
    assert.deepEqual(credentialOf(await create({ authenticator: WEBHOOK }, throughProxy("true"))), undefined);
    assert.equal(asked.length, 0);
    assert.equal((await create({}, throughProxy("true"))).status, 201);
    assert.deepEqual(asked[0]?.identity.extra, verdict.extra);
    verdict = { ...verdict, extra: { "example.com/a": [" 1"], "example.com/b": ["2"] } };
    assert.match((await create({}, throughProxy("true"))).body, /authentication failed/);
    verdict = { ...verdict, uid: "u", extra: {} };
    assert.match((await create({}, throughProxy("true"))).body, /authentication failed/);
    assert.equal(asked.length, 1);
  });
});

test("S15: who is on the deny list gets nothing, by user or by token", async () => {
  const tokenID = createHash("sha256").update("t").digest("hex");
  for (const isListed of [
    (who: { username: string }) => who.username === "jane",
    (who: { tokenID: string }) => who.tokenID === tokenID,
  ]) {
    denied = isListed;
    harness.audit.length = 0;
    const answer = await create({});
    assert.equal(answer.status, 201);
    assert.match(answer.body, /"status":\{"message":"authentication failed"\}/);
    assert.equal(asked.length, 0);
    assert.deepEqual(harness.audit[1], {
      message: "TokenCredentialRequest Authentication Failed",
      auditID: String(answer.headers["audit-id"]),
      fields: { reason: "auth rejected by authenticator", authenticator: JWT },
    });
  }
});

describe("Credential Issued", () => {
  test("one more event, behind the contract's two", async () => {
    const answer = await create({ expirationSeconds: 900 });
    await create({});
    const auditID = String(answer.headers["audit-id"]);
    const tokenID = createHash("sha256").update("t").digest("hex");
    const fields = {
      grantedSeconds: 600,
      signer: "test",
      credentialID: "X509SHA256=00",
      authenticator: JWT,
      tokenID,
    };
    assert.deepEqual(
      harness.audit.map(({ message }) => message),
      [
        "TokenCredentialRequest Token Received",
        "TokenCredentialRequest Authenticated User",
        "Credential Issued",
        "TokenCredentialRequest Token Received",
        "TokenCredentialRequest Authenticated User",
        "Credential Issued",
      ],
    );
    assert.deepEqual(harness.audit[2], {
      message: "Credential Issued",
      auditID,
      fields: { requestedSeconds: 900, ...fields },
    });
    assert.deepEqual(harness.audit[5]?.fields, fields);
  });

  test("no such event unless it is switched on, and no ID is computed", async () => {
    const quiet = await startHarness({
      credentials: {
        formFor: () => "ClientCertificate",
        issue: async () => ({
          value: { clientCertificateData: "CERT" },
          notBefore: new Date(0),
          notAfter: new Date(0),
          expirationTimestamp: new Date(0),
          grantedSeconds: 0,
          signer: "test",
          credentialID: () => assert.fail("computed"),
        }),
      },
    });
    try {
      quiet.authenticators.set(JSON.stringify(Object.values(JWT)), {
        authenticate: async () => verdict,
        close: () => {},
      });
      const spec = { token: "t", authenticator: JWT };
      const answer = await quiet.call({
        method: "POST",
        path: LOGIN,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ spec }),
      });
      assert.equal(answer.status, 201);
      assert.equal(quiet.audit.length, 2);
    } finally {
      await quiet.close();
    }
  });
});
