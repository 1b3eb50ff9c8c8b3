// npm run generate: writes what is derived from src/resources: CRDs in both charts, and the reference pages.
// With --check nothing is written, and a difference fails.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { customResourceDefinitionFiles } from "./generate/custom-resource-definitions.ts";
import { compareFiles } from "./generate/files.ts";
import { referenceFiles } from "./generate/reference.ts";

const root = join(import.meta.dirname, "..");
const check = process.argv.includes("--check");
const files = new Map([...customResourceDefinitionFiles(), ...referenceFiles()]);
const { differing, stale } = compareFiles(root, files);

if (check) {
  for (const path of differing) {
    console.error(`generate: ${path} differs from src/resources; run: npm run generate`);
  }
  for (const path of stale) {
    console.error(`generate: ${path} is not generated any more; run: npm run generate`);
  }
  process.exitCode = differing.length + stale.length === 0 ? 0 : 1;
} else {
  for (const path of stale) {
    rmSync(join(root, path));
    console.log(`removed ${path}`);
  }
  for (const path of differing) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), files.get(path) ?? "");
    console.log(`wrote ${path}`);
  }
}
