import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { MAXIMUM_CLIENT_CERTIFICATE_BYTES } from "../../src/pki/client-certificate.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { startWebhook, type TestWebhook } from "../oidc/webhook.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import { type Installation, installConcierge, kubectl, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  type AuthenticatorName,
  authenticatorReference,
  exchangeObject,
  exchangePath,
  type IssuedCertificate,
  issuedCertificate,
  type SeenUser,
} from "./harness/exchange.ts";
import type { Answer, Caller } from "./harness/http.ts";

const clientId = "lifetimes-test";
const jane = { username: "jane", groups: ["apes"] };
const jwt: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
const hook: AuthenticatorName = { kind: "WebhookAuthenticator", name: "webhook" };
const second = 1000;

/** As many names as were once seen in the field, of the length that makes 57,000 characters. */
const manyGroups = Array.from({ length: 571 }, (_, index) => `group-${index}-`.padEnd(100, "x"));

describe("lifetimes and keys of callers, through a real kube-apiserver", () => {
  let cluster: Cluster;
  let concierge: Installation;
  let issuer: TestIssuer;
  let webhook: TestWebhook;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-lifetimes-"));
    issuer = await startIssuer({ clientId, users: [jane] });
    webhook = await startWebhook({
      tokens: { "many-groups": { username: "many", groups: manyGroups } },
      intercept: ({ body }, response) => {
        // `size-65000` is somebody with one group of that many characters.
        const { apiVersion, spec } = body as { apiVersion: string; spec: { token: string } };
        const size = /^size-(\d+)$/.exec(spec.token)?.[1];
        if (size === undefined) {
          return false;
        }
        const user = { username: "big", groups: ["g".repeat(Number(size))] };
        const review = { kind: "TokenReview", apiVersion, status: { authenticated: true, user } };
        response.setHeader("content-type", "application/json").end(JSON.stringify(review));
        return true;
      },
    });
    cluster = await startCluster({ name: `lifetimes-${process.pid}`, progress: () => {} });
    concierge = await installConcierge(cluster, { values: ["audit.credentialEvents=enabled"] });
    await waitUntilServing(concierge);
    await applyAuthenticator(cluster, jwt, {
      issuer: issuer.issuerUrl,
      audience: clientId,
      tls: inlineBundle(issuer.caPem),
    });
    await applyAuthenticator(cluster, hook, {
      endpoint: webhook.endpoint,
      tls: inlineBundle(webhook.caPem),
    });
    await authenticatorInPhase(cluster, jwt, "Ready");
    await authenticatorInPhase(cluster, hook, "Ready");
    await eventually("first exchanges", async () => {
      const answers = [await post(), await post({}, "many-groups", hook)];
      return answers.every(({ text }) => text.includes("clientKeyData"));
    });
  });
  after(async () => {
    await concierge?.close();
    await issuer?.stop();
    await webhook?.stop();
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const janesToken = (seconds = 300) =>
    issuer.signToken({ sub: "jane", ...jane, exp: Math.floor(Date.now() / second) + seconds });
  const post = async (
    spec: Readonly<Record<string, unknown>> = {},
    token?: string,
    authenticator = jwt,
  ): Promise<Answer> => {
    const object = exchangeObject(token ?? (await janesToken()), authenticator) as { readonly spec: object };
    return await concierge.api(exchangePath, {
      body: JSON.stringify({ ...object, spec: { ...object.spec, ...spec } }),
    });
  };
  /** The lifetime that was granted, backdating and lead, in seconds. */
  const times = (issued: IssuedCertificate) => {
    const { validFromDate, validToDate } = new X509Certificate(issued.certificatePem);
    const now = Date.now();
    return {
      lived: Math.round((validToDate.getTime() - now) / second),
      backdated: Math.round((now - validFromDate.getTime()) / second),
      lead: (validToDate.getTime() - Date.parse(issued.expirationTimestamp)) / second,
    };
  };
  const assertNear = (actual: number, expected: number, what: string): void =>
    assert.ok(Math.abs(actual - expected) <= 5, `${what}: ${actual} is not about ${expected}`);
  const patch = (spec: object): Promise<string> =>
    kubectl(cluster, [
      "patch",
      "credentialissuer",
      `${concierge.app}-config`,
      "--type=merge",
      `--patch=${JSON.stringify({ spec })}`,
    ]);
  /** Changes the CredentialIssuer and waits until it counts. */
  const settle = async (
    clientCertificate: Readonly<Record<string, number | boolean | null>> | null,
    expected: number,
    spec: Readonly<Record<string, unknown>> = {},
    tokenSeconds = 86_400,
  ): Promise<IssuedCertificate> => {
    await patch({ clientCertificate: null });
    await patch({ clientCertificate });
    return await eventually(
      `a lifetime of ${expected} s`,
      async () => {
        const issued = issuedCertificate(await post(spec, await janesToken(tokenSeconds)));
        return Math.abs(times(issued).lived - expected) <= 5 ? issued : undefined;
      },
      { seconds: 15 },
    );
  };
  /** Whom the kube-apiserver sees. */
  const selfSubjectReview = async (
    caller: Caller,
    options: { readonly agent?: Agent } = {},
  ): Promise<SeenUser> => {
    const answer = await concierge.api("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
      body: JSON.stringify({ kind: "SelfSubjectReview", apiVersion: "authentication.k8s.io/v1" }),
      caller,
      ...options,
    });
    assert.equal(answer.status, 201, answer.text);
    return (JSON.parse(answer.text) as { readonly status: { readonly userInfo: SeenUser } }).status.userInfo;
  };
  const causes = (answer: Answer): readonly { readonly field: string; readonly message: string }[] => {
    assert.equal(answer.status, 422, answer.text);
    return (
      JSON.parse(answer.text) as {
        readonly details: { readonly causes: readonly { field: string; message: string }[] };
      }
    ).details.causes;
  };
  const auditLines = (message: string): readonly Readonly<Record<string, unknown>>[] =>
    (concierge.replicas[0]?.log() ?? "")
      .split("\n")
      .filter((line) => line.startsWith("{") && line.includes('"auditEvent":true'))
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
      .filter((line) => line["message"] === message);

  describe("the CredentialIssuer", () => {
    it("says nothing: five minutes back and forth, reported 45 seconds early", async () => {
      const { lived, backdated, lead } = times(issuedCertificate(await post()));
      assertNear(lived, 300, "lifetime");
      assertNear(backdated, 300, "backdating");
      assert.equal(lead, 45);
    });

    it("is in force at once when it is edited, without a restart", async () => {
      const process = concierge.replicas[0]?.process;
      const long = times(
        await settle({ lifetimeSeconds: 900, backdateSeconds: 60, refreshLeadSeconds: 90 }, 900),
      );
      assertNear(long.backdated, 60, "backdating");
      assert.equal(long.lead, 90);
      const day = await settle({ lifetimeSeconds: 86_400 }, 86_400, {}, 100_000);
      assert.equal((await selfSubjectReview(day)).username, "jane");
      // A lead of more than 15 percent, and a maximum below the lifetime.
      const short = await settle(
        { lifetimeSeconds: 900, maximumLifetimeSeconds: 100, refreshLeadSeconds: 3600 },
        100,
      );
      assert.equal(times(short).lead, 15);
      await settle(null, 300);
      assert.equal(process?.exitCode, null);
      assert.equal(concierge.replicas[0]?.process, process);
    });

    it("holds a credential to its token, above five minutes, unless it says otherwise (S7)", async () => {
      const hour = { lifetimeSeconds: 3600 };
      await settle(hour, 400, {}, 400);
      await settle(hour, 300, {}, 30);
      await settle({ ...hour, boundToToken: false }, 3600, {}, 30);
      await settle(null, 300);
    });

    it("cannot be made to say what the schema refuses", async () => {
      await assert.rejects(patch({ clientCertificate: { lifetimeSeconds: 59 } }), /lifetimeSeconds/);
      await assert.rejects(patch({ clientCertificate: { maximumLifetimeSeconds: 86_401 } }), /maximum/);
    });
  });

  describe("spec.expirationSeconds", () => {
    it("is what was asked for, clamped to what may be", async () => {
      await settle({ maximumLifetimeSeconds: 1200 }, 1200, { expirationSeconds: 2 ** 31 - 1 });
      for (const [asked, granted] of [
        [60, 60],
        [700, 700],
        [1200, 1200],
        [1201, 1200],
      ] as const) {
        const issued = issuedCertificate(await post({ expirationSeconds: asked }, await janesToken(4000)));
        assertNear(times(issued).lived, granted, `asked for ${asked}`);
        assert.equal((await selfSubjectReview(issued)).username, "jane");
      }
    });

    it("cannot go beyond the authenticator's own bound", async () => {
      const spec = (credential: object | null) =>
        kubectl(cluster, [
          "patch",
          "jwtauthenticator",
          jwt.name,
          "--type=merge",
          `--patch=${JSON.stringify({ spec: { credential } })}`,
        ]);
      await spec({ maximumLifetimeSeconds: 90 });
      await eventually("the authenticator's bound", async () => {
        const { lived } = times(issuedCertificate(await post({ expirationSeconds: 600 })));
        return lived <= 90;
      });
      await spec(null);
      await authenticatorInPhase(cluster, jwt, "Ready");
      await settle(null, 300);
    });

    it("of another kind is a 422 with a cause that names the field", async () => {
      for (const expirationSeconds of [59, 0, -1, 60.5, 2 ** 31, "300", true, [], {}]) {
        const [cause] = causes(await post({ expirationSeconds }));
        assert.equal(cause?.field, "spec.expirationSeconds");
      }
    });
  });

  describe("spec.certificateSigningRequest", () => {
    const openssl = (...args: readonly string[]): void => {
      const { status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
      assert.equal(status, 0, stderr);
    };
    /** A request as a stranger to this code makes it, for a subject that must not count. */
    const requestWith = (name: string, keyArgs: readonly string[]): { key: string; request: string } => {
      openssl("genpkey", ...keyArgs, "-out", `${name}.key`);
      openssl(
        "req",
        "-new",
        "-key",
        `${name}.key`,
        "-subj",
        "/O=system:masters/CN=root",
        "-out",
        `${name}.csr`,
      );
      return {
        key: readFileSync(join(folder, `${name}.key`), "utf8"),
        request: readFileSync(join(folder, `${name}.csr`), "utf8"),
      };
    };
    const rsa = (bits: number, exponent = 65_537) => [
      "-algorithm",
      "RSA",
      "-pkeyopt",
      `rsa_keygen_bits:${bits}`,
      "-pkeyopt",
      `rsa_keygen_pubexp:${exponent}`,
    ];
    const ec = (curve: string) => ["-algorithm", "EC", "-pkeyopt", `ec_paramgen_curve:${curve}`];

    for (const [name, args] of [
      ["RSA 2048", rsa(2048)],
      ["RSA 4096", rsa(4096)],
      ["P-256", ec("P-256")],
      ["P-384", ec("P-384")],
      ["Ed25519", ["-algorithm", "ed25519"]],
    ] as const) {
      it(`with a key of ${name}: the key stays here, and the kube-apiserver takes the certificate`, async () => {
        const { key, request } = requestWith(name.replace(" ", "-"), args);
        const answer = await post({ certificateSigningRequest: request });
        assert.equal(answer.text.includes("clientKeyData"), false);
        const issued = issuedCertificate(answer);
        const seen = await selfSubjectReview({ certificatePem: issued.certificatePem, privateKeyPem: key });
        assert.equal(seen.username, "jane");
        assert.deepEqual(seen.groups, ["apes", "system:authenticated"]);
      });
    }

    for (const [name, args] of [
      ["RSA 1024", rsa(1024)],
      ["RSA 2048 with exponent 3", rsa(2048, 3)],
      ["P-521", ec("P-521")],
      ["secp256k1", ec("secp256k1")],
      ["Ed448", ["-algorithm", "ed448"]],
    ] as const) {
      it(`with a key of ${name} is refused before the token is looked at`, async () => {
        const { request } = requestWith("refused", args);
        const [cause] = causes(await post({ certificateSigningRequest: request }, "not-a-token"));
        assert.equal(cause?.field, "spec.certificateSigningRequest");
      });
    }

    it("that another key signed is refused, but only whom the authenticator knows gets to hear it", async () => {
      const { request } = requestWith("P-256", ec("P-256"));
      const other = requestWith("other", ec("P-256"));
      const body = (pem: string): Buffer => Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
      const forged = body(request);
      // The last 60 bytes are deep in the signature, in both.
      body(other.request).copy(forged, forged.length - 20, body(other.request).length - 20);
      writeFileSync(join(folder, "forged.der"), forged);
      openssl("base64", "-in", "forged.der", "-out", "forged.b64");
      const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${readFileSync(join(folder, "forged.b64"), "utf8")}-----END CERTIFICATE REQUEST-----\n`;
      const [cause] = causes(await post({ certificateSigningRequest: pem }));
      assert.deepEqual(
        [cause?.field, cause?.message],
        ["spec.certificateSigningRequest", "Invalid value: must be signed by the key that it holds"],
      );
      const stranger = await post({ certificateSigningRequest: pem }, "not-a-token");
      assert.equal(stranger.status, 201);
      assert.match(stranger.text, /authentication failed/);
    });

    it("that is no PKCS#10 request or too long is refused", async () => {
      for (const text of ["", "hello", issuer.caPem, "x".repeat(16_385)]) {
        const [cause] = causes(await post({ certificateSigningRequest: text }));
        assert.equal(cause?.field, "spec.certificateSigningRequest");
      }
    });
  });

  describe("clocks that differ by ten seconds", () => {
    /** As a program with that clock would judge the chain. */
    const verifyAt = (issued: IssuedCertificate, at: number): string => {
      writeFileSync(join(folder, "leaf.crt"), issued.certificatePem);
      const { stdout, stderr } = spawnSync(
        "openssl",
        [
          "verify",
          "-attime",
          String(Math.floor(at / second)),
          "-purpose",
          "sslclient",
          "-CAfile",
          cluster.ca.cert,
          join(folder, "leaf.crt"),
        ],
        { encoding: "utf8" },
      );
      return `${stdout}${stderr}`;
    };

    it("find a certificate usable at once, and its reported expiry never behind NotAfter", async () => {
      for (const lifetime of [60, 300]) {
        const issued = issuedCertificate(await post({ expirationSeconds: lifetime }));
        const now = Date.now();
        const notAfter = new X509Certificate(issued.certificatePem).validToDate.getTime();
        const reported = Date.parse(issued.expirationTimestamp);
        assert.ok(reported <= notAfter);
        for (const skew of [-10, 0, 10]) {
          const clock = now + skew * second;
          assert.match(verifyAt(issued, clock), /: OK$/m);
          // Whoever goes by what was reported has a use for it.
          assert.ok(reported > clock);
        }
        assert.match(verifyAt(issued, notAfter + 2 * second), /expired/);
        assert.equal((await selfSubjectReview(issued)).username, "jane");
      }
      // Ten seconds behind, the last moment that the client believes in is still before the end.
      const issued = issuedCertificate(await post());
      assert.match(verifyAt(issued, Date.parse(issued.expirationTimestamp) + 10 * second), /: OK$/m);
    });
  });

  describe("the event Credential Issued", () => {
    it("has what joins it with the kube-apiserver's own audit lines", async () => {
      const answer = await post({ expirationSeconds: 120 });
      const auditID = String(answer.headers["audit-id"]).split(", ")[0];
      const issued = issuedCertificate(answer);
      const seen = await selfSubjectReview(issued);
      const [line, ...more] = await eventually("the event", async () => {
        const lines = auditLines("Credential Issued").filter((each) => each["auditID"] === auditID);
        return lines.length > 0 && lines;
      });
      assert.deepEqual(more, []);
      assert.deepEqual(
        [line?.["requestedSeconds"], line?.["grantedSeconds"], line?.["signer"]],
        [120, 120, "impersonation-proxy-signing-cert"],
      );
      assert.deepEqual(line?.["authenticator"], authenticatorReference(jwt));
      assert.deepEqual(seen.extra?.["authentication.kubernetes.io/credential-id"], [line?.["credentialID"]]);
      const [received] = auditLines("TokenCredentialRequest Token Received").filter(
        (each) => each["auditID"] === auditID,
      );
      assert.equal(line?.["tokenID"], received?.["tokenID"]);
    });
  });

  describe("many groups", () => {
    it("571 groups and 57,000 characters of them work", async () => {
      const issued = issuedCertificate(await post({}, "many-groups", hook));
      const seen = await selfSubjectReview(issued);
      assert.deepEqual(new Set(seen.groups), new Set([...manyGroups, "system:authenticated"]));
      // And straight through to our own API, where they are headers.
      const answer = await concierge.api("/apis/identity.concierge.pinniped.dev/v1alpha1/whoamirequests", {
        body: JSON.stringify({
          kind: "WhoAmIRequest",
          apiVersion: "identity.concierge.pinniped.dev/v1alpha1",
        }),
        caller: issued,
      });
      assert.equal(answer.status, 201, answer.text);
    });

    it("the largest certificate that is issued is one that the kube-apiserver reads, and one more is refused with the reason", async () => {
      const attempt = (size: number): Promise<Answer> => post({}, `size-${size}`, hook);
      let low = 57_000;
      let high = MAXIMUM_CLIENT_CERTIFICATE_BYTES;
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2);
        if ((await attempt(middle)).text.includes("clientKeyData")) {
          low = middle;
        } else {
          high = middle;
        }
      }
      // Signatures differ by a few bytes. This client sends the CA's certificate along.
      const issued = issuedCertificate(await attempt(low - 8));
      assert.ok(
        new X509Certificate(issued.certificatePem).raw.length > MAXIMUM_CLIENT_CERTIFICATE_BYTES - 24,
      );
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const agent = new Agent({ keepAlive: false, minVersion: version, maxVersion: version });
        assert.equal((await selfSubjectReview(issued, { agent })).username, "big");
      }
      const refused = await attempt(high + 8);
      assert.equal(refused.status, 201);
      assert.match(refused.text, /"message":"authentication failed"/);
      const auditID = String(refused.headers["audit-id"]).split(", ")[0];
      const line = await eventually("the audit line", async () =>
        auditLines("TokenCredentialRequest Unexpected Error").find((each) => each["auditID"] === auditID),
      );
      assert.equal(line["reason"], "cert issuer returned an error");
      assert.match(String(line["err"]), /username and groups do not fit into a client certificate/);
    });
  });

  it("no key is in the log", () => {
    assert.doesNotMatch(concierge.replicas[0]?.log() ?? "", /PRIVATE KEY/);
  });
});
