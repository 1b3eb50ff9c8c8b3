import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";

import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { recordedProcess, signalProcess } from "../../hack/cluster/processes.ts";
import { extendedKeyUsage, parseCertificate, subjectOf } from "../../src/pki/certificate.ts";
import { createCertificationRequest } from "../../src/pki/create-certification-request.ts";
import { generateP256KeyPair } from "../../src/pki/p256-key-pair.ts";
import { startWebhook, type TestWebhook } from "../oidc/webhook.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import { type AlteringAdmission, startAlteringAdmission } from "./harness/altering-admission.ts";
import {
  type Installation,
  installConcierge,
  kubectl,
  type Replica,
  tail,
  waitUntilServing,
} from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import { type AuthenticatorName, exchange, postExchange, whoAmI } from "./harness/exchange.ts";
import { readText } from "./harness/http.ts";

const authenticator: AuthenticatorName = { kind: "WebhookAuthenticator", name: "webhook" };
const role = "lanyard-concierge-certificate-signing-request-api";
const label = { "concierge.pinniped.dev/credential": "certificate-signing-request" };
const own = "system:serviceaccount:concierge:lanyard-concierge";
const jane = { username: "jane", groups: ["apes", "zebras"] };
/** Names that string forms of distinguished names and PrintableString cannot hold. */
const hard = { username: "CN=x,O=system:masters", groups: ["a b", "a+b", "apes*", "zebras", "é中"] };

interface Strategy {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly frontend?: { readonly tokenCredentialRequestInfo?: { readonly server: string } };
}

interface Request {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly username?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string }[] };
}

