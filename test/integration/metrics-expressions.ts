import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { chartFolder } from "./chart-render.ts";

/** A rule of the chart. */
export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

/** What one panel of the dashboard asks. */
export interface PanelQuery {
  readonly panel: string;
  readonly refId: string;
  /** With the dashboard's variables in it. */
  readonly expr: string;
}

export const alertsFile = join(chartFolder("lanyard-concierge"), "alerts", "lanyard-concierge.yaml");
export const dashboardFile = join(chartFolder("lanyard-concierge"), "dashboards", "lanyard-concierge.json");

export function alerts(): readonly Alert[] {
  const { groups } = parse(readFileSync(alertsFile, "utf8")) as {
    readonly groups: readonly { readonly rules: readonly Alert[] }[];
  };
  return groups.flatMap(({ rules }) => rules);
}

export function panelQueries(): readonly PanelQuery[] {
  const { panels } = JSON.parse(readFileSync(dashboardFile, "utf8")) as {
    readonly panels: readonly {
      readonly title: string;
      readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
    }[];
  };
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr }) => ({ panel: title, refId, expr })),
  );
}

/** Names of metrics in an expression, without the endings of a histogram's series. */
export function metricsOf(expression: string): readonly string[] {
  const names = expression.match(/\b(?:lanyard_concierge|process|nodejs)_\w+/g) ?? [];
  return names.map((name) => name.replace(/_(?:bucket|count|sum)$/, ""));
}
