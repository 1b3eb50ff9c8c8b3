import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import { startCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { loadImage } from "../../hack/cluster/images.ts";
import { buildImage } from "../../hack/image/image.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { eventually } from "../integration/harness/eventually.ts";

const root = join(import.meta.dirname, "..", "..");
const image = { repository: "localhost/lanyard-concierge", tag: "test" };
const namespace = "concierge";
const app = "lanyard-concierge";
const nodeAddress = "10.88.0.1";

describe("the chart on a real node", () => {
  let folder: string;
  let cluster: Cluster | undefined;
  const here = (): Cluster => {
    assert.ok(cluster, "the cluster is up");
    return cluster;
  };
  const pods = async (): Promise<string[]> =>
    (
      await kubectl(here(), [
        "get",
        "pods",
        `--namespace=${namespace}`,
        "--selector=deployment.pinniped.dev=concierge",
        "--output=jsonpath={.items[*].metadata.name}",
      ])
    ).split(" ");

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-chart-"));
    const output = join(folder, "image.tar");
    await buildImage({ output, tag: `${image.repository}:${image.tag}` });
    cluster = await startCluster({ name: "chart", tier: "node", folder: join(folder, "clusters") });
    await loadImage(cluster, output);
  });
  after(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("installs with Helm, and two Pods become ready behind Available APIServices", async () => {
    await kubectl(here(), ["create", "namespace", namespace]);
    const installed = await here().exec([
      await ensureHelm(),
      "install",
      app,
      join(root, "charts", "lanyard-concierge"),
      `--namespace=${namespace}`,
      `--set=image.repository=${image.repository},image.tag=${image.tag},logLevel=info`,
      "--wait",
      "--timeout=85s",
    ]);
    if (installed.code !== 0) {
      const state = await here().kubectl(["describe", "pods", `--namespace=${namespace}`]);
      assert.fail(`${installed.stderr}\n${state.stdout.slice(-4000)}`);
    }
    assert.equal((await pods()).length, 2);
    const ready = await kubectl(here(), [
      "get",
      "deployment",
      app,
      `--namespace=${namespace}`,
      "--output=jsonpath={.status.readyReplicas}",
    ]);
    assert.equal(ready, "2");
    await kubectl(here(), [
      "wait",
      "--for=condition=Available",
      "--timeout=60s",
      "apiservice/v1alpha1.login.concierge.pinniped.dev",
      "apiservice/v1alpha1.identity.concierge.pinniped.dev",
    ]);
  });

  it("the agent Pod runs and is alone of its kind, and the cluster's key is fetched", async () => {
    const agent = await eventually(
      "a running agent Pod and a fetched key",
      async () => {
        const [reason, phases] = await Promise.all([
          kubectl(here(), [
            "get",
            "credentialissuer",
            `${app}-config`,
            '--output=jsonpath={.status.strategies[?(@.type=="KubeClusterSigningCertificate")].reason}',
          ]),
          kubectl(here(), [
            "get",
            "pods",
            `--namespace=${namespace}`,
            "--selector=kube-cert-agent.pinniped.dev=v3",
            "--output=jsonpath={range .items[*]}{.status.phase} {.spec.nodeName}{end}",
          ]),
        ]);
        return reason === "FetchedKey" && phases;
      },
      { seconds: 85, intervalMilliseconds: 500 },
    );
    assert.equal(agent, "Running lanyard-node");
  });

  it("both replicas answer exchanges through the kube-apiserver, and the certificate is its user", async () => {
    const result = await here().exec([
      process.execPath,
      join(import.meta.dirname, "inside.ts"),
      nodeAddress,
      "20",
    ]);
    assert.equal(result.code, 0, result.stderr);
    const { whoAmI } = JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "") as {
      whoAmI: { status: { kubernetesUserInfo: { user: { username: string; groups: string[] } } } };
    };
    const { username, groups } = whoAmI.status.kubernetesUserInfo.user;
    assert.deepEqual(
      { username, groups },
      { username: "ada", groups: ["engineers", "system:authenticated"] },
    );
    for (const pod of await pods()) {
      const log = await kubectl(here(), ["logs", pod, `--namespace=${namespace}`]);
      const issued = log
        .split("\n")
        .filter((line) => line.includes("TokenCredentialRequest Authenticated User"));
      assert.ok(issued.length > 0, `${pod} answered no exchange`);
    }
  });

  it("kubectl logs and kubectl exec work on them, and they run as nobody in particular", async () => {
    for (const pod of await pods()) {
      const log = await kubectl(here(), ["logs", pod, `--namespace=${namespace}`]);
      assert.ok(log.includes('"message":"started"'), log.slice(0, 500));
      const version = await kubectl(here(), [
        "exec",
        pod,
        `--namespace=${namespace}`,
        "--",
        "node",
        "--version",
      ]);
      assert.match(version, /^v26\./);
      const user = await kubectl(here(), [
        "exec",
        pod,
        `--namespace=${namespace}`,
        "--",
        "node",
        "--print",
        "process.getuid()",
      ]);
      assert.equal(user.trim(), "65532");
    }
    const restarts = await kubectl(here(), [
      "get",
      "pods",
      `--namespace=${namespace}`,
      "--output=jsonpath={.items[*].status.containerStatuses[*].restartCount}",
    ]);
    assert.equal(restarts, "0 0 0", "of two Pods of the server and one of the agent");
  });
});
