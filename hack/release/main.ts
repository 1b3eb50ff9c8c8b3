// node hack/release/main.ts krew --version vX.Y.Z --base-url URL --folder FOLDER: prints the krew manifest of a release.
// node hack/release/main.ts check-version vX.Y.Z: fails unless package.json and both charts have that version.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { krewManifest } from "./krew.ts";
import { versionDifferences } from "./version.ts";

const usage =
  "Usage: node hack/release/main.ts krew --version vX.Y.Z --base-url URL --folder FOLDER | check-version vX.Y.Z";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { version: { type: "string" }, "base-url": { type: "string" }, folder: { type: "string" } },
});
const [command, tag] = positionals;
const { version, folder, "base-url": baseUrl } = values;
if (command === "krew" && version !== undefined && baseUrl !== undefined && folder !== undefined) {
  process.stdout.write(krewManifest({ version, baseUrl, folder }));
} else if (command === "check-version" && tag !== undefined) {
  const differences = versionDifferences(join(import.meta.dirname, "../.."), tag);
  for (const difference of differences) {
    console.error(`release: ${difference}`);
  }
  process.exitCode = differences.length === 0 ? 0 : 1;
} else {
  console.error(usage);
  process.exitCode = 2;
}
