import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { kubectl } from "../integration/harness/concierge.ts";
import { eventually } from "../integration/harness/eventually.ts";
import { ensureClientGo } from "../client-go/client-go.ts";
import { startProxyCluster } from "./proxy-cluster.ts";
import type { ProxyCluster } from "./proxy-cluster.ts";

/** How long watches are held open. `npm run test:long` sets more by this variable. */
const watchSeconds = Number(process.env["LANYARD_TEST_WATCH_SECONDS"] ?? "75");
/** The same for streams whose credential is renewed: four times in the long run. */
const streamSeconds = Math.min(watchSeconds, 260);
/** The shortest lifetime there is (S7). */
const lifetimeSeconds = 60;

interface Report {
  readonly protocols: Readonly<Record<string, number>>;
}
interface Streams extends Report {
  readonly written: number;
  readonly failed: number;
  readonly lastError: string;
  readonly watch: { readonly events: number; readonly bookmarks: number; readonly ended: boolean };
  readonly log?: { readonly lines: number; readonly ended: boolean; readonly error?: string };
}

describe("programs built on client-go, through the impersonation proxy on a real node", () => {
  let proxy: ProxyCluster | undefined;
  const started = (): ProxyCluster => {
    assert.ok(proxy, "the cluster is up");
    return proxy;
  };
  const drive = async <T extends Report>(
    scenario: string,
    options: {
      readonly kubeconfig?: string;
      readonly protocol?: "h1" | "h2";
      readonly seconds?: number;
    } = {},
  ): Promise<T> => {
    const { cluster, kubeconfig } = started();
    const { code, stdout, stderr } = await cluster.exec([
      await ensureClientGo(),
      `-kubeconfig=${options.kubeconfig ?? kubeconfig}`,
      "-namespace=work",
      "-pod=ticker",
      `-protocol=${options.protocol ?? "h2"}`,
      `-seconds=${options.seconds ?? 5}`,
      scenario,
    ]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as T;
  };
  const patchIssuer = async (spec: object): Promise<void> => {
    const { cluster } = started();
    const name = await kubectl(cluster, ["get", "credentialissuers", "--output=name"]);
    await kubectl(cluster, ["patch", name.trim(), "--type=merge", `--patch=${JSON.stringify({ spec })}`]);
  };
  /** A kubeconfig whose credentials come from a plugin and live for a minute. */
  const withPlugin = (log: string): string => {
    const { endpoint, caData, folder, kubeconfig } = started();
    const caFile = join(folder, "proxy-ca.pem");
    writeFileSync(caFile, Buffer.from(caData, "base64"));
    writeFileSync(log, "");
    const path = join(folder, "plugin.conf");
    const config = JSON.parse(readFileSync(kubeconfig, "utf8")) as { users: object[] };
    config.users = [
      {
        name: "ada",
        user: {
          exec: {
            apiVersion: "client.authentication.k8s.io/v1",
            command: process.execPath,
            args: [
              join(import.meta.dirname, "exec-plugin.ts"),
              endpoint,
              caFile,
              `${kubeconfig}.token`,
              String(lifetimeSeconds),
              log,
            ],
            interactiveMode: "Never",
          },
        },
      },
    ];
    writeFileSync(path, JSON.stringify(config));
    return path;
  };

  before(async () => {
    proxy = await startProxyCluster("clientgo", [
      "clientCertificate.maximumLifetimeSeconds=3600",
      "clientCertificate.lifetimeSeconds=3600",
      "clientCertificate.boundToToken=false",
    ]);
  });
  after(() => proxy?.stop());

  for (const [protocol, version] of [
    ["h1", "HTTP/1.1"],
    ["h2", "HTTP/2.0"],
  ] as const) {
    it(`${version}: informers, leader election, large lists, server-side apply`, async () => {
      for (const scenario of ["informers", "lease", "lists", "apply"]) {
        const report = await drive(scenario, { protocol });
        assert.deepEqual(Object.keys(report.protocols), [version], scenario);
      }
    });
  }

  it("watches with bookmarks stay open, over HTTP/1.1 and HTTP/2", async () => {
    const watches = await Promise.all(
      (["h1", "h2"] as const).map((protocol) => drive<Streams>("watch", { protocol, seconds: watchSeconds })),
    );
    for (const { watch, failed, lastError } of watches) {
      assert.equal(failed, 0, lastError);
      assert.equal(watch.ended, false);
      assert.ok(watch.events >= watchSeconds - 10, String(watch.events));
      assert.ok(watch.bookmarks >= Math.floor(watchSeconds / 75), String(watch.bookmarks));
    }
  });

  it("in certificate mode streams end when the credential is renewed, and nothing else fails", async () => {
    const log = join(started().folder, "certificates.log");
    const { failed, lastError, watch } = await drive<Streams>("streams", {
      kubeconfig: withPlugin(log),
      seconds: streamSeconds,
    });
    assert.equal(failed, 0, lastError);
    // client-go closes its connections when the certificate changes: the documented reconnect.
    assert.equal(watch.ended, true);
    assert.ok(
      readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line === "certificate").length >= 2,
    );
  });

  it("in BearerToken mode a watch and a log stream outlive the credentials they began with", async () => {
    await patchIssuer({ impersonationProxy: { credential: "BearerToken" } });
    const log = join(started().folder, "tokens.log");
    const kubeconfig = withPlugin(log);
    await eventually("bearer credentials", async () => {
      await drive("apply", { kubeconfig });
      return readFileSync(log, "utf8").includes("token");
    });
    writeFileSync(log, "");
    const streams = await drive<Streams>("streams", { kubeconfig, seconds: streamSeconds });
    assert.equal(streams.failed, 0, streams.lastError);
    assert.deepEqual(
      [streams.watch.ended, streams.log?.ended, streams.log?.error],
      [false, false, undefined],
    );
    assert.ok((streams.log?.lines ?? 0) >= streamSeconds - 10, JSON.stringify(streams.log));
    const bought = readFileSync(log, "utf8").trim().split("\n");
    assert.deepEqual([...new Set(bought)], ["token"]);
    assert.ok(
      bought.length >= Math.floor(streamSeconds / lifetimeSeconds) + 1,
      `${bought.length} credentials`,
    );
    console.log(`${streamSeconds} s, ${bought.length} credentials of ${lifetimeSeconds} s`);
  });
});
