import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { AuthenticationV1Api, CustomObjectsApi, KubeConfig } from "@kubernetes/client-node";
import { stringify } from "yaml";

import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { startWebhook, type TestWebhook } from "../oidc/webhook.ts";
import {
  applyAuthenticator,
  authenticatorInPhase,
  conditionTexts,
  expectedConditions,
  getAuthenticator,
  inlineBundle,
  unable,
} from "./harness/authenticators.ts";
import { straightAt } from "./harness/callers.ts";
import { type Installation, installConcierge, kubectl, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  authenticationGroup,
  type AuthenticatorName,
  exchange,
  exchangeFailed,
  exchangeObject,
  exchangePath,
  type IssuedCertificate,
  issuedCertificate,
  loginGroup,
  postExchange,
  whoAmI,
} from "./harness/exchange.ts";
import { readText } from "./harness/http.ts";

const clientId = "exchange-test";
const jane = { username: "jane", groups: ["apes", "zebras"] };
const jwt: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
const webhookAuthenticator: AuthenticatorName = { kind: "WebhookAuthenticator", name: "webhook" };

describe("the exchange through a real kube-apiserver", () => {
  let cluster: Cluster;
  let concierge: Installation;
  let issuer: TestIssuer;
  let webhook: TestWebhook;

  before(async () => {
    const users = [jane, { username: "root", groups: ["apes", "system:masters"] }];
    issuer = await startIssuer({ clientId, users });
    webhook = await startWebhook({
      tokens: {
        "opaque-good": { username: "hook", groups: ["hooked", "apes"] },
        "opaque-uid": { username: "hook", uid: "1" },
      },
    });
    cluster = await startCluster({ name: `exchange-${process.pid}`, progress: () => {} });
    concierge = await installConcierge(cluster);
    await waitUntilServing(concierge);
    await applyAuthenticator(cluster, jwt, jwtSpec());
    await applyAuthenticator(cluster, webhookAuthenticator, webhookSpec());
    await authenticatorInPhase(cluster, jwt, "Ready");
    await authenticatorInPhase(cluster, webhookAuthenticator, "Ready");
    // The status is written a moment before the authenticator is in force.
    await eventually("a first exchange", async () =>
      (await postExchange(concierge, await janesToken(), jwt)).text.includes("clientKeyData"),
    );
    await eventually("a first exchange", async () =>
      (await postExchange(concierge, "opaque-good", webhookAuthenticator)).text.includes("clientKeyData"),
    );
  });
  after(async () => {
    await concierge?.close();
    await issuer?.stop();
    await webhook?.stop();
    await cluster?.stop();
  });

  const jwtSpec = (tls: object = inlineBundle(issuer.caPem)) => ({
    issuer: issuer.issuerUrl,
    audience: clientId,
    tls,
  });
  const webhookSpec = (tls: object = inlineBundle(webhook.caPem)) => ({ endpoint: webhook.endpoint, tls });
  const janesToken = () => issuer.signToken({ sub: "jane", ...jane });
  const assertFails = async (token: string, authenticator: AuthenticatorName): Promise<void> => {
    const answer = await postExchange(concierge, token, authenticator);
    assert.deepEqual([answer.status, answer.text], [201, exchangeFailed]);
  };
  /** A kubeconfig with what was issued, as a user would have it. */
  const kubectlAs = async (issued: IssuedCertificate, args: readonly string[]) => {
    const folder = mkdtempSync(join(tmpdir(), "lanyard-exchange-"));
    try {
      const path = join(folder, "kubeconfig");
      const base64 = (text: string) => Buffer.from(text).toString("base64");
      const user = {
        "client-certificate-data": base64(issued.certificatePem),
        "client-key-data": base64(issued.privateKeyPem),
      };
      const config = {
        apiVersion: "v1",
        kind: "Config",
        clusters: [
          {
            name: "c",
            cluster: {
              server: cluster.serverUrl,
              "certificate-authority-data": base64(readText(cluster.ca.cert)),
            },
          },
        ],
        users: [{ name: "u", user }],
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        "current-context": "x",
      };
      writeFileSync(path, stringify(config), { mode: 0o600 });
      return await cluster.exec(["kubectl", `--kubeconfig=${path}`, ...args]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  const credentialId = (issued: IssuedCertificate): string =>
    `X509SHA256=${new X509Certificate(issued.certificatePem).fingerprint256.replaceAll(":", "").toLowerCase()}`;

  describe("a good token", () => {
    it("of a real login buys a certificate that the kube-apiserver takes for this user", async () => {
      const token = await issuer.getIdToken({ username: "jane" });
      const asked = Date.now();
      const answer = await postExchange(concierge, token, jwt);
      const answered = Date.now();
      const issued = issuedCertificate(answer);
      const escaped = (text: string) => JSON.stringify(text).slice(1, -1);
      assert.equal(
        answer.text,
        exchangeFailed.replace(
          '{"message":"authentication failed"}',
          `{"credential":{"expirationTimestamp":"${issued.expirationTimestamp}","clientCertificateData":"${escaped(issued.certificatePem)}","clientKeyData":"${escaped(issued.privateKeyPem)}"}}`,
        ),
      );
      assert.match(answer.text, /^[^\n]*\n$/);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.match(
        issued.privateKeyPem,
        /^-----BEGIN PRIVATE KEY-----\n[\s\S]+\n-----END PRIVATE KEY-----\n$/,
      );
      assert.equal(issued.certificatePem.split("BEGIN CERTIFICATE").length, 2);

      const certificate = new X509Certificate(issued.certificatePem);
      assert.match(issued.expirationTimestamp, /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/);
      // A changed default: clients are told to renew 45 s before the end (docs/extensions.md).
      assert.equal(certificate.validToDate.getTime(), Date.parse(issued.expirationTimestamp) + 45_000);
      for (const [edge, offset] of [
        [certificate.validToDate, 300_000],
        [certificate.validFromDate, -300_000],
      ] as const) {
        assert.ok(edge.getTime() >= asked + offset - 2000 && edge.getTime() <= answered + offset + 2000);
      }

      const groups = [...jane.groups, "system:authenticated"];
      assert.deepEqual(await whoAmI(concierge, issued), {
        username: "jane",
        groups,
        extra: { "authentication.kubernetes.io/credential-id": [credentialId(issued)] },
      });
      const review = await kubectlAs(issued, ["auth", "whoami", "--output=json"]);
      assert.equal(review.code, 0, review.stderr);
      assert.deepEqual((JSON.parse(review.stdout) as { status: object }).status, {
        userInfo: {
          username: "jane",
          groups,
          extra: { "authentication.kubernetes.io/credential-id": [credentialId(issued)] },
        },
      });
    });

    it("gives the rights of the user and of each group, and no others", async () => {
      const issued = await exchange(concierge, await janesToken(), jwt);
      const canI = async (...args: string[]) =>
        (await kubectlAs(issued, ["auth", "can-i", ...args])).stdout.trim();
      assert.equal(await canI("list", "secrets"), "no");
      await kubectl(cluster, [
        "create",
        "clusterrole",
        "reader",
        "--verb=list",
        "--resource=configmaps,pods",
      ]);
      await kubectl(cluster, ["create", "rolebinding", "zebras", "--clusterrole=reader", "--group=zebras"]);
      await eventually("the group's rights", async () => (await canI("list", "configmaps")) === "yes");
      const listed = await kubectlAs(issued, ["get", "configmaps", "--output=name"]);
      assert.match(listed.stdout, /^configmap\/kube-root-ca\.crt$/m);
      await kubectl(cluster, ["create", "rolebinding", "jane", "--clusterrole=view", "--user=jane"]);
      await eventually("the user's rights", async () => (await canI("list", "services")) === "yes");
      assert.equal(await canI("list", "secrets"), "no");
    });

    it("of a webhook buys one as well", async () => {
      const before = webhook.seen.length;
      const issued = await exchange(concierge, "opaque-good", webhookAuthenticator);
      const seen = await whoAmI(concierge, issued);
      assert.deepEqual(
        [seen.username, seen.groups?.toSorted()],
        ["hook", ["apes", "hooked", "system:authenticated"]],
      );
      const [review, ...others] = webhook.seen.slice(before);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [review?.method, review?.url, review?.body],
        [
          "POST",
          "/authenticate?timeout=30s",
          {
            kind: "TokenReview",
            apiVersion: "authentication.k8s.io/v1beta1",
            spec: { token: "opaque-good" },
          },
        ],
      );
    });

    it("works for a client that is not ours", async () => {
      const server = {
        name: "c",
        server: cluster.serverUrl,
        caData: Buffer.from(readText(cluster.ca.cert)).toString("base64"),
        skipTLSVerify: false,
      };
      const anonymous = new KubeConfig();
      anonymous.loadFromClusterAndUser(server, { name: "nobody" });
      const created = (await anonymous.makeApiClient(CustomObjectsApi).createClusterCustomObject({
        group: loginGroup,
        version: "v1alpha1",
        plural: "tokencredentialrequests",
        body: exchangeObject(await janesToken(), jwt),
      })) as { status: { credential: Record<"clientCertificateData" | "clientKeyData", string> } };
      const { clientCertificateData, clientKeyData } = created.status.credential;
      const asJane = new KubeConfig();
      asJane.loadFromClusterAndUser(server, {
        name: "jane",
        certData: Buffer.from(clientCertificateData).toString("base64"),
        keyData: Buffer.from(clientKeyData).toString("base64"),
      });
      const review = await asJane.makeApiClient(AuthenticationV1Api).createSelfSubjectReview({
        body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
      });
      assert.equal(review.status?.userInfo?.username, "jane");
      assert.deepEqual(review.status?.userInfo?.groups, [...jane.groups, "system:authenticated"]);
    });

    it("never gives the same key or serial number twice", async () => {
      const token = await janesToken();
      const certificates = await Promise.all(
        Array.from(
          { length: 5 },
          async () => new X509Certificate((await exchange(concierge, token, jwt)).certificatePem),
        ),
      );
      assert.equal(new Set(certificates.map(({ serialNumber }) => serialNumber)).size, 5);
      const keys = certificates.map(({ publicKey }) =>
        publicKey.export({ type: "spki", format: "der" }).toString("hex"),
      );
      assert.equal(new Set(keys).size, 5);
    });
  });

  describe("what cannot be authenticated has one answer", () => {
    it("wrong tokens", async () => {
      const now = Math.floor(Date.now() / 1000);
      const good = await janesToken();
      const tokens = {
        nonsense: "nonsense",
        "another's": await issuer.signToken({ ...jane, iss: "https://elsewhere.example.com" }),
        "for others": await issuer.signToken({ ...jane, aud: "others" }),
        expired: await issuer.signToken({ ...jane, exp: now - 1 }),
        endless: await issuer.signToken({ ...jane, exp: undefined }),
        "not yet": await issuer.signToken({ ...jane, nbf: now + 90 }),
        changed: `${good.slice(0, -8)}${good.slice(-8) === "AAAAAAAA" ? "BBBBBBBB" : "AAAAAAAA"}`,
        unsigned: `${Buffer.from('{"alg":"none"}').toString("base64url")}.${good.split(".")[1] ?? ""}.`,
        "without a name": await issuer.signToken({ groups: ["apes"] }),
        "an empty name": await issuer.signToken({ username: "" }),
        "a name that HTTP changes": await issuer.signToken({ username: " jane" }),
        "too long": "x".repeat(64 * 1024 + 1),
      };
      for (const [what, token] of Object.entries(tokens)) {
        const answer = await postExchange(concierge, token, jwt);
        assert.deepEqual([answer.status, answer.text], [201, exchangeFailed], what);
      }
      await assertFails("opaque-bad", webhookAuthenticator);
      await assertFails("opaque-uid", webhookAuthenticator);
    });

    it("a token over 64 KiB, which no webhook ever sees", async () => {
      const seen = webhook.seen.length;
      await assertFails("x".repeat(64 * 1024 + 1), webhookAuthenticator);
      assert.equal(webhook.seen.length, seen);
      await assertFails("x".repeat(64 * 1024), webhookAuthenticator);
      assert.equal(webhook.seen.length, seen + 1);
    });

    it("unknown authenticators", async () => {
      const token = await janesToken();
      await assertFails(token, { ...jwt, name: "Company" });
      await assertFails(token, { ...jwt, kind: "WebhookAuthenticator" });
      for (const apiGroup of [
        null,
        "",
        "authentication.concierge.example.com",
        authenticationGroup.toUpperCase(),
      ]) {
        const spec = { token, authenticator: { ...jwt, apiGroup } };
        const answer = await concierge.api(exchangePath, { body: JSON.stringify({ spec }) });
        assert.deepEqual([answer.status, answer.text], [201, exchangeFailed], String(apiGroup));
      }
      const answer = await concierge.api(exchangePath, { body: JSON.stringify({ spec: { token } }) });
      assert.deepEqual([answer.status, answer.text], [201, exchangeFailed]);
    });

    it("reserved identities, whatever the issuer signs (S1)", async () => {
      await assertFails(await issuer.getIdToken({ username: "root" }), jwt);
      for (const claims of [
        { username: "kubernetes-admin" },
        { username: "system:admin" },
        { username: "front-proxy-client" },
        { username: "jane", groups: ["kubeadm:cluster-admins"] },
        { username: "jane", groups: ["system:nodes"] },
      ]) {
        await assertFails(await issuer.signToken(claims), jwt);
      }
      const issued = await exchange(
        concierge,
        await issuer.signToken({ username: "jane", groups: ["system:authenticated", "apes"] }),
        jwt,
      );
      // Dropped before signing: the kube-apiserver adds it by itself.
      assert.doesNotMatch(new X509Certificate(issued.certificatePem).subject, /system:/);
    });
  });

  describe("requests that are not in order", () => {
    const post = (
      body: string,
      { query = "", headers = {} }: { query?: string; headers?: Record<string, string> } = {},
    ) => concierge.api(`${exchangePath}${query}`, { body, headers });
    const invalid = (message: string, cause: object) =>
      `${JSON.stringify({
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Failure",
        message: `.login.concierge.pinniped.dev "" is invalid: ${message}`,
        reason: "Invalid",
        details: { group: "login.concierge.pinniped.dev", causes: [cause] },
        code: 422,
      })}\n`;
    const status = (text: string) =>
      JSON.parse(text) as { kind: string; reason: string; message: string; code: number };

    it("no token: 422", async () => {
      const expected = invalid("spec.token.value: Required value: token must be supplied", {
        reason: "FieldValueRequired",
        message: "Required value: token must be supplied",
        field: "spec.token.value",
      });
      for (const body of ["{}", '{"spec":{}}', JSON.stringify(exchangeObject("", jwt))]) {
        const answer = await post(body);
        assert.deepEqual([answer.status, answer.text], [422, expected], body);
      }
    });

    it("a dry run: 422", async () => {
      const answer = await post(JSON.stringify(exchangeObject(await janesToken(), jwt)), {
        query: "?dryRun=All",
      });
      const expected = invalid('dryRun: Unsupported value: []string{"All"}', {
        reason: "FieldValueNotSupported",
        message: 'Unsupported value: []string{"All"}',
        field: "dryRun",
      });
      assert.deepEqual([answer.status, answer.text], [422, expected]);
    });

    it("more than 3 MiB: 413", async () => {
      const limit = 3 * 1024 * 1024;
      const [replica] = concierge.replicas;
      assert.ok(replica);
      const straight = await straightAt(concierge, replica);
      const body = JSON.stringify(exchangeObject("x".repeat(limit), jwt));
      // The answer comes before the body is read, and has to arrive all the same: every time.
      for (let round = 0; round < 10; round++) {
        for (const answer of [await post(body), await straight(exchangePath, { body })]) {
          assert.equal(answer.status, 413, answer.text);
          assert.equal(
            answer.text,
            '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Request entity too large: limit is 3145728","reason":"RequestEntityTooLarge","code":413}\n',
          );
        }
      }
      // Just below, it is only a token that is too long.
      const frame = JSON.stringify(exchangeObject("", jwt)).length;
      const below = await post(JSON.stringify(exchangeObject("x".repeat(limit - frame), jwt)));
      assert.deepEqual([below.status, below.text], [201, exchangeFailed]);
    });

    it("forms that it does not know: 415 and 406", async () => {
      const body = JSON.stringify(exchangeObject(await janesToken(), jwt));
      for (const type of [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/vnd.kubernetes.protobuf",
      ]) {
        const answer = await post(body, { headers: { "content-type": type } });
        assert.deepEqual([answer.status, status(answer.text).reason], [415, "UnsupportedMediaType"], type);
      }
      for (const accept of ["text/html", "application/vnd.kubernetes.protobuf"]) {
        const answer = await post(body, { headers: { accept } });
        assert.deepEqual([answer.status, status(answer.text).reason], [406, "NotAcceptable"], accept);
      }
    });

    it("unknown fields: a warning, an error or nothing, as asked", async () => {
      const object = exchangeObject(await janesToken(), jwt) as { spec: object };
      const body = JSON.stringify({ ...object, extra: 1, spec: { ...object.spec, surprise: true } });
      for (const query of ["", "?fieldValidation=Warn"]) {
        const warned = await post(body, { query });
        assert.equal(warned.status, 201);
        issuedCertificate(warned);
        assert.equal(
          warned.headers["warning"],
          '299 - "unknown field \\"spec.surprise\\"", 299 - "unknown field \\"extra\\""',
        );
      }
      const ignored = await post(body, { query: "?fieldValidation=Ignore" });
      issuedCertificate(ignored);
      assert.equal(ignored.headers["warning"], undefined);
      const strict = await post(body, { query: "?fieldValidation=Strict" });
      assert.equal(strict.status, 400);
      assert.deepEqual(
        [status(strict.text).reason, status(strict.text).message],
        [
          "BadRequest",
          'TokenCredentialRequest in version "v1alpha1" cannot be handled as a TokenCredentialRequest: strict decoding error: unknown field "spec.surprise", unknown field "extra"',
        ],
      );
    });

    it("YAML in and out, and a namespace that means nothing", async () => {
      const object = exchangeObject(await janesToken(), jwt);
      const yaml = await post(stringify({ ...object, metadata: { namespace: "default", name: "n" } }), {
        headers: { "content-type": "application/yaml" },
      });
      issuedCertificate(yaml);
      const asYaml = await post(JSON.stringify(exchangeObject("nonsense", jwt)), {
        headers: { accept: "application/yaml" },
      });
      assert.equal(asYaml.headers["content-type"], "application/yaml");
      assert.match(asYaml.text, /^status:\n {2}message: authentication failed$/m);
    });

    it("what is no TokenCredentialRequest: 400", async () => {
      const cases: Record<string, RegExp> = {
        "": /unexpected end of JSON input|EOF|<empty>/,
        '{"spec":': /unexpected end of JSON input/,
        "[]": /cannot unmarshal array/,
        '{"spec":{"token":7}}': /cannot unmarshal number/,
        '{"kind":"Pod","apiVersion":"v1"}': /no kind "Pod" is registered for version "v1"/,
        [`{"kind":"TokenCredentialRequest","apiVersion":"${loginGroup}/v1"}`]:
          /no kind "TokenCredentialRequest" is registered/,
        '{"kind":"WhoAmIRequest","apiVersion":"identity.concierge.pinniped.dev/v1alpha1"}':
          /does not match the expected API version/,
      };
      for (const [body, message] of Object.entries(cases)) {
        const answer = await post(body);
        assert.equal(answer.status, 400, `${body}: ${answer.text}`);
        assert.equal(status(answer.text).reason, "BadRequest");
        assert.match(status(answer.text).message, message);
      }
    });

    it("other paths and methods below the resource", async () => {
      const token = await janesToken();
      const body = JSON.stringify(exchangeObject(token, jwt));
      const caller = { bearerToken: (await kubectl(cluster, ["create", "token", "default"])).trim() };
      const named = await concierge.api(`${exchangePath}/name`, { method: "DELETE", caller });
      assert.ok([403, 404, 405].includes(named.status), named.text);
      const namespaced = await concierge.api(
        `/apis/${loginGroup}/v1alpha1/namespaces/default/tokencredentialrequests`,
        { body },
      );
      assert.ok(namespaced.status >= 400 && namespaced.status < 500, namespaced.text);
      assert.doesNotMatch(namespaced.text, /clientKeyData/);
    });
  });

  describe("the status of authenticators (contract 4.2 to 4.7)", () => {
    const named = (name: string, kind: AuthenticatorName["kind"] = "JWTAuthenticator") => ({ kind, name });
    const buyerOf = (authenticator: AuthenticatorName) => async () =>
      (
        await postExchange(
          concierge,
          authenticator.kind === "JWTAuthenticator" ? await janesToken() : "opaque-good",
          authenticator,
        )
      ).text.includes("clientKeyData");
    const specOf = ({ kind }: AuthenticatorName, tls: object) =>
      kind === "JWTAuthenticator" ? jwtSpec(tls) : webhookSpec(tls);

    it("tells everything is well, once, and leaves it at that", async () => {
      for (const authenticator of [jwt, webhookAuthenticator]) {
        const object = await getAuthenticator(cluster, authenticator);
        assert.deepEqual(conditionTexts(object), expectedConditions(authenticator.kind));
        for (const { observedGeneration, lastTransitionTime } of object.status?.conditions ?? []) {
          assert.equal(observedGeneration, 1);
          assert.match(lastTransitionTime, /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/);
        }
      }
      const resourceVersions = async () => [
        (await getAuthenticator(cluster, jwt)).metadata.resourceVersion,
        (await getAuthenticator(cluster, webhookAuthenticator)).metadata.resourceVersion,
      ];
      const before = await resourceVersions();
      // Makes every controller look again.
      await kubectl(cluster, ["create", "configmap", "touched", `--namespace=${concierge.namespace}`]);
      await applyAuthenticator(cluster, named("neighbour"), jwtSpec());
      await authenticatorInPhase(cluster, named("neighbour"), "Ready");
      assert.deepEqual(await resourceVersions(), before);
      const table = await kubectl(cluster, ["get", "jwtauthenticators", jwt.name, "--no-headers"]);
      assert.match(table, new RegExp(`^company +${issuer.issuerUrl} +${clientId} +Ready +\\S+\n$`));
    });

    it("names a wrong CA, and recovers", async () => {
      const wrong = (await startWebhook({ tokens: {} })) satisfies TestWebhook;
      await wrong.stop();
      const unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
      const cases = [
        [
          named("wrong-ca"),
          {
            DiscoveryURLValid: [
              "False",
              "InvalidDiscoveryProbe",
              `could not perform oidc discovery on provider issuer: Get "${issuer.issuerUrl}/.well-known/openid-configuration": ${unknown}`,
            ],
            JWKSURLValid: unable,
            JWKSFetchValid: unable,
            AuthenticatorValid: unable,
          },
        ],
        [
          named("wrong-ca", "WebhookAuthenticator"),
          {
            WebhookConnectionValid: ["False", "UnableToDialServer", `cannot dial server: ${unknown}`],
            AuthenticatorValid: unable,
          },
        ],
      ] as const;
      for (const [authenticator, differing] of cases) {
        await applyAuthenticator(cluster, authenticator, specOf(authenticator, inlineBundle(wrong.caPem)));
        const broken = await authenticatorInPhase(cluster, authenticator, "Error");
        assert.deepEqual(conditionTexts(broken), expectedConditions(authenticator.kind, differing));
        assert.equal(await buyerOf(authenticator)(), false);
        const right = authenticator.kind === "JWTAuthenticator" ? issuer.caPem : webhook.caPem;
        await applyAuthenticator(cluster, authenticator, specOf(authenticator, inlineBundle(right)));
        const repaired = await authenticatorInPhase(cluster, authenticator, "Ready");
        assert.deepEqual(conditionTexts(repaired), expectedConditions(authenticator.kind));
        await eventually("an exchange after the repair", buyerOf(authenticator), { seconds: 30 });
      }
    });

    it("names bad base64, and recovers", async () => {
      for (const authenticator of [named("bad-base64"), named("bad-base64", "WebhookAuthenticator")]) {
        const differing = {
          TLSConfigurationValid: [
            "False",
            "InvalidTLSConfig",
            "spec.tls.certificateAuthorityData is invalid: illegal base64 data at input byte 7",
          ],
          ...(authenticator.kind === "JWTAuthenticator"
            ? { DiscoveryURLValid: unable, JWKSURLValid: unable, JWKSFetchValid: unable }
            : { WebhookConnectionValid: unable }),
          AuthenticatorValid: unable,
        } as const;
        await applyAuthenticator(
          cluster,
          authenticator,
          specOf(authenticator, { certificateAuthorityData: "invalid base64-encoded data" }),
        );
        const broken = await authenticatorInPhase(cluster, authenticator, "Error");
        assert.deepEqual(conditionTexts(broken), expectedConditions(authenticator.kind, differing));
        const right = authenticator.kind === "JWTAuthenticator" ? issuer.caPem : webhook.caPem;
        await applyAuthenticator(cluster, authenticator, specOf(authenticator, inlineBundle(right)));
        await authenticatorInPhase(cluster, authenticator, "Ready");
      }
    });

    it("names a server that is away, and recovers when it comes", async () => {
      const away = await startIssuer({ clientId, users: [jane] });
      const hook = await startWebhook({ tokens: { "opaque-good": { username: "late" } } });
      try {
        await Promise.all([away.stop(), hook.stop()]);
        const refused = (port: number | string) => `dial tcp 127.0.0.1:${port}: connect: connection refused`;
        const late = named("late");
        const lateHook = named("late", "WebhookAuthenticator");
        await applyAuthenticator(cluster, late, {
          issuer: away.issuerUrl,
          audience: clientId,
          tls: inlineBundle(away.caPem),
        });
        await applyAuthenticator(cluster, lateHook, {
          endpoint: hook.endpoint,
          tls: inlineBundle(hook.caPem),
        });
        assert.deepEqual(
          conditionTexts(await authenticatorInPhase(cluster, late, "Error")),
          expectedConditions("JWTAuthenticator", {
            DiscoveryURLValid: [
              "False",
              "InvalidDiscoveryProbe",
              `could not perform oidc discovery on provider issuer: Get "${away.issuerUrl}/.well-known/openid-configuration": ${refused(new URL(away.issuerUrl).port)}`,
            ],
            JWKSURLValid: unable,
            JWKSFetchValid: unable,
            AuthenticatorValid: unable,
          }),
        );
        assert.deepEqual(
          conditionTexts(await authenticatorInPhase(cluster, lateHook, "Error")),
          expectedConditions("WebhookAuthenticator", {
            WebhookConnectionValid: [
              "False",
              "UnableToDialServer",
              `cannot dial server: ${refused(hook.port)}`,
            ],
            AuthenticatorValid: unable,
          }),
        );
        await Promise.all([away.start(), hook.start()]);
        for (const authenticator of [late, lateHook]) {
          const ready = await authenticatorInPhase(cluster, authenticator, "Ready");
          assert.deepEqual(conditionTexts(ready), expectedConditions(authenticator.kind));
        }
      } finally {
        await kubectl(cluster, ["delete", "jwtauthenticator/late", "webhookauthenticator/late"]);
        await Promise.all([away.stop(), hook.stop()]);
      }
    });

    it("follows a CA in a ConfigMap or a Secret", async () => {
      for (const source of ["ConfigMap", "Secret"] as const) {
        for (const authenticator of [
          named(`from-${source.toLowerCase()}`),
          named(`from-${source.toLowerCase()}`, "WebhookAuthenticator"),
        ]) {
          const bundle = authenticator.kind === "JWTAuthenticator" ? issuer.caPem : webhook.caPem;
          const name = `bundle-${authenticator.kind.toLowerCase()}`;
          const write = (text: string) =>
            kubectl(
              cluster,
              ["apply", `--namespace=${concierge.namespace}`, "--filename=-"],
              JSON.stringify({
                apiVersion: "v1",
                kind: source,
                metadata: { name },
                ...(source === "ConfigMap"
                  ? { data: { "ca.crt": text } }
                  : { stringData: { "ca.crt": text } }),
              }),
            );
          const shown = `${source.toLowerCase()} "${concierge.namespace}/${name}"`;
          const field = "spec.tls.certificateAuthorityDataSource is invalid";
          const inError = async (message: string) => {
            const object = await authenticatorInPhase(cluster, authenticator, "Error");
            const found = conditionTexts(object).find(([type]) => type === "TLSConfigurationValid");
            assert.deepEqual(found, [
              "TLSConfigurationValid",
              "False",
              "InvalidTLSConfig",
              `${field}: ${message}`,
            ]);
          };
          const certificateAuthorityDataSource = { kind: source, name, key: "ca.crt" };
          await applyAuthenticator(
            cluster,
            authenticator,
            specOf(authenticator, { certificateAuthorityDataSource }),
          );
          await inError(`failed to get ${shown}: ${source.toLowerCase()} "${name}" not found`);
          for (const broken of ["broken", "wrong again"]) {
            await write(bundle);
            await authenticatorInPhase(cluster, authenticator, "Ready");
            await eventually("an exchange", buyerOf(authenticator), { seconds: 30 });
            await write(broken);
            await inError(
              `key "ca.crt" with ${broken.length} bytes of data in ${shown} is not a PEM-encoded certificate (PEM certificates must begin with "-----BEGIN CERTIFICATE-----")`,
            );
            assert.equal(await buyerOf(authenticator)(), false);
          }
          await write(bundle);
          const ready = await authenticatorInPhase(cluster, authenticator, "Ready");
          assert.deepEqual(conditionTexts(ready), expectedConditions(authenticator.kind));
        }
      }
    });

    it("is put right after manual edits", async () => {
      for (const authenticator of [jwt, webhookAuthenticator]) {
        const before = await getAuthenticator(cluster, authenticator);
        const edited = (before.status?.conditions ?? []).map((condition) => ({
          ...condition,
          message: "edited",
          reason: "Edited",
        }));
        for (const status of [{ phase: "Pending" }, { conditions: edited }, { conditions: [] }]) {
          await kubectl(cluster, [
            "patch",
            authenticator.kind.toLowerCase(),
            authenticator.name,
            "--subresource=status",
            "--type=merge",
            `--patch=${JSON.stringify({ status })}`,
          ]);
          await eventually(
            `the old status instead of ${Object.keys(status).join()}`,
            async () => {
              const now = await getAuthenticator(cluster, authenticator);
              return (
                JSON.stringify(conditionTexts(now)) === JSON.stringify(conditionTexts(before)) &&
                now.status?.phase === "Ready"
              );
            },
            { seconds: 30 },
          );
        }
        assert.equal(await buyerOf(authenticator)(), true);
      }
    });
  });

  describe("life of an authenticator", () => {
    it("logins go on while the issuer is away, for the keys that are known", async () => {
      const other = await startIssuer({ clientId, users: [jane] });
      const authenticator = { ...jwt, name: "resting" };
      try {
        await applyAuthenticator(cluster, authenticator, {
          issuer: other.issuerUrl,
          audience: clientId,
          tls: inlineBundle(other.caPem),
        });
        await authenticatorInPhase(cluster, authenticator, "Ready");
        const token = () => other.signToken({ ...jane });
        const buys = async () =>
          (await postExchange(concierge, await token(), authenticator)).text.includes("clientKeyData");
        await eventually("an exchange", buys);
        await other.rotateKeys();
        assert.equal(await buys(), true, "new keys are fetched when they are needed");
        await other.stop();
        // Makes the controllers look again; a known issuer is not asked then (contract 4.7).
        await kubectl(cluster, ["create", "configmap", "resting", `--namespace=${concierge.namespace}`]);
        await applyAuthenticator(cluster, { ...jwt, name: "resting-neighbour" }, jwtSpec());
        await authenticatorInPhase(cluster, { ...jwt, name: "resting-neighbour" }, "Ready");
        for (let round = 0; round < 5; round++) {
          assert.equal(await buys(), true);
        }
        assert.equal((await getAuthenticator(cluster, authenticator)).status?.phase, "Ready");
        await other.start();
        assert.equal(await buys(), true);
      } finally {
        await other.stop();
      }
    });

    it("a changed one counts at once, a deleted one no longer", async () => {
      const authenticator = { ...jwt, name: "short-lived" };
      await applyAuthenticator(cluster, authenticator, jwtSpec());
      const buys = async () =>
        (await postExchange(concierge, await janesToken(), authenticator)).text.includes("clientKeyData");
      await eventually("an exchange", buys);
      await applyAuthenticator(cluster, authenticator, { ...jwtSpec(), audience: "others" });
      await eventually("the end of the old audience", async () => !(await buys()), { seconds: 10 });
      await applyAuthenticator(cluster, authenticator, jwtSpec());
      await eventually("an exchange", buys);
      await kubectl(cluster, ["delete", "jwtauthenticator", authenticator.name]);
      await eventually("the end of the authenticator", async () => !(await buys()), { seconds: 10 });
      await assertFails(await janesToken(), authenticator);
    });
  });
});
