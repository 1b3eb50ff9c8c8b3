import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";

import { createManualClock } from "../../src/clock.ts";
import { parseConfig } from "../../src/concierge/config/load-config.ts";
import { BEARER_SIGNER_NAME } from "../../src/concierge/credentials/issue-credential.ts";
import { CERTIFICATE_SIGNING_REQUEST_SIGNER_NAME } from "../../src/concierge/credentials/certificate-signing-request-api.ts";
import { CLUSTER_SIGNER_NAME, PROXY_SIGNER_NAME } from "../../src/concierge/state/state.ts";
import { credentialSigners, exchangePhases, exchangeReasons } from "../../src/telemetry/exchange-metrics.ts";
import { createMetrics, rateLimitNames, streamCutReasons } from "../../src/telemetry/metrics.ts";
import type { Metrics } from "../../src/telemetry/metrics.ts";
import { proxiedVerbs } from "../../src/telemetry/proxied-metrics.ts";
import { render } from "./chart-render.ts";
import type { Manifest } from "./chart-render.ts";
import { alerts, alertsFile, dashboardFile, metricsOf, panelQueries } from "./metrics-expressions.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/metrics.md"), "utf8");

const newMetrics = (): Metrics =>
  createMetrics({ clock: createManualClock(), version: { version: "1", gitCommit: "1" } });

/** Cells of the table rows of a page. */
const rows = (text: string): readonly (readonly string[])[] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

const promtool = (args: readonly string[], input = "") => {
  const { status, stdout, stderr, error } = spawnSync("promtool", args, { encoding: "utf8", input });
  assert.equal(error, undefined, "promtool is missing: install the Debian package prometheus");
  return { status, text: stdout + stderr };
};

describe("the page on metrics", () => {
  it("lists every metric with its type, its labels and its meaning", () => {
    const metrics = newMetrics();
    assert.deepEqual(
      rows(page).filter(([name]) => name?.startsWith("`lanyard_concierge_")),
      metrics.families.map(({ name, type, labels, help }) => [`\`${name}\``, type, code(labels), help]),
    );
    metrics.close();
  });

  it("lists the values of every label that comes from a closed set", () => {
    const listed = rows(page).map((cells) => cells.join(" | "));
    for (const row of [
      `\`phase\` | exchange phases, those that came to their end | ${code(exchangePhases)}`,
      `\`reason\` | exchanges | ${code(Object.keys(exchangeReasons))}`,
      `\`signer\` | credentials | ${code(credentialSigners)}, \`other\``,
      `\`limit\` | refusals by a limit | ${code(rateLimitNames)}`,
      `\`verb\` | proxied requests | ${code(proxiedVerbs)}`,
      `\`reason\` | streams that were cut | ${code(streamCutReasons)}`,
    ]) {
      assert.ok(listed.includes(row), `docs/metrics.md has no row: ${row}`);
    }
    for (const [reason, result] of Object.entries(exchangeReasons)) {
      assert.ok(
        rows(page).some(([first, second]) => first === `\`${reason}\`` && second === `\`${result}\``),
        `docs/metrics.md does not explain ${reason} (${result})`,
      );
    }
  });
});

