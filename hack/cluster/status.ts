import { join } from "node:path";

import { clusterFolder, readState } from "./layout.ts";
import { isAlive, recordedProcesses } from "./processes.ts";

/** One row per cluster: name, tier, components, ports, kubeconfig. */
export function statusTable(names: readonly string[], folder: string | undefined): string {
  const rows = names.map((name) => statusRow(name, clusterFolder(name, folder)));
  const table = [["NAME", "TIER", "STATE", "COMPONENTS", "PORTS", "KUBECONFIG"], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table
    .map(
      (row) =>
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd() + "\n",
    )
    .join("");
}

function statusRow(name: string, folder: string): string[] {
  const state = readState(folder);
  const components = [...recordedProcesses(folder)].map(
    ([component, record]) => [component, isAlive(record) ? "running" : "ended"] as const,
  );
  const allRun = components.length > 0 && components.every(([, word]) => word === "running");
  return [
    name,
    state?.tier ?? "?",
    state?.phase !== "ready" ? "unfinished" : allRun ? "running" : "broken",
    components.map(([component, word]) => `${component}=${word}`).join(",") || "-",
    Object.entries(state?.ports ?? {})
      .map(([component, port]) => `${component}=${port}`)
      .join(",") || "-",
    state?.phase === "ready" ? join(folder, "admin.conf") : "-",
  ];
}
