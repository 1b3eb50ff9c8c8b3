// Builds the Go programs that the tests need, once into the user's cache: Kubernetes, Helm, what the image needs, and cel-go.
import { ensureHelm, ensureKubernetes, ensureLauncher, ensurePause } from "../hack/cluster/binaries.ts";
import { startCelOracle } from "./cel-oracle/cel-oracle.ts";

for (const ensure of [ensureKubernetes, ensureHelm, ensurePause, ensureLauncher]) {
  console.log(await ensure());
}
const oracle = await startCelOracle();
await oracle.stop();