describe("metrics", () => {
  it("name signers as audit lines do", () => {
    assert.deepEqual(
      new Set(credentialSigners),
      new Set([
        CLUSTER_SIGNER_NAME,
        CERTIFICATE_SIGNING_REQUEST_SIGNER_NAME,
        PROXY_SIGNER_NAME,
        BEARER_SIGNER_NAME,
      ]),
    );
  });

  it("pass promtool's check", async () => {
    const metrics = newMetrics();
    metrics.exchangeFinished({ kind: "JWTAuthenticator", name: "a" }, "issued", 0.1);
    metrics.authenticatorCalled("JWTAuthenticator", "rejected", 0.1);
    metrics.jwksFetched("a", true);
    metrics.informers.listed("secrets", true, 1);
    metrics.informers.seen("secrets", 0);
    metrics.informers.storeSize("secrets", 1);
    metrics.controllers.reconciled("a", "error", 1);
    metrics.apiServerClient.ended("short", "GET", 200, 1);
    metrics.proxiedRequestFinished({ verb: "get", resource: "pods", code: 200 }, 1);
    metrics.certificateLoaded("api_serving", new Date(0));
    metrics.observe({ strategies: () => [{ type: "ImpersonationProxy", status: "Success" }] });
    const { body } = await metrics.render();
    metrics.close();
    // The names of Node's own metrics are prom-client's.
    const ours = body
      .split("\n")
      .filter((line) => /^(?:# \w+ )?lanyard_concierge_/.test(line))
      .join("\n");
    const { status, text } = promtool(["check", "metrics"], `${ours}\n`);
    assert.equal(status, 0, text);
  });
});

describe("alerts", () => {
  it("pass promtool's check", () => {
    const { status, text } = promtool(["check", "rules", alertsFile]);
    assert.equal(status, 0, text);
    assert.match(text, new RegExp(`SUCCESS: ${alerts().length} rules found`));
  });

  it("each have a runbook that quotes them, and there is no other", () => {
    const pages = readdirSync(join(root, "docs/runbooks")).filter((file) => file !== "README.md");
    assert.deepEqual(
      pages.toSorted(),
      alerts()
        .map(({ alert }) => `${alert}.md`)
        .toSorted(),
    );
    const index = readFileSync(join(root, "docs/runbooks/README.md"), "utf8");
    for (const { alert, expr, labels, annotations, for: after } of alerts()) {
      const text = readFileSync(join(root, `docs/runbooks/${alert}.md`), "utf8");
      assert.ok(text.startsWith(`# ${alert}\n`), alert);
      assert.ok(
        text.includes(`Severity ${labels.severity}, after ${after} of:\n\n\`\`\`promql\n${expr}\n`),
        alert,
      );
      for (const heading of ["What it means", "Where to look", "What to do"]) {
        assert.match(text, new RegExp(`^## ${heading}\n\n\\S`, "m"), alert);
      }
      assert.ok(
        rows(index).some((cells) =>
          [`[${alert}](${alert}.md)`, labels.severity, annotations.summary].every(
            (each, at) => cells[at] === each,
          ),
        ),
        `docs/runbooks/README.md does not list ${alert}`,
      );
    }
  });
});

it("alerts and the dashboard ask for nothing that does not exist, and the dashboard for everything", () => {
  const metrics = newMetrics();
  const known = new Set(metrics.families.map(({ name }) => name));
  metrics.close();
  const asked = [...alerts(), ...panelQueries()].flatMap(({ expr }) => metricsOf(expr));
  assert.ok(asked.length > 50);
  for (const name of asked) {
    assert.ok(known.has(name) || name.startsWith("process_"), `${name} does not exist`);
  }
  const unseen = [...known].filter((name) => !asked.includes(name));
  // Durations of what has a panel already, and watches, whose ends are shown.
  assert.deepEqual(unseen.toSorted(), [
    "lanyard_concierge_authenticator_calls_total",
    "lanyard_concierge_informer_list_duration_seconds",
    "lanyard_concierge_informer_watches_total",
    "lanyard_concierge_reconcile_duration_seconds",
  ]);
});

describe("the chart's objects for Prometheus and Grafana", () => {
  const find = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
    const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
    assert.equal(found.length, 1, `${kind} ${name}`);
    return found[0]!;
  };
  const everything = {
    "metrics.readers": [{ name: "prometheus", namespace: "monitoring" }],
    "metrics.serviceMonitor.enabled": true,
    "metrics.serviceMonitor.labels": { release: "prometheus", app: "not-this" },
    "metrics.prometheusRule.enabled": true,
    "metrics.prometheusRule.runbookUrl": "https://runbooks.example.com/lanyard",
    "metrics.dashboard.enabled": true,
  };

  it("are not there by default, and no plain port is open", async () => {
    const objects = await render("lanyard-concierge");
    assert.deepEqual(
      objects.filter(
        ({ apiVersion, metadata }) =>
          apiVersion.startsWith("monitoring") || /metrics|dashboard/.test(metadata.name),
      ),
      [],
    );
    const { data } = find(objects, "ConfigMap", "lanyard-concierge-config") as unknown as {
      data: Readonly<Record<string, string>>;
    };
    assert.deepEqual(parseConfig(data["pinniped.yaml"] ?? "").metrics, { plainPort: undefined });
  });

  it("scrape the API port with its own name, CA and a token", async () => {
    const objects = await render("lanyard-concierge", everything);
    const service = find(objects, "Service", "lanyard-concierge-metrics");
    const { ports } = service["spec"] as { readonly ports: readonly Readonly<Record<string, unknown>>[] };
    assert.deepEqual(ports, [{ name: "https", protocol: "TCP", port: 443, targetPort: 10_250 }]);
    const monitor = find(objects, "ServiceMonitor", "lanyard-concierge");
    assert.equal(monitor.metadata.labels?.["release"], "prometheus");
    assert.equal(monitor.metadata.labels?.["app"], "lanyard-concierge");
    const spec = monitor["spec"] as {
      readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    };
    for (const [key, value] of Object.entries(spec.selector.matchLabels)) {
      assert.equal(service.metadata.labels?.[key], value, "the monitor selects the Service");
    }
    assert.deepEqual(spec, {
      jobLabel: "app",
      selector: spec.selector,
      namespaceSelector: { matchNames: ["concierge"] },
      endpoints: [
        {
          port: "https",
          scheme: "https",
          path: "/metrics",
          interval: "30s",
          scrapeTimeout: "10s",
          tlsConfig: {
            serverName: "lanyard-concierge-api.concierge.svc",
            ca: { secret: { name: "lanyard-concierge-api-tls-serving-certificate", key: "caCertificate" } },
          },
          bearerTokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token",
        },
      ],
    });
    assert.deepEqual(find(objects, "ClusterRole", "lanyard-concierge-metrics-reader")["rules"], [
      { nonResourceURLs: ["/metrics"], verbs: ["get"] },
    ]);
    assert.deepEqual(find(objects, "ClusterRoleBinding", "lanyard-concierge-metrics-reader")["subjects"], [
      { kind: "ServiceAccount", name: "prometheus", namespace: "monitoring" },
    ]);
  });

  it("take the token from a Secret where Prometheus may not read files", async () => {
    const objects = await render("lanyard-concierge", {
      ...everything,
      "metrics.serviceMonitor.bearerTokenSecret.name": "scrape",
    });
    const { endpoints } = find(objects, "ServiceMonitor", "lanyard-concierge")["spec"] as {
      readonly endpoints: readonly Readonly<Record<string, unknown>>[];
    };
    assert.equal(endpoints[0]?.["bearerTokenFile"], undefined);
    assert.deepEqual(endpoints[0]?.["authorization"], {
      type: "Bearer",
      credentials: { name: "scrape", key: "token" },
    });
  });

  it("hold the files of the chart, alerts with the address of their runbooks", async () => {
    const objects = await render("lanyard-concierge", everything);
    const rule = find(objects, "PrometheusRule", "lanyard-concierge")["spec"] as {
      readonly groups: readonly { readonly rules: readonly unknown[] }[];
    };
    assert.deepEqual(
      rule.groups.flatMap(({ rules }) => rules),
      alerts().map((alert) => ({
        ...alert,
        annotations: {
          ...alert.annotations,
          runbook_url: `https://runbooks.example.com/lanyard/${alert.alert}.md`,
        },
      })),
    );
    const dashboard = find(objects, "ConfigMap", "lanyard-concierge-dashboard");
    assert.equal(dashboard.metadata.labels?.["grafana_dashboard"], "1");
    const { data } = dashboard as unknown as { data: Readonly<Record<string, string>> };
    assert.deepEqual(
      JSON.parse(data["lanyard-concierge.json"] ?? ""),
      JSON.parse(readFileSync(dashboardFile, "utf8")),
    );
    assert.deepEqual(
      parse(readFileSync(alertsFile, "utf8")),
      { groups: [{ name: "lanyard-concierge", rules: alerts() }] },
      "one group",
    );
  });

  it("open a plain port where one is wanted", async () => {
    const objects = await render("lanyard-concierge", {
      "metrics.plainPort": 9090,
      "networkPolicy.enabled": true,
    });
    const { data } = find(objects, "ConfigMap", "lanyard-concierge-config") as unknown as {
      data: Readonly<Record<string, string>>;
    };
    assert.deepEqual(parseConfig(data["pinniped.yaml"] ?? "").metrics, { plainPort: 9090 });
    assert.match(JSON.stringify(find(objects, "NetworkPolicy", "lanyard-concierge")), /9090/);
    await assert.rejects(render("lanyard-concierge", { "metrics.plainPort": 80 }), /plainPort/);
  });
});
