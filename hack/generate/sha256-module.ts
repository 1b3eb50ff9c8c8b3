import { readFileSync } from "node:fs";
import { join } from "node:path";
import wabt from "wabt";
import { GENERATED_MARK } from "./files.ts";

const SOURCE = "src/cli/cache/sha256.wat";
const MODULE = "src/cli/cache/sha256-module.ts";

/** The WebAssembly of the credential cache's SHA-256, as a module that holds it in base64. */
export async function sha256ModuleFiles(): Promise<ReadonlyMap<string, string>> {
  const root = join(import.meta.dirname, "../..");
  const { parseWat } = await wabt();
  const { buffer } = parseWat(SOURCE, readFileSync(join(root, SOURCE), "utf8")).toBinary({});
  const base64 = Buffer.from(buffer).toString("base64");
  return new Map([
    [
      MODULE,
      `// ${GENERATED_MARK}\n\n/** sha256.wat, assembled, in base64. */\nexport const SHA256_MODULE =\n  "${base64}";\n`,
    ],
  ]);
}
