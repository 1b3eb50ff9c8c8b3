import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { ensureKubernetes, ensureLauncher, ensurePause } from "../../hack/cluster/binaries.ts";
import { startCluster, stopCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { loadImage } from "../../hack/cluster/images.ts";
import { leftovers, networkNamespaceOf } from "../../hack/cluster/leftovers.ts";
import { recordedProcess, signalProcess } from "../../hack/cluster/processes.ts";
import { imageFiles } from "../../hack/image/file-tree.ts";
import { readImageManifest } from "../../hack/image/manifest.ts";
import { machineArchitecture, writeDockerArchive } from "../../hack/image/docker-archive.ts";

const root = join(import.meta.dirname, "..", "..");
const program = join(root, "hack", "cluster", "main.ts");
const image = "localhost/node-tier-test:dev";

describe("a cluster with a real node from up to down", () => {
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-node-tier-"));
    await ensureKubernetes();
    await ensurePause();
  });
  after(() => rmSync(folder, { recursive: true }));

  const cli = (...args: string[]) =>
    spawnSync(process.execPath, [program, ...args, `--folder=${folder}`], { encoding: "utf8" });
  const networkOf = (cluster: Cluster): string | undefined =>
    networkNamespaceOf(recordedProcess(cluster.folder, "namespaces")?.pid ?? 0);
  const settings = (): string[] =>
    [
      "vm/overcommit_memory",
      "vm/panic_on_oom",
      "kernel/panic",
      "kernel/panic_on_oops",
      "net/ipv4/ip_forward",
    ].map((name) => `${name}=${readFileSync(`/proc/sys/${name}`, "utf8").trim()}`);

  it("runs Pods of an image made from files, two clusters at once, and leaves nothing", async () => {
    const before = settings();
    const [one, two] = await Promise.all([
      startCluster({ name: "one", tier: "node", folder }),
      startCluster({ name: "two", tier: "node", folder }),
    ]);
    const networks = [networkOf(one), networkOf(two)];
    assert.notEqual(networks[0], networks[1]);
    assert.equal((await one.exec(["ip", "route", "show", "default"])).stdout, "", "no route out");

    // The image's tree without the server: what is tested here is the node.
    const sources = {
      root,
      node: join(root, "node_modules", "node", "bin", "node"),
      launcher: await ensureLauncher(),
    };
    const manifest = readImageManifest();
    const copies = manifest.copies.filter(({ what }) => what !== "dist" && what !== "modules");
    const output = join(folder, "image.tar");
    writeDockerArchive({
      output,
      tag: image,
      architecture: machineArchitecture(),
      entries: imageFiles({ ...manifest, copies }, sources),
      config: { user: "65532:65532", environment: ["PATH=/usr/local/bin"] },
    });
    assert.deepEqual(await loadImage(one, output), [image]);

    const signingKeys = await one.kubectl(["create", "--filename=-"], { input: pods(one.folder) });
    assert.equal(signingKeys.code, 0, signingKeys.stderr);
    const ready = ["wait", "--for=condition=Ready", "pod", "--all", "--timeout=80s"];
    const waited = await one.kubectl(ready);
    assert.equal(waited.code, 0, waited.stderr);
    assert.equal((await one.kubectl(["logs", "web"])).stdout, "started as 65532\n");
    const version = await one.kubectl(["exec", "web", "--", "node", "--version"]);
    assert.match(version.stdout, /^v26\./);
    const printed = await one.kubectl(["exec", "agent", "--", "pinniped-concierge-kube-cert-agent", "print"]);
    const pair = JSON.parse(printed.stdout) as Record<string, string>;
    assert.equal(Buffer.from(pair["tls.key"] ?? "", "base64").toString(), readFileSync(one.ca.key, "utf8"));

    const address = (await one.kubectl(["get", "service", "web", "--output=jsonpath={.spec.clusterIP}"]))
      .stdout;
    const ask = `fetch("http://${address}/").then((answer) => answer.text()).then(console.log)`;
    assert.equal((await one.exec([process.execPath, "-e", ask])).stdout, "hello\n", "from the node");
    const fromPod = await one.kubectl(["exec", "web", "--", "node", "-e", ask]);
    assert.equal(fromPod.stdout, "hello\n", `from a Pod, to itself: ${fromPod.stderr}`);

    await Promise.all([one.stop(), two.stop()]);
    assert.deepEqual(leftovers(one.folder, networks[0]), []);
    assert.deepEqual(leftovers(two.folder, networks[1]), []);
    assert.deepEqual(settings(), before, "the machine's kernel settings");
  });

  it("goes on after its kube-apiserver was stopped", async (t) => {
    const cluster = await startCluster({ name: "restart", tier: "node", folder });
    t.after(() => cluster.stop());
    await cluster.stopApiServer();
    assert.notEqual((await cluster.kubectl(["get", "nodes"])).code, 0);
    await cluster.startApiServer();
    const node = await cluster.kubectl(["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]);
    assert.equal(node.code, 0, node.stderr);
  });

  it("goes down cleanly after its processes were killed", async () => {
    for (const component of ["containerd", "namespaces"]) {
      const cluster = await startCluster({ name: "killed", tier: "node", folder });
      const network = networkOf(cluster);
      const record = recordedProcess(cluster.folder, component);
      assert.ok(record && signalProcess(record, "SIGKILL"));
      const down = cli("down", "--name=killed");
      assert.equal(down.status, 0, down.stderr);
      assert.deepEqual(leftovers(cluster.folder, network), [], `after ${component} was killed`);
    }
  });

  it("goes down cleanly after `up` was killed at any moment", async () => {
    for (const milliseconds of [300, 500, 800, 1500, 3000, 6000, 9000]) {
      const up = spawn(process.execPath, [program, "up", "--tier=node", "--name=cut", `--folder=${folder}`], {
        stdio: "ignore",
      });
      // Listened for at once: on a fast machine `up` is done before the last of these moments.
      const closed = once(up, "close");
      await delay(milliseconds);
      const network = networkNamespaceOf(recordedProcess(join(folder, "cut"), "namespaces")?.pid ?? 0);
      up.kill("SIGKILL");
      await closed;
      await stopCluster("cut", { folder });
      assert.deepEqual(leftovers(join(folder, "cut"), network), [], `after ${milliseconds} ms`);
    }
  });
});

/** A server behind a Service, and a Pod that reads the cluster's signing key from the node. */
function pods(folder: string): string {
  const server =
    'require("http").createServer((_, answer) => answer.end("hello")).listen(8080);' +
    'console.log("started as", process.getuid())';
  const container = { name: "main", image, imagePullPolicy: "IfNotPresent" };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "web", labels: { app: "web" } },
        spec: {
          containers: [
            {
              ...container,
              command: ["node", "-e", server],
              readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
              securityContext: {
                runAsNonRoot: true,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ["ALL"] },
              },
            },
          ],
        },
      },
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "agent" },
        spec: {
          containers: [
            {
              ...container,
              command: ["pinniped-concierge-kube-cert-agent", "sleep"],
              env: [
                { name: "CERT_PATH", value: "/pki/ca.crt" },
                { name: "KEY_PATH", value: "/pki/ca.key" },
              ],
              resources: { limits: { memory: "32Mi", cpu: "20m" } },
              securityContext: { runAsUser: 0 },
              volumeMounts: [{ name: "pki", mountPath: "/pki", readOnly: true }],
            },
          ],
          volumes: [{ name: "pki", hostPath: { path: join(folder, "pki") } }],
        },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "web" },
        spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
      },
    ],
  });
}
