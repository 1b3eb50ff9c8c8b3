import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { eventually } from "../integration/harness/eventually.ts";
import { app, namespace, startProxyCluster } from "./proxy-cluster.ts";
import type { ProxyCluster } from "./proxy-cluster.ts";

describe("kubectl through the impersonation proxy, as a plain user on a real node", () => {
  let proxy: ProxyCluster | undefined;
  const started = (): ProxyCluster => {
    assert.ok(proxy, "the cluster is up");
    return proxy;
  };
  const here = (): Cluster => started().cluster;
  /** kubectl as ada, through the proxy. */
  const asAda = (
    args: readonly string[],
    options: { input?: string; environment?: readonly string[] } = {},
  ) =>
    here().exec(
      ["env", ...(options.environment ?? []), "kubectl", `--kubeconfig=${started().kubeconfig}`, ...args],
      options.input === undefined ? {} : { input: options.input },
    );
  const ada = async (args: readonly string[], options: Parameters<typeof asAda>[1] = {}): Promise<string> => {
    const { code, stdout, stderr } = await asAda(args, options);
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const script = async (text: string): Promise<string> => {
    const { code, stdout, stderr } = await here().exec([
      "env",
      `USER_KUBECONFIG=${started().kubeconfig}`,
      "bash",
      "-euo",
      "pipefail",
      "-c",
      text,
    ]);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  before(async () => {
    proxy = await startProxyCluster("kubectl", [
      "clientCertificate.lifetimeSeconds=3600",
      "clientCertificate.boundToToken=false",
    ]);
  });
  after(() => proxy?.stop());

  let forwarded: Promise<string> | undefined;
  it("port-forward works at once", async () => {
    forwarded = script(`
      kubectl --kubeconfig="$USER_KUBECONFIG" port-forward pod/web 18080:8080 >${started().folder}/forward 2>&1 &
      forward=$!
      for _ in $(seq 100); do grep -q Forwarding ${started().folder}/forward && break; sleep 0.1; done
      busybox wget -q -O - http://127.0.0.1:18080/ | tee ${started().folder}/forwarded
      sleep 70
      busybox wget -q -O - http://127.0.0.1:18080/
      kill $forward`);
    await eventually("the first answer", () =>
      Promise.resolve(
        existsSync(join(started().folder, "forwarded")) &&
          readFileSync(join(started().folder, "forwarded"), "utf8") === "hello\n",
      ),
    );
  });

  it("reads and writes: get, list, apply, patch, delete, get --raw, auth whoami, auth can-i", async () => {
    assert.match(await ada(["auth", "whoami"]), /Username\s+ada/);
    assert.match(await ada(["auth", "whoami", "--output=json"]), /"X509SHA256=[0-9a-f]{64}"/);
    assert.equal((await ada(["auth", "can-i", "create", "configmaps"])).trim(), "yes");
    assert.equal((await asAda(["auth", "can-i", "delete", "nodes"])).stdout.trim(), "no");
    await ada(["create", "configmap", "one", "--from-literal=a=1"]);
    await ada(["apply", "--server-side", "--filename=-"], {
      input: JSON.stringify({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "two" },
        data: { b: "2" },
      }),
    });
    await ada(["patch", "configmap", "one", "--type=merge", '--patch={"data":{"a":"3"}}']);
    assert.equal(await ada(["get", "configmap", "one", "--output=jsonpath={.data.a}"]), "3");
    const listed = await ada(["get", "configmaps", "--output=name"]);
    assert.ok(listed.includes("configmap/one\n") && listed.includes("configmap/two\n"), listed);
    await ada(["delete", "configmap", "one", "two"]);
    assert.match(await ada(["get", "--raw=/version"]), /"gitVersion"/);
    const refused = await asAda(["get", "secrets", "--namespace=kube-system"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /User "ada" cannot list resource "secrets" in API group ""/);
    assert.match(refused.stderr, /decision made by impersonation-proxy\.concierge\.pinniped\.dev/);
  });

  it("watches: an event arrives while the request is open", async () => {
    const seen = await script(`
      kubectl --kubeconfig="$USER_KUBECONFIG" get configmaps --watch-only --output=name --request-timeout=20s >${started().folder}/watch &
      watch=$!
      sleep 2
      kubectl --kubeconfig="$USER_KUBECONFIG" create configmap watched >/dev/null
      for _ in $(seq 50); do grep -q configmap/watched ${started().folder}/watch && break; sleep 0.1; done
      kill $watch
      cat ${started().folder}/watch`);
    assert.match(seen, /configmap\/watched/);
  });

  for (const [protocol, webSocket] of [
    ["SPDY", "false"],
    ["WebSocket", "true"],
  ] as const) {
    it(`exec over ${protocol}: output, exit code, and standard input both ways`, async () => {
      const environment = [`KUBECTL_REMOTE_COMMAND_WEBSOCKETS=${webSocket}`];
      assert.equal(await ada(["exec", "shell", "--", "echo", "hi"], { environment }), "hi\n");
      const failed = await asAda(["exec", "shell", "--", "sh", "-c", "echo oops >&2; exit 7"], {
        environment,
      });
      assert.equal(failed.code, 7);
      assert.match(failed.stderr, /oops/);
      const text = "both ways\n".repeat(20_000);
      assert.equal(await ada(["exec", "--stdin", "shell", "--", "cat"], { environment, input: text }), text);
    });
  }

  it("attach: standard input reaches the process, and the session ends with it", async () => {
    const { stdout, stderr } = await asAda(["attach", "--stdin", "listener"], { input: "said\n" });
    assert.match(stdout, /heard said/, stderr);
  });

  it("cp: 200 MB arrive as they were sent, and a file comes back", async () => {
    const source = join(started().folder, "big");
    writeFileSync(source, Buffer.alloc(200_000_000, randomBytes(1_000_000)));
    const startedAt = Date.now();
    await ada(["cp", source, "work/shell:/tmp/big"]);
    console.log(`200 MB by kubectl cp: ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
    const [sum] = (await here().exec(["sha256sum", source])).stdout.split(" ");
    assert.ok((await ada(["exec", "shell", "--", "sha256sum", "/tmp/big"])).startsWith(sum ?? "-"));
    await ada(["exec", "shell", "--", "rm", "/tmp/big"]);
    await ada(["cp", "work/shell:/www/index.html", join(started().folder, "back")]);
    assert.equal((await here().exec(["cat", join(started().folder, "back")])).stdout, "hello\n");
  });

  it("a 20 MB upload through a Service's proxy subresource arrives whole", async () => {
    const { code, stdout, stderr } = await here().exec([
      process.execPath,
      join(import.meta.dirname, "upload.ts"),
      started().kubeconfig,
      "/api/v1/namespaces/work/services/http:web:80/proxy/cgi-bin/count",
      "20000000",
    ]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, "200 20000000\n");
  });

  it("logs -f follows", async () => {
    const lines = await script(
      `(kubectl --kubeconfig="$USER_KUBECONFIG" logs --follow ticker || true) | head -4`,
    );
    assert.match(lines, /^tick \d+\ntick \d+\ntick \d+\ntick \d+\n$/);
  });

  it("--as: with the right it acts as the other, without it is told so, --as-uid is the contract's refusal", async () => {
    assert.equal(
      (await ada(["auth", "whoami", "--as=bob", "--output=jsonpath={.status.userInfo.username}"])).trim(),
      "bob",
    );
    const refused = await asAda(["get", "pods", "--as=eve"]);
    assert.match(
      refused.stderr,
      /users "eve" is forbidden: User "ada" cannot impersonate resource "users" in API group "" at the cluster scope: .*decision made by impersonation-proxy\.concierge\.pinniped\.dev/,
    );
    const uid = await asAda(["get", "pods", "--as=bob", "--as-uid=some-uid"]);
    assert.notEqual(uid.code, 0);
    assert.match(uid.stderr, /unimplemented functionality - unable to act as current user/);
  });

  it("top: the API server's own error is relayed", async () => {
    const { code, stderr } = await asAda(["top", "pods"]);
    assert.equal(code, 1);
    assert.match(stderr, /Metrics API not available/);
  });

  it("Helm installs and uninstalls", async () => {
    const helm = await ensureHelm();
    const chart = join(started().folder, "small");
    await script(`mkdir -p ${chart}/templates
      printf 'apiVersion: v2\\nname: small\\nversion: 0.1.0\\n' >${chart}/Chart.yaml
      printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: from-helm}\\n' >${chart}/templates/cm.yaml`);
    const run = async (...args: string[]): Promise<void> => {
      const { code, stderr } = await here().exec([helm, `--kubeconfig=${started().kubeconfig}`, ...args]);
      assert.equal(code, 0, stderr);
    };
    await run("install", "small", chart);
    assert.match(await ada(["get", "configmap", "from-helm", "--output=name"]), /from-helm/);
    await run("uninstall", "small");
    assert.notEqual((await asAda(["get", "configmap", "from-helm"])).code, 0);
  });

  it("60 discovery requests at once are all answered", async () => {
    const { code, stdout, stderr } = await here().exec([
      process.execPath,
      join(import.meta.dirname, "parallel-discovery.ts"),
      started().kubeconfig,
      "60",
    ]);
    assert.equal(code, 0, stderr);
    const { statuses, milliseconds } = JSON.parse(stdout) as { statuses: number[]; milliseconds: number };
    console.log(`60 discovery requests at once: ${milliseconds} ms`);
    assert.deepEqual([...new Set(statuses)], [200]);
  });

  it("port-forward works again after 70 idle seconds", async () => {
    assert.equal(await forwarded, "hello\nhello\n");
  });

  it("the proxy's ServiceAccount loses its rule: 403 from the API server, never an answer as the proxy", async () => {
    const binding = await kubectl(here(), [
      "get",
      "clusterrolebinding",
      `${app}-impersonation-proxy`,
      "--output=json",
    ]);
    await kubectl(here(), [
      "patch",
      "clusterrolebinding",
      `${app}-impersonation-proxy`,
      "--type=merge",
      '--patch={"subjects":[]}',
    ]);
    const account = `system:serviceaccount:${namespace}:${app}-impersonation-proxy`;
    const message = await eventually("the API server's refusal", async () => {
      const { code, stderr } = await asAda(["get", "pods"]);
      return code === 0 ? undefined : stderr;
    });
    assert.ok(
      message.includes(
        `users "ada" is forbidden: User "${account}" cannot impersonate resource "users" in API group "" at the cluster scope`,
      ),
      message,
    );
    assert.ok(!message.includes("decision made by impersonation-proxy"), message);
    await kubectl(here(), ["replace", "--force", "--filename=-"], binding);
    await eventually("the proxy works again", async () => (await asAda(["get", "pods"])).code === 0);
  });
});
