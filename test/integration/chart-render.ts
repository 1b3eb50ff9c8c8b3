import { spawnSync } from "node:child_process";
import { join } from "node:path";

import { parseAllDocuments } from "yaml";

import { ensureHelm } from "../../hack/cluster/binaries.ts";

const charts = join(import.meta.dirname, "../../charts");

/** The folder of a chart. */
export function chartFolder(name: "lanyard-concierge" | "lanyard-concierge-crds"): string {
  return join(charts, name);
}

/** A rendered manifest, typed as far as the tests look into it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** What `helm` said. */
export interface HelmResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Helm without any of the user's own settings. */
export async function helm(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<HelmResult> {
  const { status, stdout, stderr } = spawnSync(await ensureHelm(), args, {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: "/nonexistent", HELM_CACHE_HOME: "/nonexistent", ...env },
  });
  return { code: status, stdout, stderr };
}

/** The arguments that set values, as JSON so that types stay. */
export function setValues(values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(values).flatMap(([key, value]) => ["--set-json", `${key}=${JSON.stringify(value)}`]);
}

/** The objects of a chart rendered with these values. */
export async function render(
  chart: "lanyard-concierge" | "lanyard-concierge-crds",
  values: Readonly<Record<string, unknown>> = {},
): Promise<readonly Manifest[]> {
  const { code, stdout, stderr } = await helm([
    "template",
    "release",
    chartFolder(chart),
    "--namespace=concierge",
    ...setValues(values),
  ]);
  if (code !== 0) {
    throw new Error(stderr);
  }
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}
