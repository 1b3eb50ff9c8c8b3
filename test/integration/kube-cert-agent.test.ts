import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { systemClock } from "../../src/clock.ts";
import { createKubeCertAgentControllers } from "../../src/concierge/controllers/kube-cert-agent/kube-cert-agent-controllers.ts";
import { createHolder } from "../../src/concierge/state/holder.ts";
import { createKeyPairHolder } from "../../src/concierge/state/key-pair-holder.ts";
import { createKubernetesClient } from "../../src/kube/client.ts";
import { createClusterStore } from "../../src/kube/cluster-store.ts";
import { kubeconfigEndpoint } from "../../src/kube/configuration.ts";
import { runControllers } from "../../src/kube/controller-runtime.ts";
import { createPodExec } from "../../src/kube/exec.ts";
import type { Deployment } from "../../src/kube/resources.ts";
import type { CredentialIssuer } from "../../src/resources/credential-issuer.ts";
import type { Logger } from "../../src/telemetry/log.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { type Installation, installConcierge, kubectl } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";

const agentName = "lanyard-concierge-kube-cert-agent";
const expectedFailure =
  "could not find a healthy kube-controller-manager pod (0 candidates): note that this error is the expected behavior for some cluster types, including most cloud provider clusters (e.g. GKE, AKS, EKS)";

