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
import { difference, inventory } from "./inventory.ts";
import { workloadImage, writeWorkloadImage } from "./workload-image.ts";

const root = join(import.meta.dirname, "..", "..");
const image = { repository: "localhost/lanyard-concierge", tag: "test" };
const namespace = "concierge";
const app = "lanyard-concierge";
const nodeAddress = "10.88.0.1";

describe("the chart on a real node", () => {
  let folder: string;
  let cluster: Cluster | undefined;
  /** Before anything was installed. */
  let empty: ReadonlySet<string> = new Set();
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
    writeWorkloadImage(join(folder, "workload.tar"));
    await loadImage(cluster, join(folder, "workload.tar"));
    empty = await inventory(cluster);
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

  it("with the narrow profile everything goes on: the agent, its key, an exchange, and the proxy with get, watch and exec", async () => {
    const upgraded = await here().exec([
      await ensureHelm(),
      "upgrade",
      app,
      join(root, "charts", "lanyard-concierge"),
      `--namespace=${namespace}`,
      "--reuse-values",
      "--set=rbac.profile=narrow,impersonationProxy.mode=enabled",
    ]);
    assert.equal(upgraded.code, 0, upgraded.stderr);
    const agent = `${app}-kube-cert-agent`;
    const replaced = await kubectl(here(), ["get", "pods", `--namespace=${namespace}`, "--output=name"]);
    await kubectl(here(), ["delete", "deployment", agent, `--namespace=${namespace}`]);
    await eventually(
      "another agent, whose key is in use",
      async () => {
        const strategies = await kubectl(here(), [
          "get",
          "credentialissuer",
          `${app}-config`,
          '--output=jsonpath={range .status.strategies[*]}{.type} {.status}{"\\n"}{end}',
        ]);
        const running = await kubectl(here(), [
          "get",
          "pods",
          `--namespace=${namespace}`,
          "--selector=kube-cert-agent.pinniped.dev=v3",
          "--field-selector=status.phase=Running",
          "--output=name",
        ]);
        const all = ["KubeClusterSigningCertificate Success", "ImpersonationProxy Success"];
        return (
          running !== "" &&
          !replaced.includes(running.trim()) &&
          all.every((each) => strategies.includes(each))
        );
      },
      { seconds: 85, intervalMilliseconds: 500 },
    );
    const info = (field: string): Promise<string> =>
      kubectl(here(), [
        "get",
        "credentialissuer",
        `${app}-config`,
        `--output=jsonpath={.status.strategies[?(@.type=="ImpersonationProxy")].frontend.impersonationProxyInfo.${field}}`,
      ]);
    const kubeconfig = join(folder, "ada.conf");
    const login = await here().exec([
      process.execPath,
      join(import.meta.dirname, "user-kubeconfig.ts"),
      nodeAddress,
      await info("endpoint"),
      await info("certificateAuthorityData"),
      kubeconfig,
    ]);
    assert.equal(login.code, 0, login.stderr);
    await kubectl(here(), ["create", "namespace", "work"]);
    await kubectl(here(), [
      "create",
      "rolebinding",
      "ada",
      "--namespace=work",
      "--clusterrole=edit",
      "--user=ada",
    ]);
    const asAda = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await here().exec(["kubectl", `--kubeconfig=${kubeconfig}`, ...args]);
      assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    const pullPolicy = "--image-pull-policy=IfNotPresent";
    // Its shell has no ear for SIGTERM.
    const atOnce = '--overrides={"spec":{"terminationGracePeriodSeconds":0}}';
    await asAda(
      ...["run", "shell", `--image=${workloadImage}`, pullPolicy, atOnce],
      ...["--command", "--", "sleep", "600"],
    );
    // `wait` is a list and a watch.
    await asAda("wait", "--for=condition=Ready", "pod/shell", "--timeout=60s");
    assert.equal(await asAda("get", "pods", "--output=name"), "pod/shell\n");
    assert.equal(await asAda("exec", "shell", "--", "echo", "hello"), "hello\n");
    for (const pod of await pods()) {
      const log = await kubectl(here(), ["logs", pod, `--namespace=${namespace}`]);
      assert.doesNotMatch(log, /"error":"[^"]*forbidden/);
    }
    await kubectl(here(), ["delete", "namespace", "work", "--wait=false"]);
  });

  it("is uninstalled, and what is left of all objects of all APIs are the CRDs and what the administrator made", async () => {
    const signer = `${app}-impersonation-proxy-signer-ca-certificate`;
    await kubectl(here(), [
      "annotate",
      "secret",
      signer,
      `--namespace=${namespace}`,
      "concierge.lanyard.dev/rotate=now",
    ]);
    const installed = await eventually("the memory of the signer's last key", async () => {
      const found = difference(empty, await inventory(here()));
      return found.come.includes(`Secret concierge/${signer}-previous`) && found;
    });
    // What no manifest of the chart holds.
    for (const object of [
      `Secret concierge/${app}-api-tls-serving-certificate`,
      `Secret concierge/${app}-impersonation-proxy-ca-certificate`,
      `Secret concierge/${signer}`,
      `Secret concierge/${app}-impersonation-proxy-tls-serving-certificate`,
      `Secret concierge/${app}-impersonation-proxy-token-key`,
      `Service concierge/${app}-impersonation-proxy-cluster-ip`,
      `Deployment.apps concierge/${app}-kube-cert-agent`,
      `Lease.coordination.k8s.io concierge/${app}`,
      `CredentialIssuer.config.concierge.pinniped.dev ${app}-config`,
      "APIService.apiregistration.k8s.io v1alpha1.login.concierge.pinniped.dev",
    ]) {
      assert.ok(installed.come.includes(object), `${object} is not among ${installed.come.join(", ")}`);
    }
    const uninstalled = await here().exec([
      await ensureHelm(),
      "uninstall",
      app,
      `--namespace=${namespace}`,
      "--wait",
      "--timeout=85s",
    ]);
    assert.equal(uninstalled.code, 0, uninstalled.stderr);
    const authenticators = "authentication.concierge.pinniped.dev";
    const crd = "CustomResourceDefinition.apiextensions.k8s.io";
    const expected = [
      // Those of the CRDs' groups, which the kube-apiserver makes of them.
      `APIService.apiregistration.k8s.io v1alpha1.${authenticators}`,
      "APIService.apiregistration.k8s.io v1alpha1.config.concierge.pinniped.dev",
      `${crd} credentialissuers.config.concierge.pinniped.dev`,
      `${crd} jwtauthenticators.${authenticators}`,
      `${crd} webhookauthenticators.${authenticators}`,
      // The administrator's, and what Kubernetes puts into every namespace.
      "ConfigMap concierge/kube-root-ca.crt",
      `JWTAuthenticator.${authenticators} node-tier`,
      `JWTAuthenticator.${authenticators} proxy-users`,
      "Namespace concierge",
      "ServiceAccount concierge/default",
    ].toSorted();
    // The garbage collector takes what the Concierge made, a moment after its Deployment has gone.
    let left: ReturnType<typeof difference> = { come: [], gone: [] };
    await eventually("nothing more than that", async () => {
      left = difference(empty, await inventory(here()));
      return left.come.join() === expected.join();
    }).catch(() => {});
    assert.deepEqual(left, { come: expected, gone: [] });
  });
});
