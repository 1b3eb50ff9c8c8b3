import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse, stringify } from "yaml";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import { startCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { loadImage } from "../../hack/cluster/images.ts";
import { writeKubeconfig } from "../../hack/cluster/kubeconfig.ts";
import { buildImage } from "../../hack/image/image.ts";
import { createCertificateAuthority } from "../../src/pki/certificate-authority.ts";
import type { KeyPairPem } from "../../src/pki/key-pair.ts";
import type { CredentialIssuerStrategy } from "../../src/resources/credential-issuer-status.ts";
import { eventually } from "../integration/harness/eventually.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { exchangeFailed } from "../integration/harness/exchange.ts";

const root = join(import.meta.dirname, "..", "..");
const image = { repository: "localhost/lanyard-concierge", tag: "credentials" };
const namespace = "concierge";
const app = "lanyard-concierge";
const nodeAddress = "10.88.0.1";
const agentLabel = "kube-cert-agent.pinniped.dev=v3";

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly uid: string };
    readonly status: {
      readonly phase: string;
      readonly containerStatuses?: readonly { readonly restartCount: number }[];
    };
  }[];
}

/** The answer to a WhoAmIRequest. */
interface WhoAmI {
  readonly status: {
    readonly kubernetesUserInfo: {
      readonly user: { readonly username: string; readonly groups: readonly string[] };
    };
  };
}

/** A credential as the exchange gave it, and whom the servers took it for. */
interface Exchanged {
  readonly credential: { readonly clientCertificateData: string; readonly clientKeyData: string };
  /** Of a caller that the kube-apiserver does not know, its `Status`. */
  readonly whoAmI: WhoAmI | { readonly kind: "Status"; readonly code: number };
  readonly whoAmIThroughProxy?: WhoAmI;
}

