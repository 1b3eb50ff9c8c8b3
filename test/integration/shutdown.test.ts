import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { stringify } from "yaml";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import {
  type Installation,
  installConcierge,
  kubectl,
  probe,
  type Replica,
  serverProgram,
  tail,
  waitUntilServing,
} from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";

let cluster: Cluster;
let installation: Installation;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "lanyard-start-"));
  cluster = await startCluster({ name: `shutdown-${process.pid}`, progress: () => {} });
  installation = await installConcierge(cluster);
  await waitUntilServing(installation);
});

after(async () => {
  await installation?.close();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function lineNumber(replica: Replica, part: string): number {
  const index = replica
    .log()
    .split("\n")
    .findIndex((line) => line.includes(part));
  assert.notEqual(index, -1, `no line holds ${part}:\n${tail(replica)}`);
  return index;
}

const initiated = '"message":"[graceful-termination] shutdown event","name":"ShutdownInitiated"';

describe("SIGTERM", () => {
  it("ends the process in order, with the contract's lines", async (t) => {
    const [replica] = installation.replicas;
    assert.ok(replica !== undefined);
    assert.equal((await replica.readyz()).status, 200);
    const told = performance.now();
    const ended = replica.end("SIGTERM");

    const refused = await eventually(
      "readiness to go",
      async () => {
        const answer = await replica.readyz("?verbose");
        return answer.status === 200 ? undefined : answer;
      },
      { seconds: 2, intervalMilliseconds: 20 },
    );
    assert.equal(refused.status, 500);
    assert.match(refused.text, /^\[-\]shutdown failed: reason withheld$/m);
    // Requests that are still sent here are served, and the kubelet has no reason to kill it.
    assert.equal((await probe(replica.port, "/livez")).status, 200);
    assert.equal((await probe(replica.port, "/healthz")).status, 200);

    assert.equal(await ended, 0, tail(replica));
    const milliseconds = Math.round(performance.now() - told);
    t.diagnostic(`gone after ${milliseconds} ms`);
    assert.ok(milliseconds < 20_000, `gone after ${milliseconds} ms`);

    // Contract 9.3, with the keys beside each other.
    const order = [
      lineNumber(replica, initiated),
      lineNumber(replica, "fetch-impersonation-proxy-tokens start hook's background goroutine has finished"),
      lineNumber(replica, '"message":"lease released"'),
      lineNumber(replica, "[graceful-termination] apiserver is exiting"),
    ];
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    for (const line of replica.log().split("\n")) {
      if (line.startsWith("{")) {
        assert.doesNotThrow(() => JSON.parse(line), line);
      }
    }
    assert.doesNotMatch(replica.log(), /shutdown step (takes too long|failed)/);
  });

  it("ends the process at once when it comes again", async () => {
    const replica = await installation.startReplica(0);
    await eventually("readiness", async () => (await replica.readyz()).status === 200);
    const ended = replica.end("SIGTERM");
    await eventually("the shutdown", async () => replica.log().includes(initiated), {
      intervalMilliseconds: 20,
    });
    const again = performance.now();
    replica.process.kill("SIGTERM");
    assert.equal(await ended, 1);
    const milliseconds = Math.round(performance.now() - again);
    // An orderly end takes more than the 3 s in which others learn of it.
    assert.ok(milliseconds < 2_000, `gone ${milliseconds} ms after the second signal`);
    assert.doesNotMatch(replica.log(), /apiserver is exiting/);
    assert.match(replica.log(), /"message":"second signal, exiting at once"/);
  });

  it("ends a process that is still starting", async () => {
    const replica = await installation.startReplica(0);
    await eventually("the listener", async () => (await portIsOpen(replica)) || undefined, {
      intervalMilliseconds: 10,
    });
    assert.equal(await replica.end("SIGTERM"), 0, tail(replica));
    lineNumber(replica, initiated);
  });
});

async function portIsOpen(replica: Replica): Promise<boolean> {
  return replica.readyz().then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ECONNREFUSED",
  );
}

interface Start {
  readonly configuration?: object;
  /** Files of the downward API. */
  readonly podinfo?: Readonly<Record<string, string>>;
  readonly kubeconfig?: string;
}

let starts = 0;

/** Starts the server where it cannot start, and waits for its end. */
async function failingStart({ configuration, podinfo, kubeconfig }: Start): Promise<{
  readonly code: number | null;
  readonly plain: readonly string[];
  readonly own: string;
}> {
  const own = join(folder, `start-${starts++}`);
  mkdirSync(join(own, "podinfo"), { recursive: true });
  for (const [name, content] of Object.entries(podinfo ?? {})) {
    writeFileSync(join(own, "podinfo", name), content);
  }
  if (configuration !== undefined) {
    writeFileSync(join(own, "concierge.yaml"), stringify(configuration));
  }
  const child = spawn(
    process.execPath,
    [
      "--disable-sigusr1",
      serverProgram,
      `--config=${join(own, "concierge.yaml")}`,
      `--downward-api-path=${join(own, "podinfo")}`,
      ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
    ],
    { env: { PATH: process.env["PATH"] ?? "" }, stdio: ["ignore", "ignore", "pipe"] },
  );
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  const output = await text(child.stderr);
  // Log lines are JSON; what is meant for a person is not.
  const plain = output.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  return { code: await exited, plain, own };
}

/** The start ends with code 1 and one line for people. */
async function assertRefusal(start: Start, ...parts: readonly RegExp[]): Promise<void> {
  const { code, plain } = await failingStart(start);
  assert.equal(code, 1, plain.join("\n"));
  assert.equal(plain.length, 1, plain.join("\n"));
  for (const part of parts) {
    assert.match(plain[0] ?? "", part);
  }
}

describe("a start that cannot succeed says why, and what to do, in one line", { concurrency: 3 }, () => {
  const configuration = async (): Promise<object> => ({
    aggregatedAPIServerPort: await freePort(),
    names: {
      servingCertificateSecret: "a",
      credentialIssuer: "b",
      apiService: "c",
      impersonationLoadBalancerService: "d",
      impersonationClusterIPService: "e",
      impersonationTLSCertificateSecret: "f",
      impersonationCACertificateSecret: "g",
      impersonationSignerSecret: "h",
      agentServiceAccount: "i",
      impersonationProxyServiceAccount: "j",
      impersonationProxyLegacySecret: "k",
    },
    labels: { app: "lanyard-concierge" },
  });
  const podinfo = (): Readonly<Record<string, string>> => ({
    namespace: installation.namespace,
    name: installation.replicas[0]?.podName ?? "",
    labels: "",
  });

  it("without a configuration file", async () => {
    await assertRefusal({}, /^lanyard-concierge: could not load config: /, /concierge\.yaml/);
  });

  it("without a required name in the configuration", async () => {
    await assertRefusal(
      { configuration: { names: {} } },
      /^lanyard-concierge: could not load config: validate names: missing required names: servingCertificateSecret, credentialIssuer, /,
    );
  });

  it("without the namespace", async () => {
    await assertRefusal(
      { configuration: await configuration() },
      /^lanyard-concierge: could not read pod metadata: could not load namespace: .*\/podinfo\/namespace is missing or empty$/,
    );
  });

  it("without the Pod's name", async () => {
    await assertRefusal(
      { configuration: await configuration(), podinfo: { namespace: "concierge" } },
      /^lanyard-concierge: the Pod's name is not known: mount it as .*\/podinfo\/name$/,
    );
  });

  it("outside a cluster", async () => {
    await assertRefusal(
      { configuration: await configuration(), podinfo: podinfo() },
      /^lanyard-concierge: .*KUBERNETES_SERVICE_HOST/,
      /; give a kubeconfig file outside of one$/,
    );
  });

  it("with a kube-apiserver that cannot be reached", async () => {
    const port = await freePort();
    const kubeconfig = join(folder, "unreachable");
    writeFileSync(
      kubeconfig,
      (await adminKubeconfig()).replace(/server: .*/, `server: "https://127.0.0.1:${port}"`),
    );
    await assertRefusal(
      { configuration: await configuration(), podinfo: podinfo(), kubeconfig },
      new RegExp(`127\\.0\\.0\\.1:${port}`),
      /ECONNREFUSED|refused/,
      /; /,
    );
  });

  it("without a Pod of that name", async () => {
    await assertRefusal(
      {
        configuration: await configuration(),
        podinfo: { ...podinfo(), name: "nobody" },
        kubeconfig: installation.kubeconfig,
      },
      /^lanyard-concierge: cannot read Pod concierge\/nobody: pods "nobody" not found; /,
      /the downward API file "name" must hold this Pod's name$/,
    );
  });

  it("without the right to read its Pod", async () => {
    const kubeconfig = await accountKubeconfig("nothing");
    await assertRefusal(
      { configuration: await configuration(), podinfo: podinfo(), kubeconfig },
      /^lanyard-concierge: cannot read Pod concierge\/.*: pods ".*" is forbidden: User "system:serviceaccount:concierge:nothing" /,
      /; the ServiceAccount needs "get" on pods in this namespace/,
    );
  });

  it("without the right to follow what it needs", async () => {
    const kubeconfig = await accountKubeconfig("half");
    for (const rule of ["pods", "replicasets.apps", "deployments.apps"]) {
      await allow("role", "half", rule, [`--namespace=${installation.namespace}`]);
    }
    await allow("clusterrole", "half", "apiservices.apiregistration.k8s.io", []);
    await assertRefusal(
      { configuration: await configuration(), podinfo: podinfo(), kubeconfig },
      /^lanyard-concierge: /,
      /: not synced within 60000 ms: [^;]*secrets in namespace concierge/,
      /is forbidden: User "system:serviceaccount:concierge:half" cannot list resource/,
      /; check the ServiceAccount's rights to list and watch/,
    );
  });

  async function adminKubeconfig(): Promise<string> {
    const { readFile } = await import("node:fs/promises");
    return readFile(cluster.kubeconfig, "utf8");
  }

  async function accountKubeconfig(account: string): Promise<string> {
    const path = join(folder, account);
    await kubectl(cluster, ["create", "serviceaccount", account, `--namespace=${installation.namespace}`]);
    await cluster.serviceAccountKubeconfig(installation.namespace, account, path);
    return path;
  }

  async function allow(
    kind: "role" | "clusterrole",
    account: string,
    resource: string,
    where: readonly string[],
  ): Promise<void> {
    const name = `${account}-${resource}`;
    await kubectl(cluster, ["create", kind, name, "--verb=get", `--resource=${resource}`, ...where]);
    await kubectl(cluster, [
      "create",
      `${kind}binding`,
      name,
      `--${kind}=${name}`,
      `--serviceaccount=${installation.namespace}:${account}`,
      ...where,
    ]);
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  return typeof address === "object" && address !== null ? address.port : 0;
}
