import { systemClock } from "../../src/clock.ts";
import { createKubernetesClient } from "../../src/kube/client.ts";
import { createClusterStore } from "../../src/kube/cluster-store.ts";
import { kubeconfigEndpoint } from "../../src/kube/configuration.ts";
import { conformanceCrd, describeResourceStore } from "../../src/kube/resource-store-conformance.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { startCluster } from "../../hack/cluster/cluster.ts";

const namespace = "conformance";

describeResourceStore("the cluster store with a real kube-apiserver", async () => {
  const cluster = await startCluster({
    name: `store-${process.pid}`,
    tier: "control-plane",
    progress: () => {},
  });
  const kubectl = async (args: readonly string[], input?: string): Promise<void> => {
    const result = await cluster.kubectl(args, input === undefined ? {} : { input });
    if (result.code !== 0) {
      throw new Error(`kubectl ${args.join(" ")}: ${result.stderr}`);
    }
  };
  try {
    await kubectl(["create", "namespace", namespace]);
    await kubectl(["apply", "-f", "-"], JSON.stringify(conformanceCrd));
    await kubectl([
      "wait",
      "--for=condition=Established",
      `crd/${conformanceCrd.metadata.name}`,
      "--timeout=30s",
    ]);
    const client = createKubernetesClient({
      endpoint: await kubeconfigEndpoint({ path: cluster.superAdminKubeconfig }),
      clock: systemClock,
      log: silentLogger,
      userAgent: "lanyard-test",
    });
    const leading = new AbortController().signal;
    const store = createClusterStore({
      client,
      clock: systemClock,
      log: silentLogger,
      leadership: { mayWrite: () => true, signal: () => leading },
      ownerReference: () => undefined,
    });
    store.start();
    return {
      store,
      namespace,
      stop: async () => {
        await store.stop();
        await client.close();
        await cluster.stop();
      },
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
});
