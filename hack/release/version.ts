import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** What in a checkout does not have the version of this tag (`vX.Y.Z`). */
export function versionDifferences(root: string, tag: string): readonly string[] {
  const read = (path: string): string => readFileSync(join(root, path), "utf8");
  const found: [string, unknown][] = [
    ["package.json", (JSON.parse(read("package.json")) as { readonly version?: unknown }).version],
    ...["lanyard-concierge", "lanyard-concierge-crds"].flatMap((chart): [string, unknown][] => {
      const path = `charts/${chart}/Chart.yaml`;
      const { version, appVersion } = parse(read(path)) as {
        readonly version?: unknown;
        readonly appVersion?: unknown;
      };
      return [
        [`${path} (version)`, version],
        [`${path} (appVersion)`, appVersion],
      ];
    }),
  ];
  return found
    .filter(([, version]) => `v${String(version)}` !== tag)
    .map(([path, version]) => `${path} has version ${String(version)}, the tag is ${tag}`);
}