/** The controllers run in this process, with the rights that the chart gives to the server and no others. */
for (const enabled of [true, false]) {
  describe(`the cluster signing key strategy with the chart's rights, ${enabled ? "on" : "off"}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "lanyard-agent-"));
    let cluster: Cluster;
    let installation: Installation;
    let end: () => Promise<void>;
    const errors: string[] = [];
    const log: Logger = {
      ...silentLogger,
      named: () => log,
      error: (message, error) => void errors.push(`${message}: ${String(error)}`),
    };
    const get = async <T>(...args: readonly string[]): Promise<T> =>
      JSON.parse(await kubectl(cluster, ["get", ...args, "--output=json"])) as T;
    const message = async (): Promise<string | undefined> =>
      (await get<CredentialIssuer>("credentialissuer", `${installation.app}-config`)).status?.strategies.find(
        ({ type }) => type === "KubeClusterSigningCertificate",
      )?.message;
    const says = (wanted: RegExp | string): Promise<unknown> =>
      eventually(`the message ${String(wanted)}`, async () => {
        const found = (await message()) ?? "";
        return typeof wanted === "string" ? found === wanted : wanted.test(found);
      });
    const agent = (): Promise<Deployment> =>
      get("deployment", agentName, `--namespace=${installation.namespace}`);

    before(async () => {
      cluster = await startCluster({ name: "agent", folder, progress: () => {} });
      installation = await installConcierge(cluster, {
        replicas: 0,
        signWithClusterCa: false,
        values: [`kubeCertAgent.enabled=${enabled}`],
      });
      const endpoint = await kubeconfigEndpoint({ path: installation.kubeconfig });
      const common = { clock: systemClock, log, userAgent: "lanyard/test" };
      const client = createKubernetesClient({ ...common, endpoint });
      const stopping = new AbortController();
      const store = createClusterStore({
        ...common,
        client,
        leadership: { mayWrite: () => true, signal: () => stopping.signal },
        ownerReference: () => undefined,
      });
      const controllers = createKubeCertAgentControllers({
        ...common,
        store,
        client,
        exec: createPodExec({ ...common, endpoint }),
        metrics: { certificateLoaded: () => {} },
        clusterSigningKey: createKeyPairHolder("concierge-kube-signing-cert", "signing"),
        sharedAuthorityFault: createHolder<string | undefined>(undefined),
        agent: {
          namespace: installation.namespace,
          namePrefix: `${agentName}-`,
          image: "localhost/agent:none",
          imagePullSecrets: [],
          priorityClassName: "",
          serviceAccountName: agentName,
          labels: { app: installation.app },
        },
        enabled,
        credentialIssuerName: `${installation.app}-config`,
        discoveryUrl: undefined,
      });
      store.start();
      await store.waitForSync(stopping.signal, 60_000);
      const running = runControllers({ ...common, controllers, signal: stopping.signal });
      end = async () => {
        await running.stop();
        stopping.abort();
        await store.stop();
        await client.close();
      };
    });
    after(async () => {
      await end();
      await installation.close();
      await cluster.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    if (!enabled) {
      it("needs no right beyond the status, and says that it is off", async () => {
        await says("cluster signing key strategy is disabled by configuration");
        assert.deepEqual(errors, []);
      });
      return;
    }

    it("says without an error that there is no controller manager", async () => {
      await says(expectedFailure);
      assert.deepEqual(errors, []);
    });

    it("builds the agent beside one, and leaves it alone from then on", async () => {
      await kubectl(
        cluster,
        ["create", "--filename=-"],
        JSON.stringify({
          apiVersion: "v1",
          kind: "List",
          items: [
            { apiVersion: "v1", kind: "Node", metadata: { name: "somewhere" } },
            {
              apiVersion: "v1",
              kind: "Pod",
              metadata: {
                name: "kcm",
                namespace: "kube-system",
                labels: { component: "kube-controller-manager" },
              },
              spec: {
                nodeName: "somewhere",
                hostNetwork: true,
                automountServiceAccountToken: false,
                tolerations: [{ operator: "Exists" }],
                volumes: [{ name: "pki", hostPath: { path: "/etc/kubernetes/pki" } }],
                containers: [
                  {
                    name: "kcm",
                    image: "localhost/none",
                    command: ["kube-controller-manager", "--cluster-signing-cert-file=/pki/ca.crt"],
                    volumeMounts: [{ name: "pki", mountPath: "/pki", readOnly: true }],
                  },
                ],
              },
            },
          ],
        }),
      );
      await says("could not find a healthy kube-controller-manager pod (1 candidate)");
      await run("pod/kcm", "kube-system");
      await says(/^could not find a healthy agent pod \(\d candidates?\)$/);
      const made = await agent();
      assert.equal(made.spec?.template?.spec?.["nodeName"], "somewhere");
      // Every label of the Pod is an event, and so a look at a Deployment that is as the API server keeps it.
      for (let step = 0; step < 5; step++) {
        await kubectl(cluster, [
          "label",
          "pod/kcm",
          "--namespace=kube-system",
          `step=${step}`,
          "--overwrite",
        ]);
      }
      assert.equal((await agent()).metadata.generation, made.metadata.generation);
    });

    it("repairs what others change", async () => {
      await kubectl(cluster, [
        "patch",
        `deployment/${agentName}`,
        `--namespace=${installation.namespace}`,
        `--patch={"spec":{"replicas":0,"template":{"metadata":{"labels":{"more":"label"}},"spec":{"priorityClassName":"system-node-critical"}}}}`,
      ]);
      await eventually("the wanted Deployment", async () => {
        const { replicas, template } = (await agent()).spec ?? {};
        return (
          replicas === 1 &&
          template?.metadata?.labels?.["more"] === undefined &&
          template?.spec?.["priorityClassName"] === undefined
        );
      });
    });

    it("may exec into the agent, and passes the API server's word on", async () => {
      const pod = await eventually("the agent's Pod", async () => {
        const { items } = await get<{
          readonly items: readonly { readonly metadata: { readonly name: string } }[];
        }>("pods", `--namespace=${installation.namespace}`, "--selector=kube-cert-agent.pinniped.dev=v3");
        return items[0]?.metadata.name;
      });
      await run(`pod/${pod}`, installation.namespace);
      // No kubelet is there to be asked.
      await says(
        /^could not exec into agent pod concierge\/lanyard-concierge-kube-cert-agent-\S+: .*address/,
      );
    });

    async function run(pod: string, namespace: string): Promise<void> {
      await kubectl(cluster, [
        "patch",
        pod,
        `--namespace=${namespace}`,
        "--subresource=status",
        '--patch={"status":{"phase":"Running"}}',
      ]);
    }
  });
}
