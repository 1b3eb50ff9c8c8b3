import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { stringify } from "yaml";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { applyAuthenticator, authenticatorInPhase } from "./harness/authenticators.ts";
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
import {
  type AuthenticatorName,
  exchangeObject,
  exchangePath,
  issuedCertificate,
} from "./harness/exchange.ts";
import { startHeldWebhook } from "./harness/held-webhook.ts";
import { proxyAt } from "./harness/proxy.ts";

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
  it("lets what is in flight finish, ends watches in order, and takes nothing new after 3 s (rule 8)", async (t) => {
    const [replica] = installation.replicas;
    assert.ok(replica !== undefined);
    const webhook = await startHeldWebhook();
    t.after(() => webhook.close());
    const authenticator: AuthenticatorName = { kind: "WebhookAuthenticator", name: "slow" };
    await applyAuthenticator(cluster, authenticator, webhook.spec);
    await authenticatorInPhase(cluster, authenticator, "Ready");
    const proxy = await proxyAt(installation, replica);
    const caller = { bearerToken: await watcherToken() };
    const exchange = { body: JSON.stringify(exchangeObject("a-token", authenticator)) };

    const watches = [
      await proxy.watch(watchedPath, { caller }),
      await proxy.watchHttp2(watchedPath, { caller }),
    ];
    t.after(() => watches.forEach((watch) => watch.close()));
    assert.deepEqual(
      watches.map(({ status, isOpen }) => [status, isOpen]),
      [
        [200, true],
        [200, true],
      ],
    );
    const straight = installation.api(exchangePath, exchange);
    const throughProxy = [proxy.call(exchangePath, exchange), proxy.callHttp2(exchangePath, exchange)];
    await eventually("three exchanges in flight", async () => webhook.held() === 3);

    const told = performance.now();
    const ended = replica.end("SIGTERM");
    const since = (): number => performance.now() - told;
    await eventually("readiness to go", async () => (await replica.readyz()).status === 500, {
      seconds: 1,
      intervalMilliseconds: 10,
    });
    // Others learn of it only now: a new request is served as ever, and told to come on another connection next time.
    const late = await proxy.call(watchedPath.replace(/\?.*/, ""), { caller });
    assert.equal(late.status, 200);
    assert.equal(late.headers["connection"], "close");
    assert.ok(watches.every(({ isOpen }) => isOpen));

    await eventually("the doors to close", async () => !(await portIsOpen(replica)), {
      seconds: 10,
      intervalMilliseconds: 20,
    });
    assert.ok(since() > 2_900, `closed after ${since()} ms`);
    assert.deepEqual(await Promise.all(watches.map((watch) => watch.ended)), ["end", "end"]);
    assert.equal(webhook.held(), 3, "the exchanges are still in flight");
    webhook.release();
    for (const answer of await Promise.all([straight, ...throughProxy])) {
      assert.ok(issuedCertificate(answer).certificatePem.startsWith("-----BEGIN CERTIFICATE-----"));
    }
    assert.equal(await ended, 0, tail(replica));
    t.diagnostic(`gone after ${Math.round(since())} ms`);
    assert.ok(since() < 8_000, `with nothing left to do it goes at once, not after ${since()} ms`);
    assert.doesNotMatch(replica.log(), /shutdown step (takes too long|failed)/);
  });

  it("ends the process in order, with the contract's lines", async (t) => {
    const replica = await installation.startReplica(0);
    await eventually("readiness", async () => (await replica.readyz()).status === 200);
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

const watchedPath = "/api/v1/namespaces/kube-system/configmaps?watch=true";

/** The token of a ServiceAccount that may follow what `watchedPath` names. */
async function watcherToken(): Promise<string> {
  const where = "--namespace=kube-system";
  await kubectl(cluster, ["create", "serviceaccount", "watcher", where]);
  await kubectl(cluster, ["create", "role", "watcher", where, "--verb=list,watch", "--resource=configmaps"]);
  const binding = ["--role=watcher", "--serviceaccount=kube-system:watcher"];
  await kubectl(cluster, ["create", "rolebinding", "watcher", where, ...binding]);
  return (await kubectl(cluster, ["create", "token", "watcher", where])).trim();
}

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

/** Starts the server where it cannot start, and waits for its end. */
async function failingStart(start: Start): Promise<{
  readonly code: number | null;
  readonly plain: readonly string[];
}> {
  const child = startServer(start);
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  const output = await text(child.stderr);
  // Log lines are JSON; what is meant for a person is not.
  const plain = output.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  return { code: await exited, plain };
}

function startServer({
  configuration,
  podinfo,
  kubeconfig,
}: Start): ChildProcessByStdio<null, null, Readable> {
  const own = join(folder, `start-${starts++}`);
  mkdirSync(join(own, "podinfo"), { recursive: true });
  for (const [name, content] of Object.entries(podinfo ?? {})) {
    writeFileSync(join(own, "podinfo", name), content);
  }
  if (configuration !== undefined) {
    writeFileSync(join(own, "concierge.yaml"), stringify(configuration));
  }
  return spawn(
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

  async function adminKubeconfig(): Promise<string> {
    const { readFile } = await import("node:fs/promises");
    return readFile(cluster.kubeconfig, "utf8");
  }
});

describe("a start without any right", () => {
  it("waits and says what it needs, and goes at once when it is told to", async () => {
    const account = "nothing";
    const kubeconfig = join(folder, account);
    await kubectl(cluster, ["create", "serviceaccount", account, `--namespace=${installation.namespace}`]);
    await cluster.serviceAccountKubeconfig(installation.namespace, account, kubeconfig);
    const child = startServer({ configuration: await configuration(), podinfo: podinfo(), kubeconfig });
    let log = "";
    child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString("utf8")));
    const exited = new Promise<number | null>((resolve) => {
      child.once("exit", resolve);
    });
    await eventually("the line", async () => log.includes("something is missing") && log.endsWith("\n"));
    const [line = "", ...more] = log.split("\n").filter((each) => each.includes("something is missing"));
    assert.deepEqual(more, []);
    const { missing } = JSON.parse(line) as { readonly missing: readonly string[] };
    assert.equal(
      missing[0],
      "permission: {apiGroups: [''], resources: [pods], verbs: [get, list, watch]} (Role in namespace concierge)",
    );
    assert.ok(missing.length > 20, line);
    assert.ok(
      missing.every((each) => each.startsWith("permission: ")),
      line,
    );
    const told = performance.now();
    child.kill("SIGTERM");
    assert.equal(await exited, 0, log);
    assert.ok(performance.now() - told < 2_000);
  });
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
