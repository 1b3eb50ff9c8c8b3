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

/** A credential as the exchange gave it, and whom the kube-apiserver took it for. */
interface Exchanged {
  readonly credential: { readonly clientCertificateData: string; readonly clientKeyData: string };
  readonly whoAmI: {
    readonly status: {
      readonly kubernetesUserInfo: {
        readonly user: { readonly username: string; readonly groups: readonly string[] };
      };
    };
  };
}

describe("credentials on a real node", () => {
  let folder: string;
  let cluster: Cluster | undefined;
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
  const exchange = async (): Promise<Exchanged> => {
    const result = await here().exec([
      process.execPath,
      join(import.meta.dirname, "inside.ts"),
      nodeAddress,
      "1",
    ]);
    assert.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "") as Exchanged;
  };
  /** Waits until both replicas sign with `authority`; a certificate that the kube-apiserver does not accept is an error. */
  const signedBy = (authority: string): Promise<Exchanged> =>
    until("a certificate of the present key", async () => {
      const answers = [await exchange(), await exchange(), await exchange()];
      const ca = new X509Certificate(authority);
      const all = answers.every(({ credential }) =>
        new X509Certificate(credential.clientCertificateData).verify(ca.publicKey),
      );
      return all ? answers[0] : undefined;
    });
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
    const installed = await cluster.exec([
      await ensureHelm(),
      "install",
      app,
      join(root, "charts", "lanyard-concierge"),
      `--namespace=${namespace}`,
      `--set=image.repository=${image.repository},image.tag=${image.tag},logLevel=info`,
      "--set=impersonationProxy.mode=disabled",
      "--wait",
      "--timeout=85s",
    ]);
    assert.equal(installed.code, 0, installed.stderr);
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
      const { username, groups } = whoAmI.status.kubernetesUserInfo.user;
      assert.deepEqual([username, groups], ["ada", ["engineers", "system:authenticated"]]);

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
});

interface ManifestPod {
  readonly metadata: { annotations?: Record<string, string> };
  readonly spec: { readonly containers: { command: string[] }[] };
}