describe("credentials on a real node", () => {
  let folder: string;
  let cluster: Cluster | undefined;
  /** Of the key that the controller manager has at present, PEM. */
  let clusterAuthority = "";
  const here = (): Cluster => {
    assert.ok(cluster, "the cluster is up");
    return cluster;
  };
  const json = async <T>(...args: readonly string[]): Promise<T> =>
    JSON.parse(await kubectl(here(), ["get", ...args, "--output=json"])) as T;
  const agents = (): Promise<PodList> => json("pods", `--namespace=${namespace}`, `--selector=${agentLabel}`);
  const strategy = async (type: string): Promise<CredentialIssuerStrategy | undefined> => {
    const issuer = await json<{
      readonly status?: { readonly strategies: readonly CredentialIssuerStrategy[] };
    }>("credentialissuer", `${app}-config`);
    return issuer.status?.strategies.find((each) => each.type === type);
  };
  const until = <T>(what: string, attempt: () => Promise<T | undefined | false>): Promise<T> =>
    eventually(what, attempt, { seconds: 85, intervalMilliseconds: 500 });
  const fetched = (): Promise<unknown> =>
    until("a fetched key", async () => {
      const found = await strategy("KubeClusterSigningCertificate");
      return found?.reason === "FetchedKey" ? found : undefined;
    });
  const runningAgent = (except?: string): Promise<PodList["items"][number]> =>
    until("a running agent Pod", async () =>
      (await agents()).items.find(
        ({ metadata, status }) => metadata.uid !== except && status.phase === "Running",
      ),
    );
  const inside = async <T>(...args: readonly string[]): Promise<T> => {
    const result = await here().exec([
      process.execPath,
      join(import.meta.dirname, "inside.ts"),
      nodeAddress,
      ...args,
    ]);
    assert.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "") as T;
  };
  const exchange = (...proxy: readonly string[]): Promise<Exchanged> => inside("1", ...proxy);
  /** Waits until both replicas sign with `authority`; `proxy` is the URL and the CA of who is asked besides the kube-apiserver. */
  const signedBy = (authority: string, ...proxy: readonly string[]): Promise<Exchanged> =>
    until("a certificate of the present key", async () => {
      const answers = [await exchange(...proxy), await exchange(...proxy), await exchange(...proxy)];
      const ca = new X509Certificate(authority);
      const all = answers.every(({ credential }) =>
        new X509Certificate(credential.clientCertificateData).verify(ca.publicKey),
      );
      return all ? answers[0] : undefined;
    });
  const helm = async (verb: "install" | "upgrade", values: string): Promise<void> => {
    const { code, stderr } = await here().exec([
      await ensureHelm(),
      verb,
      app,
      join(root, "charts", "lanyard-concierge"),
      `--namespace=${namespace}`,
      `--set=image.repository=${image.repository},image.tag=${image.tag},logLevel=info`,
      `--set=impersonationProxy.service.type=ClusterIP,${values}`,
      "--wait",
      "--timeout=85s",
    ]);
    assert.equal(code, 0, stderr);
  };
  const setProxyMode = (mode: "enabled" | "disabled"): Promise<string> =>
    kubectl(here(), [
      "patch",
      "credentialissuer",
      `${app}-config`,
      "--type=merge",
      `--patch=${JSON.stringify({ spec: { impersonationProxy: { mode } } })}`,
    ]);
  /** The URL of the proxy and its CA, base64 of PEM, once it listens. */
  const proxyAddress = (): Promise<readonly [string, string]> =>
    until("a proxy that listens", async () => {
      const info = (await strategy("ImpersonationProxy"))?.frontend?.impersonationProxyInfo;
      return info === undefined ? undefined : [info.endpoint, info.certificateAuthorityData];
    });
  /** Of the server's present Pods. */
  const logLines = async (): Promise<readonly LogLine[]> => {
    const log = await kubectl(here(), [
      "logs",
      "--selector=deployment.pinniped.dev=concierge",
      `--namespace=${namespace}`,
      "--tail=-1",
    ]);
    return log
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as LogLine);
  };
  const restarts = async (): Promise<readonly number[]> =>
    (await json<PodList>("pods", `--namespace=${namespace}`)).items.flatMap(({ status }) =>
      (status.containerStatuses ?? []).map(({ restartCount }) => restartCount),
    );

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-credentials-"));
    const output = join(folder, "image.tar");
    await buildImage({ output, tag: `${image.repository}:${image.tag}` });
    cluster = await startCluster({ name: "credentials", tier: "node", folder: join(folder, "clusters") });
    await loadImage(cluster, output);
    await kubectl(cluster, ["create", "namespace", namespace]);
    await helm("install", "impersonationProxy.mode=disabled");
  });
  after(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  describe("cluster key alone", () => {
    it("an agent Pod runs beside the controller manager, and its key is in use", async () => {
      const agent = await runningAgent();
      await fetched();
      const found = await strategy("KubeClusterSigningCertificate");
      assert.equal(found?.message, "key was fetched successfully");
      assert.deepEqual(found.frontend, {
        type: "TokenCredentialRequestAPI",
        tokenCredentialRequestInfo: {
          server: here().serverUrl,
          certificateAuthorityData: readFileSync(here().ca.cert).toString("base64"),
        },
      });
      const deployment = await json<{
        readonly metadata: { readonly ownerReferences?: readonly { readonly name: string }[] };
        readonly spec: { readonly template: { readonly spec: Readonly<Record<string, unknown>> } };
      }>("deployment", `${app}-kube-cert-agent`, `--namespace=${namespace}`);
      assert.deepEqual(
        deployment.metadata.ownerReferences?.map(({ name }) => name),
        [app],
      );
      assert.equal(deployment.spec.template.spec["nodeName"], "lanyard-node");
      assert.ok(agent.metadata.name.startsWith(`${app}-kube-cert-agent-`));
    });

    it("a certificate is its user and its group at the kube-apiserver", async () => {
      const { credential, whoAmI } = await signedBy(readFileSync(here().ca.cert, "utf8"));
      assertIsAda(whoAmI);

      const files = { cert: join(folder, "ada.crt"), key: join(folder, "ada.key") };
      writeFileSync(files.cert, credential.clientCertificateData);
      writeFileSync(files.key, credential.clientKeyData, { mode: 0o600 });
      const kubeconfig = join(folder, "ada.conf");
      writeKubeconfig(kubeconfig, here().serverUrl, here().ca.cert, {
        name: "ada",
        clientCertificate: files,
      });
      const asAda = (resource: string) =>
        here().kubectl([`--kubeconfig=${kubeconfig}`, "get", resource, "--output=name"]);
      assert.notEqual((await asAda("nodes")).code, 0, "nothing is allowed yet");
      await kubectl(here(), ["create", "clusterrole", "see-nodes", "--verb=list", "--resource=nodes"]);
      await kubectl(here(), [
        "create",
        "clusterrole",
        "see-namespaces",
        "--verb=list",
        "--resource=namespaces",
      ]);
      await kubectl(here(), [
        "create",
        "clusterrolebinding",
        "by-user",
        "--clusterrole=see-nodes",
        "--user=ada",
      ]);
      await kubectl(here(), [
        "create",
        "clusterrolebinding",
        "by-group",
        "--clusterrole=see-namespaces",
        "--group=engineers",
      ]);
      await until("access by user", async () => (await asAda("nodes")).stdout === "node/lanyard-node\n");
      await until("access by group", async () => (await asAda("namespaces")).code === 0);
    });

    it("a deleted agent Pod comes back, and its deletion disturbs nobody", async () => {
      const before = await runningAgent();
      await kubectl(here(), ["delete", "pod", before.metadata.name, `--namespace=${namespace}`]);
      await exchange();
      await runningAgent(before.metadata.uid);
      await fetched();
      await exchange();
    });

    it("a key that moves with the controller manager, and one that changes under it, are followed", async () => {
      const manifest = join(here().folder, "manifests", "kube-controller-manager.yaml");
      const pki = (file: string): string => join(here().folder, "pki", file);
      const make = async (commonName: string): Promise<KeyPairPem> => {
        const now = Date.now();
        const pair = await createCertificateAuthority({
          commonName,
          notBefore: new Date(now - 300_000),
          notAfter: new Date(now + 86_400_000),
        });
        // The kube-apiserver takes up its client CAs while it runs.
        appendFileSync(here().ca.cert, pair.certificatePem);
        return pair;
      };
      const place = (pair: KeyPairPem): void => {
        writeFileSync(pki("signing.crt"), pair.certificatePem, { mode: 0o600 });
        writeFileSync(pki("signing.key"), pair.privateKeyPem, { mode: 0o600 });
      };
      const replaceControllerManager = (change: (pod: ManifestPod) => void): void => {
        const pod = parse(readFileSync(manifest, "utf8")) as ManifestPod;
        change(pod);
        writeFileSync(manifest, stringify(pod), { mode: 0o600 });
      };
      const first = await runningAgent();

      const moved = await make("moved");
      place(moved);
      replaceControllerManager((pod) => {
        const [container] = pod.spec.containers;
        assert.ok(container);
        container.command = container.command.map((word) =>
          word.replace(/^(--cluster-signing-(?:cert|key)-file=.*\/)ca\./, "$1signing."),
        );
      });
      await signedBy(moved.certificatePem);
      const second = await runningAgent(first.metadata.uid);

      const changed = await make("changed");
      place(changed);
      replaceControllerManager((pod) => {
        pod.metadata.annotations = { "test/replaced": "again" };
      });
      await signedBy(changed.certificatePem);
      clusterAuthority = changed.certificatePem;
      assert.equal(
        (await runningAgent()).metadata.uid,
        second.metadata.uid,
        "the agent did not have to change",
      );
      assert.ok(
        (await restarts()).every((count) => count === 0),
        "no process was restarted",
      );
    });
  });

  describe("cluster key and proxy signer", () => {
    it("the cluster's key signs, and both the kube-apiserver and the proxy take the certificate", async () => {
      await setProxyMode("enabled");
      const { whoAmI, whoAmIThroughProxy } = await signedBy(clusterAuthority, ...(await proxyAddress()));
      assertIsAda(whoAmI);
      assertIsAda(whoAmIThroughProxy);
      assert.equal((await strategy("KubeClusterSigningCertificate"))?.status, "Success");
    });
  });

  describe("proxy signer alone", () => {
    it("the proxy's authority signs, and only the proxy takes the certificate", async () => {
      await helm("upgrade", "impersonationProxy.mode=enabled,kubeCertAgent.enabled=false");
      const secret = await json<{ readonly data: Readonly<Record<string, string>> }>(
        "secret",
        `${app}-impersonation-proxy-signer-ca-certificate`,
        `--namespace=${namespace}`,
      );
      const authority = Buffer.from(secret.data["caCertificate"] ?? "", "base64").toString("utf8");
      const { whoAmI, whoAmIThroughProxy } = await signedBy(authority, ...(await proxyAddress()));
      assertIsAda(whoAmIThroughProxy);
      assert.deepEqual(
        "kind" in whoAmI && [whoAmI.kind, whoAmI.code],
        ["Status", 401],
        "the kube-apiserver does not know this authority",
      );
      const off = await strategy("KubeClusterSigningCertificate");
      assert.deepEqual(
        [off?.status, off?.reason, off?.message],
        ["Error", "Disabled", "cluster signing key strategy is disabled by configuration"],
      );
    });
  });

  describe("neither", () => {
    it("nobody can sign: the client learns nothing, the audit line and the status say why", async () => {
      await setProxyMode("disabled");
      const stopped = await until("a proxy that is off", async () => {
        const found = await strategy("ImpersonationProxy");
        return found?.reason === "Disabled" ? found : undefined;
      });
      assert.deepEqual(
        [stopped.status, stopped.message, stopped.frontend],
        ["Error", "impersonation proxy was explicitly disabled by configuration", undefined],
      );
      assert.equal((await strategy("KubeClusterSigningCertificate"))?.reason, "Disabled");
      const line = await until("an audit line with the signers' errors", async () => {
        const { status, text } = await inside<{ readonly status: number; readonly text: string }>("once");
        assert.deepEqual([status, text], [201, exchangeFailed]);
        return (await logLines()).find(
          ({ auditEvent, reason }) => auditEvent === true && reason === "cert issuer returned an error",
        );
      });
      assert.equal(line.message, "TokenCredentialRequest Unexpected Error");
      assert.equal(
        line.err,
        "[concierge-kube-signing-cert failed to issue client cert: could not load CA: tls: failed to find any PEM data in certificate input, " +
          "impersonation-proxy-signing-cert failed to issue client cert: could not load CA: tls: failed to find any PEM data in certificate input]",
      );
      assert.deepEqual(
        // The issuer of each login is gone after it.
        (await logLines()).filter(
          ({ level, logger }) => level === "error" && logger !== "jwtcachefiller-controller",
        ),
        [],
        "what is switched off is no error",
      );
    });
  });
});

function assertIsAda(seen: Exchanged["whoAmI"] | undefined): void {
  assert.ok(seen !== undefined && !("code" in seen), `not a WhoAmIRequest: ${JSON.stringify(seen)}`);
  const { username, groups } = seen.status.kubernetesUserInfo.user;
  assert.deepEqual([username, groups], ["ada", ["engineers", "system:authenticated"]]);
}

interface LogLine {
  readonly level: string;
  readonly logger?: string;
  readonly message: string;
  readonly auditEvent?: true;
  readonly reason?: string;
  readonly err?: string;
}

interface ManifestPod {
  readonly metadata: { annotations?: Record<string, string> };
  readonly spec: { readonly containers: { command: string[] }[] };
}
