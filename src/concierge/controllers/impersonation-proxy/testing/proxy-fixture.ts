import { createManualClock } from "../../../../clock.ts";
import type { ManualClock } from "../../../../clock.ts";
import { secrets } from "../../../../kube/objects.ts";
import type { KubernetesObject, ResourceType, Secret } from "../../../../kube/objects.ts";
import type { ListResult } from "../../../../kube/kubernetes-client.ts";
import type { Node } from "../../../../kube/resources.ts";
import { createCertificateAuthority } from "../../../../pki/certificate-authority.ts";
import { credentialIssuers } from "../../../../resources/credential-issuer.ts";
import type { CredentialIssuer } from "../../../../resources/credential-issuer.ts";
import type { ImpersonationProxySpec } from "../../../../resources/credential-issuer-spec.ts";
import type { CredentialIssuerStrategy } from "../../../../resources/credential-issuer-status.ts";
import type { Controller, ReconcileResult } from "../../../../kube/controller.ts";
import { silentLogger } from "../../../../telemetry/log.ts";
import { createAuthenticatorCache } from "../../../authenticators/authenticator-cache.ts";
import { createConciergeState } from "../../../state/state.ts";
import type { WritableConciergeState } from "../../../state/state.ts";
import { createMemoryCluster } from "../../../testing/memory-store.ts";
import type { MemoryClient, MemoryCluster } from "../../../testing/memory-store.ts";
import { secretData } from "../../serving-certificate-secret.ts";
import { createImpersonatorConfigController } from "../impersonator-config-controller.ts";

export const namespace = "ns";
export const labels = { app: "my-app", team: "x" };
export const names = {
  credentialIssuer: "my-config",
  impersonationLoadBalancerService: "my-lb",
  impersonationClusterIPService: "my-cip",
  impersonationTLSCertificateSecret: "my-tls",
  impersonationCACertificateSecret: "my-ca",
  impersonationSignerSecret: "my-signer",
};

/** A Service-less proxy under a name of its own. */
export const externalOnly: ImpersonationProxySpec = {
  mode: "enabled",
  service: { type: "None" },
  externalEndpoint: "proxy.example.com",
};

/** The controller with a cluster in memory, and a server that does as it is told. */
export interface ProxyFixture {
  readonly clock: ManualClock;
  readonly cluster: MemoryCluster;
  /** An administrator. */
  readonly admin: MemoryClient;
  readonly state: WritableConciergeState;
  readonly controller: Controller;
  /** Labels of the cluster's nodes, or what listing them fails with; changeable. */
  nodes: readonly Readonly<Record<string, string>>[] | Error;
  /** How often nodes were listed. */
  nodeLists: number;
  /** Whether the replica leads; changeable. */
  leads: boolean;
  /** What the server does when it is asked to start; changeable. */
  server: "listens" | "stands still" | { readonly failsWith: string };
  /** Creates or changes the CredentialIssuer. */
  configure(spec: unknown): Promise<void>;
  /** Reconciles once and tells what came of it. */
  once(): Promise<{ readonly result?: ReconcileResult | undefined; readonly error?: unknown }>;
  /** Reconciles until nothing is written any more; errors of a run are what the runtime would repeat. */
  settle(): Promise<void>;
  /** The strategy in the status, without its time. */
  strategy(): Promise<Omit<CredentialIssuerStrategy, "lastUpdateTime"> | undefined>;
  get<T extends KubernetesObject>(resource: ResourceType<T>, name: string): Promise<T | undefined>;
  makeSecret(name: string, type: string, texts: Readonly<Record<string, string>>): Promise<Secret>;
  /** Makes the signer's Secret and loads it, as its controllers do. */
  makeSigner(): Promise<void>;
}