describe("signing through the CertificateSigningRequest API of a real cluster", () => {
  let cluster: Cluster;
  let concierge: Installation;
  let replica: Replica;
  let webhook: TestWebhook;
  let admission: AlteringAdmission | undefined;
  let bound = 900;

  before(async () => {
    webhook = await startWebhook({ tokens: { good: jane, hard } });
    cluster = await startCluster({ name: `csr-api-${process.pid}`, progress: () => {} });
    concierge = await installConcierge(cluster, {
      signWithClusterCa: false,
      values: [
        "kubeCertAgent.enabled=false",
        "certificateSigningRequestAPI.mode=Enabled",
        `clientCertificate.maximumLifetimeSeconds=${bound}`,
      ],
      configuration: {
        leaderElection: { leaseDurationSeconds: 5, renewDeadlineSeconds: 3, retryPeriodSeconds: 1 },
      },
    });
    [replica = assert.fail()] = concierge.replicas;
    await waitUntilServing(concierge);
    await applyAuthenticator(cluster, authenticator, {
      endpoint: webhook.endpoint,
      tls: inlineBundle(webhook.caPem),
    });
    await authenticatorInPhase(cluster, authenticator, "Ready");
    await firstExchange();
  });
  after(async () => {
    await concierge?.close();
    await replica?.end();
    await webhook?.stop();
    await admission?.close();
    await cluster?.stop();
  });

  it("says in the CredentialIssuer that it works, and where", async () => {
    const entry = await strategyWhere(({ status }) => status === "Success");
    assert.equal(entry.reason, "IssuedCertificate");
    assert.equal(entry.frontend?.tokenCredentialRequestInfo?.server, cluster.serverUrl);
  });

  it("hands out certificates that the kube-apiserver takes for the user and the groups", async () => {
    for (const [token, user] of [
      ["good", jane],
      ["hard", hard],
    ] as const) {
      const issued = await exchange(concierge, token, authenticator);
      const certificate = parseCertificate(new X509Certificate(issued.certificatePem));
      assert.equal(subjectOf(certificate).commonName, user.username);
      assert.deepEqual(certificate.extendedKeyUsages, [extendedKeyUsage.clientAuth]);
      assert.equal(certificate.isCa, false);
      const lifetime = (certificate.notAfter.getTime() - Date.now()) / 1000;
      assert.ok(lifetime > 560 && lifetime <= 610, `${lifetime} s`);
      const seen = await whoAmI(concierge, issued);
      assert.equal(seen.username, user.username);
      assert.deepEqual(seen.groups?.toSorted(), [...user.groups, "system:authenticated"].toSorted());
    }
    await eventually("nothing left", async () => (await requests()).length === 0);
  });

  it("does not approve what admission changed, and says so", async () => {
    admission = await startAlteringAdmission(cluster);
    await touch();
    const entry = await strategyWhere(({ status }) => status === "Error");
    assert.equal(entry.reason, "CouldNotIssueCertificate");
    assert.match(entry.message, /not the one that was sent \(spec\.usages\) and was not approved/);
    const altered = admission.altered();
    // The next signer is asked: the impersonation proxy's, which the kube-apiserver does not know.
    const issued = await exchange(concierge, "good", authenticator);
    assert.equal(isSignedByCluster(issued.certificatePem), false);
    assert.ok(admission.altered() > altered);
    assert.equal(admission.approvals(), 0);
    await eventually("nothing left", async () => (await requests()).length === 0);
    await admission.close();
    admission = undefined;
    await touch();
    await strategyWhere(({ status }) => status === "Success");
    await eventually("the cluster's signature", async () =>
      isSignedByCluster((await exchange(concierge, "good", authenticator)).certificatePem),
    );
  });

  it("leaves nothing behind after a kill in mid-flight, and what others planted stays as it is", async () => {
    const planted = await plant();
    await withoutSigning(async () => {
      const pending = postExchange(concierge, "good", authenticator).catch(() => {});
      await eventually("a request under way", async () =>
        (await requests()).some(
          ({ spec, status }) => spec.username === own && status?.conditions !== undefined,
        ),
      );
      await replica.end("SIGKILL");
      await pending;
    });
    assert.ok((await requests()).some(({ spec }) => spec.username === own));
    replica = await concierge.startReplica(0);
    await firstExchange();
    await eventually("clean-up", async () => (await requests()).every(({ spec }) => spec.username !== own), {
      seconds: 85,
    });
    const [left, ...more] = await requests();
    assert.deepEqual(more, []);
    assert.equal(left?.metadata.name, planted);
    assert.equal(left.spec.username, "kubernetes-admin");
    assert.equal(left.status?.conditions, undefined);
  });

  it("says which rights are missing", async () => {
    await kubectl(cluster, ["delete", "clusterrolebinding", role]);
    await eventually("the missing rights", async () => {
      await touch();
      const { message } = await strategyWhere(({ status }) => status === "Error");
      return /may not: create certificatesigningrequests, .*, approve signers kubernetes\.io/.test(message);
    });
  });

  it("says that a bound below 600 s is too short", async () => {
    await patch({ clientCertificate: { maximumLifetimeSeconds: 599 } });
    const entry = await strategyWhere(({ message }) => message.includes("600"));
    assert.equal(entry.message, "maximumLifetimeSeconds must be at least 600");
  });

  it("has no entry when it is switched off", async () => {
    await patch({ certificateSigningRequestAPI: { mode: "Disabled" } });
    await eventually("no entry", async () => (await strategies()).every(({ type }) => !isOurs(type)));
  });

  const isOurs = (type: string): boolean => type === "CertificateSigningRequestAPI";

  async function strategies(): Promise<readonly Strategy[]> {
    const text = await kubectl(cluster, ["get", "credentialissuer", "--output=json"]);
    const { items } = JSON.parse(text) as {
      readonly items: readonly { readonly status?: { readonly strategies?: readonly Strategy[] } }[];
    };
    return items.flatMap(({ status }) => status?.strategies ?? []);
  }

  function strategyWhere(matches: (strategy: Strategy) => boolean): Promise<Strategy> {
    return eventually(`the strategy's status\n${tail(replica)}`, async () =>
      (await strategies()).find((strategy) => isOurs(strategy.type) && matches(strategy)),
    );
  }

  async function requests(): Promise<readonly Request[]> {
    const [selector] = Object.entries(label).map(([key, value]) => `${key}=${value}`);
    const text = await kubectl(cluster, ["get", "csr", `--selector=${selector}`, "--output=json"]);
    return (JSON.parse(text) as { readonly items: readonly Request[] }).items;
  }

  async function patch(spec: object): Promise<void> {
    const name = (await kubectl(cluster, ["get", "credentialissuer", "--output=name"])).trim();
    await kubectl(cluster, ["patch", name, "--type=merge", `--patch=${JSON.stringify({ spec })}`]);
  }

  /** Changes the object without changing what matters, so that it is looked at again. */
  function touch(): Promise<void> {
    bound++;
    return patch({ clientCertificate: { maximumLifetimeSeconds: bound } });
  }

  function isSignedByCluster(pem: string): boolean {
    const issuer = new X509Certificate(readText(cluster.ca.cert));
    return new X509Certificate(pem).verify(issuer.publicKey);
  }

  /** As an administrator, with all that marks ours but its creator. */
  async function plant(): Promise<string> {
    const { pem } = createCertificationRequest({
      username: "mallory",
      groups: [],
      keyPair: generateP256KeyPair(),
    });
    const object = {
      apiVersion: "certificates.k8s.io/v1",
      kind: "CertificateSigningRequest",
      metadata: { name: "lanyard-concierge-planted", labels: { app: "lanyard-concierge", ...label } },
      spec: {
        request: Buffer.from(pem).toString("base64"),
        signerName: "kubernetes.io/kube-apiserver-client",
        usages: ["client auth"],
        expirationSeconds: 600,
      },
    };
    await kubectl(cluster, ["create", "--filename=-"], JSON.stringify(object));
    return object.metadata.name;
  }

  async function withoutSigning(run: () => Promise<void>): Promise<void> {
    const signer = recordedProcess(cluster.folder, "kube-controller-manager") ?? assert.fail();
    signalProcess(signer, "SIGSTOP");
    try {
      await run();
    } finally {
      signalProcess(signer, "SIGCONT");
    }
  }

  async function firstExchange(): Promise<void> {
    await eventually(`an exchange\n${tail(replica)}`, async () => {
      const { text } = await postExchange(concierge, "good", authenticator);
      return text.includes("clientKeyData");
    });
  }
});
