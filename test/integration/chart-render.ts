import { spawnSync } from "node:child_process";
import { join } from "node:path";

import { parseAllDocuments } from "yaml";

import { ensureHelm, ensureHelm4 } from "../../hack/cluster/binaries.ts";

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

/** The major versions of Helm that the charts are for. */
export const helmMajors = [3, 4] as const;
export type HelmMajor = (typeof helmMajors)[number];

/** Runs Helm without any of the user's own settings. */
export async function helm(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  major: HelmMajor = 3,
): Promise<HelmResult> {
  const { status, stdout, stderr } = spawnSync(await (major === 3 ? ensureHelm() : ensureHelm4()), args, {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: "/nonexistent", HELM_CACHE_HOME: "/nonexistent", ...env },
  });
  return { code: status, stdout, stderr };
}

/** The arguments that set values, as JSON so that types stay. */
export function setValues(values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(values).flatMap(([key, value]) => ["--set-json", `${key}=${JSON.stringify(value)}`]);
}

/** What to render with, beside values. */
export interface RenderOptions {
  readonly major?: HelmMajor;
  /** Values files, before the values. */
  readonly files?: readonly string[];
}

/** A chart rendered with these values, as text. */
export async function renderText(
  chart: "lanyard-concierge" | "lanyard-concierge-crds",
  values: Readonly<Record<string, unknown>> = {},
  { major = 3, files = [] }: RenderOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await helm(
    [
      "template",
      "release",
      chartFolder(chart),
      "--namespace=concierge",
      ...files.map((file) => `--values=${file}`),
      ...setValues(values),
    ],
    {},
    major,
  );
  if (code !== 0) {
    throw new Error(stderr);
  }
  return stdout;
}

/** The objects of a chart rendered with these values. */
export async function render(
  chart: "lanyard-concierge" | "lanyard-concierge-crds",
  values: Readonly<Record<string, unknown>> = {},
  options: RenderOptions = {},
): Promise<readonly Manifest[]> {
  return parseAllDocuments(await renderText(chart, values, options))
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}
