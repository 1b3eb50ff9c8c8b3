import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { render } from "./chart-render.ts";
import type { Manifest } from "./chart-render.ts";
import { applyAuthenticator, inlineBundle } from "./harness/authenticators.ts";
import { administrator } from "./harness/callers.ts";
import { kubectl } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import type { OpenWatch } from "./harness/proxy.ts";
import { type ProxyWorld, startProxyWorld } from "./harness/proxy-world.ts";
import { call } from "./harness/http.ts";
import { alerts, alertsFile, panelQueries } from "./metrics-expressions.ts";
import { plotSvg } from "./metrics-plots.ts";
import { type Prometheus, type Series, startPrometheus } from "./metrics-prometheus-server.ts";

/** Looked at by whoever wants to see the dashboard without a Grafana. */
const plotsFolder = join(import.meta.dirname, "../../.cache/dashboard-plots");
const configMaps = "/api/v1/namespaces/kube-system/configmaps";
const WINDOW_SECONDS = 30;

interface ServiceMonitorSpec {
  readonly endpoints: readonly {
    readonly scheme: string;
    readonly path: string;
    readonly tlsConfig: {
      readonly serverName: string;
      readonly ca: { readonly secret: { readonly name: string; readonly key: string } };
    };
  }[];
}

describe("a real Prometheus", () => {
  let world: ProxyWorld;
  let prometheus: Prometheus;
  let folder: string;
  let tokenFile: string;
  let strangerToken: string;
  let endpoint: ServiceMonitorSpec["endpoints"][number];
  let watch: OpenWatch;
  let traffic: Promise<void>;
  const trafficEnds = new AbortController();

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-scrape-"));
    world = await startProxyWorld({ name: "metrics" });
    const { cluster, installation } = world;
    const objects = await render("lanyard-concierge", {
      "metrics.readers": [{ name: "prometheus", namespace: "monitoring" }],
      "metrics.serviceMonitor.enabled": true,
    });
    await kubectl(cluster, ["create", "namespace", "monitoring"]);
    for (const account of ["prometheus", "stranger"]) {
      await kubectl(cluster, ["create", "serviceaccount", account, "--namespace=monitoring"]);
      await cluster.serviceAccountKubeconfig("monitoring", account, join(folder, account));
    }
    tokenFile = join(folder, "prometheus.token");
    strangerToken = readFileSync(join(folder, "stranger.token"), "utf8");
    await kubectl(
      cluster,
      ["apply", "--filename=-"],
      JSON.stringify({
        apiVersion: "v1",
        kind: "List",
        items: objects.filter(({ metadata }) => metadata.name === "lanyard-concierge-metrics-reader"),
      }),
    );
    const monitor = objects.find(({ kind }) => kind === "ServiceMonitor") as Manifest & {
      readonly spec: ServiceMonitorSpec;
    };
    assert.equal(monitor.spec.endpoints.length, 1);
    endpoint = monitor.spec.endpoints[0]!;
    // As the operator does it: the CA out of the Secret that the ServiceMonitor names.
    const { name, key } = endpoint.tlsConfig.ca.secret;
    const ca = await kubectl(cluster, [
      "get",
      "secret",
      `--namespace=${installation.namespace}`,
      name,
      `--output=go-template={{index .data "${key}" | base64decode}}`,
    ]);
    writeFileSync(join(folder, "ca.crt"), ca);
    prometheus = await startPrometheus({
      ruleFiles: [alertsFile],
      scrapeConfigs: [
        {
          job_name: installation.app,
          scheme: endpoint.scheme,
          metrics_path: endpoint.path,
          authorization: { type: "Bearer", credentials_file: tokenFile },
          tls_config: { ca_file: join(folder, "ca.crt"), server_name: endpoint.tlsConfig.serverName },
          static_configs: installation.replicas.map(({ port, podName }) => ({
            targets: [`127.0.0.1:${port}`],
            labels: { namespace: installation.namespace, pod: podName },
          })),
        },
      ],
    });
    watch = await world.proxy.watch(`${configMaps}?watch=true`, { caller: administrator(cluster) });
    traffic = keepBusy();
  });
  after(async () => {
    trafficEnds.abort();
    await traffic;
    watch?.close();
    await prometheus?.stop();
    await world?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Some of everything, a few times a second. */
  const keepBusy = async (): Promise<void> => {
    const admin = administrator(world.cluster);
    while (!trafficEnds.signal.aborted) {
      await Promise.allSettled([
        world.idToken("jane").then((token) => world.postStraight(token)),
        world.idToken("jane").then((token) => world.postThroughProxy(token)),
        world.idToken("jack", ["system:masters"]).then((token) => world.postStraight(token)),
        world.postStraight("not.a.token"),
        world.proxy.call(configMaps, { caller: admin }),
        world.proxy.callHttp2("/version", { caller: admin }),
        world.proxy.call(configMaps, { caller: { bearerToken: strangerToken } }),
      ]);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };

  const finite = (series: readonly Series[]): number =>
    series.flatMap(({ values }) => values).filter(([, value]) => Number.isFinite(Number(value))).length;

  it("scrapes with the ServiceMonitor's settings, and nobody else may", async () => {
    await eventually("a scrape", async () => {
      const targets = await prometheus.targets();
      assert.deepEqual(
        targets.map(({ health, lastError }) => [health, lastError]),
        [["up", ""]],
      );
      return true;
    });
    const [replica] = world.installation.replicas;
    const ask = (bearerToken?: string) =>
      call({
        server: `https://127.0.0.1:${replica?.port}`,
        serverName: endpoint.tlsConfig.serverName,
        path: endpoint.path,
        caPem: readFileSync(join(folder, "ca.crt"), "utf8"),
        ...(bearerToken === undefined ? {} : { caller: { bearerToken } }),
      });
    const scraped = await ask(readFileSync(tokenFile, "utf8"));
    assert.equal(scraped.status, 200);
    assert.match(scraped.text, /^lanyard_concierge_leader 1$/m);
    for (const secret of ["jane", "jack", "system:masters", world.issuer.issuerUrl, strangerToken]) {
      assert.ok(!scraped.text.includes(secret), `${secret.slice(0, 20)} is in the metrics`);
    }
    assert.equal((await ask()).status, 403);
    assert.equal((await ask(strangerToken)).status, 403);
    assert.equal((await ask("nonsense")).status, 401);
  });

  it("answers every query of the dashboard with data", async (context) => {
    const asked = panelQueries().map(({ expr, ...query }) => ({
      ...query,
      expr: expr
        .replaceAll("$namespace", world.installation.namespace)
        .replaceAll("$job", world.installation.app)
        .replaceAll("$__rate_interval", "10s"),
    }));
    for (const { expr } of asked) {
      assert.doesNotMatch(expr, /\$\w/, "a variable that Grafana does not have");
    }
    const answers = new Map<string, readonly Series[]>();
    await eventually(
      "data for every panel",
      async () => {
        const missing: string[] = [];
        for (const { panel, refId, expr } of asked) {
          const series = await prometheus.queryRange(expr, WINDOW_SECONDS);
          answers.set(`${panel} ${refId}`, series);
          if (finite(series) < 2) {
            missing.push(`${panel} ${refId}: ${expr}`);
          }
        }
        assert.deepEqual(missing, []);
        return true;
      },
      { seconds: 75, intervalMilliseconds: 1000 },
    );
    const panels = Map.groupBy(asked, ({ panel }) => panel);
    mkdirSync(plotsFolder, { recursive: true });
    const file = join(plotsFolder, "dashboard.svg");
    writeFileSync(
      file,
      plotSvg(
        [...panels].map(([title, queries]) => ({
          title,
          series: queries.flatMap(({ panel, refId }) => answers.get(`${panel} ${refId}`) ?? []),
        })),
      ),
    );
    context.diagnostic(`${panels.size} panels, ${asked.length} queries, plotted in ${file}`);
  });

  it("sees what happened, by authenticator and reason", async () => {
    const valueOf = async (expression: string): Promise<number> =>
      Number((await prometheus.query(expression))[0]?.values[0]?.[1] ?? 0);
    const company = 'kind="JWTAuthenticator",authenticator="company"';
    for (const expression of [
      `lanyard_concierge_exchanges_total{${company},result="issued",reason="issued"}`,
      `lanyard_concierge_exchanges_total{${company},result="unsupported_identity",reason="reserved_identity"}`,
      `sum(lanyard_concierge_exchanges_total{${company},result=~"authentication_failed|authenticator_error"})`,
      'lanyard_concierge_credential_lifetime_seconds_count{signer="impersonation-proxy-signing-cert"}',
      'lanyard_concierge_exchange_phase_duration_seconds_count{phase="sign"}',
      'lanyard_concierge_proxied_requests_total{verb="list",resource="configmaps",code="200"}',
      'lanyard_concierge_proxied_requests_total{verb="list",resource="configmaps",code="403"}',
      'lanyard_concierge_proxied_requests_total{verb="create",resource="tokencredentialrequests",code="201"}',
      'lanyard_concierge_review_cache_lookups_total{review="token",result="hit"}',
      'lanyard_concierge_review_cache_lookups_total{review="access",result="hit"}',
      "lanyard_concierge_proxied_streams",
      "lanyard_concierge_proxy_upstream_connections",
      'lanyard_concierge_strategy_ready{strategy="ImpersonationProxy"}',
      'lanyard_concierge_authenticator_ready{authenticator="company"}',
    ]) {
      assert.ok((await valueOf(expression)) >= 1, expression);
    }
    assert.ok((await valueOf("count({__name__=~'lanyard_concierge_.*'})")) < 2500, "few series");
  });

  it("evaluates every alert, and one of them when an authenticator cannot work", async () => {
    for (const { alert, expr } of alerts()) {
      await assert.doesNotReject(prometheus.query(expr), alert);
    }
    await applyAuthenticator(
      world.cluster,
      { kind: "JWTAuthenticator", name: "unreachable" },
      {
        issuer: "https://127.0.0.1:1/",
        audience: "nobody",
        tls: inlineBundle(world.issuer.caPem),
      },
    );
    const states = await eventually("the alert", async () => {
      const all = await prometheus.alerts();
      const own = all.find(({ name }) => name === "LanyardAuthenticatorNotReady");
      return own?.state === "pending" || own?.state === "firing" ? all : undefined;
    });
    assert.deepEqual(
      states.map(({ name }) => name).toSorted(),
      alerts()
        .map(({ alert }) => alert)
        .toSorted(),
    );
    assert.deepEqual(
      states.filter(({ health }) => health !== "ok").map(({ name, lastError }) => `${name}: ${lastError}`),
      [],
    );
    assert.deepEqual(
      states.filter(({ state }) => state === "firing").map(({ name }) => name),
      [],
      "nothing fires in a world that works",
    );
  });
});