export async function createProxyFixture(options: { readonly signer?: boolean } = {}): Promise<ProxyFixture> {
  const clock = createManualClock();
  const cluster = createMemoryCluster(clock);
  const admin = cluster.client();
  const state = createConciergeState({ authenticators: createAuthenticatorCache() });
  const store = cluster.client({ mayWrite: () => fixture.leads });
  const controller = createImpersonatorConfigController({
    store,
    clock,
    log: silentLogger,
    state,
    namespace,
    names,
    labels,
    port: 8444,
    client: {
      list: async <T extends KubernetesObject>(): Promise<ListResult<T>> => {
        fixture.nodeLists++;
        if (fixture.nodes instanceof Error) {
          throw fixture.nodes;
        }
        const items: Node[] = fixture.nodes.map((nodeLabels, index) => ({
          apiVersion: "v1",
          kind: "Node",
          metadata: { name: `node-${index}`, labels: nodeLabels },
        }));
        return { items: items as unknown as T[], resourceVersion: "1", continueToken: undefined };
      },
    },
  });
  state.proxySettings.subscribe((settings) => {
    if (settings === undefined) {
      state.proxyState.set({ phase: "stopped" });
    } else if (fixture.server === "listens") {
      state.proxyState.set({ phase: "starting" });
      state.proxyState.set({ phase: "listening" });
    } else if (fixture.server === "stands still") {
      state.proxyState.set({ phase: "starting" });
    } else {
      state.proxyState.set({ phase: "starting" });
      state.proxyState.set({ phase: "failed", message: fixture.server.failsWith });
    }
  });
  const get = async <T extends KubernetesObject>(
    resource: ResourceType<T>,
    name: string,
  ): Promise<T | undefined> => {
    const inNamespace = resource.namespaced ? { namespace, name } : { name };
    return await admin.get(resource, inNamespace).catch(() => undefined);
  };
  const once: ProxyFixture["once"] = async () => {
    try {
      return { result: (await controller.reconcile(new AbortController().signal)) ?? undefined };
    } catch (error) {
      return { error };
    }
  };
  const makeSecret: ProxyFixture["makeSecret"] = async (name, type, texts) => {
    const present = await get(secrets, name);
    const object = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace },
      type,
      data: secretData(texts),
    };
    return present === undefined ? await admin.create(secrets, object) : await admin.update(secrets, object);
  };
  const fixture: ProxyFixture = {
    clock,
    cluster,
    admin,
    state,
    controller,
    nodes: [{}],
    nodeLists: 0,
    leads: true,
    server: "listens",
    configure: async (spec) => {
      const issuer = {
        apiVersion: "config.concierge.pinniped.dev/v1alpha1",
        kind: "CredentialIssuer",
        metadata: { name: names.credentialIssuer },
        spec,
      } as CredentialIssuer;
      const present = await get(credentialIssuers, names.credentialIssuer);
      await (present === undefined
        ? admin.create(credentialIssuers, issuer)
        : admin.update(credentialIssuers, { ...present, ...issuer }));
    },
    once,
    settle: async () => {
      for (let run = 0; run < 10; run++) {
        const before = cluster.writes.length;
        await once();
        if (cluster.writes.length === before) {
          return;
        }
      }
      throw new Error("the controller writes without end");
    },
    strategy: async () => {
      const issuer = await get(credentialIssuers, names.credentialIssuer);
      const found = issuer?.status?.strategies.find(({ type }) => type === "ImpersonationProxy");
      if (found === undefined) {
        return undefined;
      }
      const { lastUpdateTime: _, ...rest } = found;
      return rest;
    },
    get,
    makeSecret,
    makeSigner: async () => {
      const pair = await newAuthority(clock);
      await makeSecret(names.impersonationSignerSecret, "Opaque", {
        caCertificate: pair.certificatePem,
        caCertificatePrivateKey: pair.privateKeyPem,
      });
      state.proxySigningKey.set(pair);
    },
  };
  controller.watch(() => {});
  if (options.signer !== false) {
    await fixture.makeSigner();
  }
  return fixture;
}

/** A CA that is valid for a day. */
export async function newAuthority(clock: ManualClock): Promise<{
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}> {
  return await createCertificateAuthority({
    commonName: "test",
    notBefore: new Date(clock.now() - 60_000),
    notAfter: new Date(clock.now() + 24 * 60 * 60 * 1000),
  });
}
