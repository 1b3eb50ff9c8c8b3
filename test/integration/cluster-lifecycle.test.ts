import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { X509Certificate, createPublicKey } from "node:crypto";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { ensureKubernetes } from "../../hack/cluster/binaries.ts";
import { startCluster, stopCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { leftovers } from "../../hack/cluster/leftovers.ts";
import { eventually } from "./harness/eventually.ts";
import { isAlive, recordedProcess, signalProcess } from "../../hack/cluster/processes.ts";

const program = join(import.meta.dirname, "..", "..", "hack", "cluster", "main.ts");

describe("a control-plane cluster from up to down", () => {
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-lifecycle-"));
    await ensureKubernetes();
  });
  after(() => rmSync(folder, { recursive: true }));

  const cli = (...args: string[]) =>
    spawnSync(process.execPath, [program, ...args, `--folder=${folder}`], { encoding: "utf8" });
  const processOf = (cluster: Cluster, component: string) => {
    const record = recordedProcess(cluster.folder, component);
    assert.ok(record, `${component} is recorded`);
    return record;
  };

  it("starts two at once that share nothing", async () => {
    const [one, two] = await Promise.all([
      startCluster({ name: "one", folder }),
      startCluster({ name: "two", folder }),
    ]);
    const ports = [one, two].flatMap((cluster) => Object.values(cluster.ports));
    assert.equal(new Set(ports).size, 8);
    assert.notEqual(one.serviceCidr, two.serviceCidr);
    await one.kubectl(["create", "namespace", "only-in-one"]);
    assert.equal((await one.kubectl(["get", "namespace", "only-in-one"])).code, 0);
    assert.match((await two.kubectl(["get", "namespace", "only-in-one"])).stderr, /NotFound/);
    const status = cli("status").stdout;
    assert.match(status, /^one +control-plane +running/m);
    assert.match(status, /^two +control-plane +running/m);

    await one.stop();
    assert.deepEqual(leftovers(one.folder), []);
    assert.equal((await two.kubectl(["get", "--raw=/readyz"])).stdout, "ok");
    await two.stop();
    assert.deepEqual(leftovers(two.folder), []);
  });

  it("is set up as kubeadm would: administrators, cluster-info, CSR signing, garbage collection", async (t) => {
    const cluster = await startCluster({ name: "setup", folder });
    t.after(() => cluster.stop());
    const whoami = await cluster.kubectl(["auth", "whoami", "--output=jsonpath={.status.userInfo.groups}"]);
    assert.deepEqual(JSON.parse(whoami.stdout), ["kubeadm:cluster-admins", "system:authenticated"]);
    assert.equal((await cluster.kubectl(["auth", "can-i", "*", "*"])).stdout.trim(), "yes");

    const info = await anonymousGet(
      `${cluster.serverUrl}/api/v1/namespaces/kube-public/configmaps/cluster-info`,
    );
    assert.equal(info.status, 200);
    const { data } = JSON.parse(info.text) as { data: { kubeconfig: string } };
    assert.match(data.kubeconfig, new RegExp(`server: ${cluster.serverUrl}$`, "m"));

    const config = join(cluster.folder, "service-account.conf");
    await cluster.serviceAccountKubeconfig("default", "default", config, { durationSeconds: 600 });
    const account = await cluster.exec(["kubectl", `--kubeconfig=${config}`, "auth", "whoami"]);
    assert.match(account.stdout, /system:serviceaccount:default:default/);

    const request = spawnSync(
      "openssl",
      ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=someone"],
      { encoding: "utf8" },
    );
    const csr = {
      apiVersion: "certificates.k8s.io/v1",
      kind: "CertificateSigningRequest",
      metadata: { name: "someone" },
      spec: {
        request: Buffer.from(request.stdout).toString("base64"),
        signerName: "kubernetes.io/kube-apiserver-client",
        usages: ["client auth"],
      },
    };
    assert.equal((await cluster.kubectl(["create", "--filename=-"], { input: JSON.stringify(csr) })).code, 0);
    await cluster.kubectl(["certificate", "approve", "someone"]);
    let signed = "";
    await eventually("the signed certificate", async () => {
      signed = (await cluster.kubectl(["get", "csr", "someone", "--output=jsonpath={.status.certificate}"]))
        .stdout;
      return signed !== "";
    });
    const issued = new X509Certificate(Buffer.from(signed, "base64"));
    assert.ok(issued.verify(createPublicKey(readFileSync(cluster.ca.cert))));

    const podNames = async () => (await cluster.kubectl(["get", "pods", "--output=name"])).stdout;
    const deployment = ["create", "deployment", "web", "--image=localhost/web:none"];
    assert.equal((await cluster.kubectl(deployment)).code, 0);
    await eventually("the Deployment's Pod", async () => (await podNames()) !== "");
    await cluster.kubectl(["delete", "deployment", "web", "--cascade=foreground"]);
    await eventually("the end of its Pod", async () => (await podNames()) === "");
  });

  it("keeps its data and port while the kube-apiserver is stopped", async (t) => {
    const cluster = await startCluster({ name: "restart", folder });
    t.after(() => cluster.stop());
    await cluster.kubectl(["create", "configmap", "kept", "--from-literal=a=b"]);
    const etcd = processOf(cluster, "etcd");
    await cluster.stopApiServer();
    assert.match((await cluster.kubectl(["get", "namespaces"])).stderr, /refused/);
    assert.ok(isAlive(etcd), "etcd goes on");
    await cluster.startApiServer();
    assert.equal((await cluster.kubectl(["get", "configmap", "kept"])).code, 0);
    assert.match(cli("status", "--name=restart").stdout, /running/);
  });

  it("goes down cleanly after its processes were killed", async () => {
    for (const component of ["etcd", "kube-apiserver", "kube-controller-manager"]) {
      const cluster = await startCluster({ name: "killed", folder });
      signalProcess(processOf(cluster, component), "SIGKILL");
      await eventually(`the end of ${component}`, async () =>
        cli("status", "--name=killed").stdout.includes(`${component}=ended`),
      );
      const down = cli("down", "--name=killed");
      assert.equal(down.status, 0, down.stderr);
      assert.deepEqual(leftovers(cluster.folder), []);
    }
  });

  it("goes down cleanly after `up` was killed at any moment", async () => {
    for (const milliseconds of [250, 400, 600, 900, 1500, 2500]) {
      const up = spawn(process.execPath, [program, "up", "--name=cut", `--folder=${folder}`], {
        stdio: "ignore",
      });
      // Listened for at once: on a fast machine `up` is done before the last of these moments.
      const closed = once(up, "close");
      await delay(milliseconds);
      up.kill("SIGKILL");
      await closed;
      const existed = await stopCluster("cut", { folder });
      assert.deepEqual(leftovers(join(folder, "cut")), [], `after ${milliseconds} ms (existed: ${existed})`);
    }
  });

  it("takes the programs that KUBEBUILDER_ASSETS has", async (t) => {
    const assets = mkdtempSync(join(tmpdir(), "lanyard-assets-"));
    t.after(() => rmSync(assets, { recursive: true }));
    for (const name of ["etcd", "kube-apiserver"]) symlinkSync(await ensureKubernetes(), join(assets, name));
    process.env["KUBEBUILDER_ASSETS"] = assets;
    t.after(() => delete process.env["KUBEBUILDER_ASSETS"]);
    const cluster = await startCluster({ name: "assets", folder });
    t.after(() => cluster.stop());
    const linked = (name: string): string => readlinkSync(join(cluster.folder, "bin", name));
    assert.equal(linked("etcd"), join(assets, "etcd"));
    assert.equal(linked("kube-apiserver"), join(assets, "kube-apiserver"));
    assert.equal(linked("kube-controller-manager"), await ensureKubernetes());
  });

  it("refuses to start what is there, in one line", async (t) => {
    const cluster = await startCluster({ name: "twice", folder });
    t.after(() => cluster.stop());
    const again = cli("up", "--name=twice");
    assert.equal(again.status, 1);
    assert.match(again.stderr, /^cluster "twice" exists already .*\n$/);
    assert.equal((await cluster.kubectl(["get", "--raw=/readyz"])).stdout, "ok");
    const image = cli("load-image", "--name=twice", "/nowhere.tar");
    assert.match(image.stderr, /^cluster "twice" has no node: .*\n$/);
  });
});

function anonymousGet(url: string): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    get(url, { rejectUnauthorized: false, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode, text }));
    }).on("error", reject);
  });
}
