// npm run generate: writes what is derived: CRDs in both charts and the reference pages from src/resources, the values reference from the
// charts' own values files, the page of the configuration file, and the WebAssembly of the CLI.
// With --check nothing is written, and a difference fails.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { compareFiles } from "./generate/files.ts";
import { generatedFiles } from "./generate/generated-files.ts";

const root = join(import.meta.dirname, "..");
const check = process.argv.includes("--check");
const files = await generatedFiles();
const { differing, stale } = compareFiles(root, files);

if (check) {
  for (const path of differing) {
    console.error(`generate: ${path} differs from its source; run: npm run generate`);
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
