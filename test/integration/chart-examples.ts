import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { Manifest } from "./chart-render.ts";

const examples = join(import.meta.dirname, "../../examples");

/** Values for the chart lanyard-concierge that an example holds. */
export interface ExampleValues {
  /** Below examples/. */
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Documents of the examples that are no values files, but those for standalone mode. */
export function exampleManifests(): readonly (readonly [path: string, manifest: Manifest])[] {
  return globSync("*/*.yaml", { cwd: examples })
    .filter((path) => !path.endsWith("/values.yaml") && !path.startsWith("standalone/"))
    .toSorted()
    .flatMap((path) => documents(path).map((document) => [path, document as Manifest] as const));
}

/** The values of values files, and those that Argo CD and Flux hand to the chart. */
export function exampleValues(): readonly ExampleValues[] {
  const files = globSync("*/values.yaml", { cwd: examples })
    .toSorted()
    .map((path) => ({ path, values: documents(path)[0] as ExampleValues["values"] }));
  const embedded = exampleManifests().flatMap(([path, { kind, ...manifest }]) => {
    const spec = manifest["spec"] as {
      readonly values?: ExampleValues["values"];
      readonly sources?: readonly {
        readonly path: string;
        readonly helm: { readonly valuesObject?: ExampleValues["values"] };
      }[];
    };
    if (kind === "HelmRelease") {
      return [{ path, values: spec.values ?? {} }];
    }
    return (spec?.sources ?? [])
      .filter((source) => source.path === "charts/lanyard-concierge")
      .map((source) => ({ path, values: source.helm.valuesObject ?? {} }));
  });
  return [...files, ...embedded];
}

function documents(path: string): unknown[] {
  return parseAllDocuments(readFileSync(join(examples, path), "utf8")).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) {
      throw error;
    }
    return document.toJS() as unknown;
  });
}
