// npm run build: JavaScript for production, emitted by the type checker itself (docs/adr/0006).
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";

rmSync("dist", { recursive: true, force: true });
const { status } = spawnSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
if (status !== 0) {
  process.exit(1);
}
const main = "dist/concierge/main.js";
if (!existsSync(main)) {
  console.error(`build: ${main} was not written; check "rootDir" in tsconfig.build.json`);
  process.exit(1);
}
chmodSync(main, 0o755);
// The image has no repository to ask.
const commit = spawnSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" });
if (commit.status === 0) {
  writeFileSync("dist/git-commit", commit.stdout);
}
