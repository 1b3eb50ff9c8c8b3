// Builds the Go programs that the tests need, once into the user's cache: Kubernetes, Helm, what the image needs, cel-go and client-go.
import { ensureHelm, ensureKubernetes, ensureLauncher, ensurePause } from "../hack/cluster/binaries.ts";
import { ensureClientGo } from "./client-go/client-go.ts";
import { startCelOracle } from "./cel-oracle/cel-oracle.ts";

for (const ensure of [ensureKubernetes, ensureHelm, ensurePause, ensureLauncher, ensureClientGo]) {
  console.log(await ensure());
}
const oracle = await startCelOracle();
await oracle.stop();
