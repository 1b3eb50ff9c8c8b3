// npm run check: types, lint, format and generated files, in this order; all of them run, the first failure decides the exit code.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const bin = (name: string): string => `node_modules/.bin/${name}`;

const checks: readonly Check[] = [
  { name: "types", command: [bin("tsc"), "--noEmit", "-p", "tsconfig.json"] },
  { name: "lint", command: [bin("oxlint"), "--type-aware", "--deny-warnings", "src", "hack", "test"] },
  { name: "format", command: [bin("prettier"), "--check", "--log-level", "warn", "."] },
  { name: "generated files", command: [process.execPath, "hack/generate.ts", "--check"] },
];

if (!existsSync(bin("tsc"))) {
  console.error("check: the development dependencies are missing; run: npm ci");
  process.exit(1);
}
let failed = 0;
for (const { name, command } of checks) {
  const [program, ...args] = command;
  const { status } = spawnSync(program, args, { stdio: "inherit" });
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name}`);
  failed += status === 0 ? 0 : 1;
}
process.exit(failed === 0 ? 0 : 1);
