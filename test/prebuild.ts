// Builds what the tests need: the server as it ships, and, once into the user's cache, the Go programs: Kubernetes, Helm, what the
// image needs, cel-go and client-go.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import {
  ensureHelm,
  ensureHelm4,
  ensureKubernetes,
  ensureLauncher,
  ensurePause,
} from "../hack/cluster/binaries.ts";
import { ensureClientGo } from "./client-go/client-go.ts";
import { ensureForeignCli } from "./integration/harness/cli-foreign.ts";
import { startCelOracle } from "./cel-oracle/cel-oracle.ts";

const root = join(import.meta.dirname, "..");
if (spawnSync(process.execPath, ["hack/build.ts"], { cwd: root, stdio: "inherit" }).status !== 0) {
  process.exit(1);
}
for (const ensure of [
  ensureKubernetes,
  ensureHelm,
  ensureHelm4,
  ensurePause,
  ensureLauncher,
  ensureClientGo,
  ensureForeignCli,
]) {
  console.log(await ensure());
}
const oracle = await startCelOracle();
await oracle.stop();
