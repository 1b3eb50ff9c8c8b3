import { isDeepStrictEqual } from "node:util";
import type { ResourceView } from "../../../kube/resource-store.ts";
import { services } from "../../../kube/resources.ts";
import type { Service } from "../../../kube/resources.ts";
import { HTTPS_PORT } from "./proxy-configuration.ts";
import type { ProxyServiceConfiguration } from "./proxy-configuration.ts";
import { mergeAnnotations, readBookkeeping, SPEC_FIELDS, withBookkeeping } from "./service-annotations.ts";
import type { SyncWrites } from "./sync-writes.ts";

type ServiceSpec = NonNullable<Service["spec"]>;

export interface ProxyServicesOptions {
  readonly view: Pick<ResourceView<Service>, "get">;
  readonly namespace: string;
  readonly loadBalancerName: string;
  readonly clusterIPName: string;
  /** The configuration's labels; `app` among them selects the Pods. */
  readonly labels: Readonly<Record<string, string>>;
  /** Where the proxy listens. */
  readonly targetPort: number;
}

/** The Service of each type; undefined: it is not there, or on its way out. */
export interface ProxyServices {
  readonly loadBalancer: Service | undefined;
  readonly clusterIP: Service | undefined;
}

/** Makes the Service that `configuration` asks for as it should be, and deletes the other one; without it, both (contract 6.6). */
export async function reconcileProxyServices(
  options: ProxyServicesOptions,
  configuration: ProxyServiceConfiguration | undefined,
  writes: SyncWrites,
): Promise<ProxyServices> {
  const reconcile = (type: "LoadBalancer" | "ClusterIP", name: string): Promise<Service | undefined> =>
    configuration?.type === type
      ? ensureService(options, { type, name, configuration }, writes)
      : removeService(options, name, writes);
  return {
    loadBalancer: await reconcile("LoadBalancer", options.loadBalancerName),
    clusterIP: await reconcile("ClusterIP", options.clusterIPName),
  };
}

interface Desired {
  readonly type: "LoadBalancer" | "ClusterIP";
  readonly name: string;
  readonly configuration: ProxyServiceConfiguration;
}

async function removeService(
  { view, namespace }: ProxyServicesOptions,
  name: string,
  writes: SyncWrites,
): Promise<undefined> {
  const present = view.get({ namespace, name });
  if (present !== undefined && !isLeaving(present)) {
    await writes.remove(services, present);
  }
}

async function ensureService(
  options: ProxyServicesOptions,
  desired: Desired,
  writes: SyncWrites,
): Promise<Service | undefined> {
  const present = options.view.get({ namespace: options.namespace, name: desired.name });
  if (present === undefined) {
    return await writes.create(services, newService(options, desired));
  }
  if (isLeaving(present)) {
    // Its end is an event, and then it is made anew.
    return undefined;
  }
  if (hasOtherClass(present, desired)) {
    // The API server lets nobody change the class of a Service. It is made anew once this one is gone.
    await writes.remove(services, present);
    return undefined;
  }
  const updated = updatedService(present, options, desired);
  return isDeepStrictEqual(updated, present)
    ? present
    : ((await writes.update(services, updated)) ?? present);
}

/** A load balancer's Service stays until its cluster has cleaned up behind it. */
function isLeaving({ metadata }: Service): boolean {
  return metadata.deletionTimestamp !== undefined;
}

function newService(options: ProxyServicesOptions, desired: Desired): Service {
  const { labels, namespace, targetPort } = options;
  const empty: Service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: desired.name, namespace, labels },
    spec: { ports: [{ protocol: "TCP", port: HTTPS_PORT, targetPort }] },
  };
  return updatedService(empty, options, desired);
}

/** `present` with what is ours in it; ports and everything else stay (contract 6.6). */
function updatedService(present: Service, options: ProxyServicesOptions, desired: Desired): Service {
  const { configuration, type } = desired;
  const before = present.metadata.annotations ?? {};
  const annotations = withBookkeeping(
    mergeAnnotations(before, configuration.annotations),
    SPEC_FIELDS,
    specFields(desired),
  );
  const { annotations: _annotations, labels: _labels, ...metadata } = present.metadata;
  const {
    selector: _selector,
    loadBalancerIP: _address,
    loadBalancerSourceRanges: presentRanges,
    ...spec
  }: ServiceSpec = present.spec ?? {};
  const ranges = configuredRanges(desired, presentRanges, readBookkeeping(before, SPEC_FIELDS));
  const app = options.labels["app"];
  return {
    ...present,
    metadata: {
      ...metadata,
      // What the API server would leave out must not differ from what it keeps, or each sync would write.
      ...(Object.keys(options.labels).length === 0 ? {} : { labels: options.labels }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: {
      ...spec,
      type,
      ...(app === undefined ? {} : { selector: { app } }),
      ...(type === "LoadBalancer" && configuration.loadBalancerIP !== undefined
        ? { loadBalancerIP: configuration.loadBalancerIP }
        : {}),
      ...(ranges === undefined || ranges.length === 0 ? {} : { loadBalancerSourceRanges: ranges }),
      ...(type === "LoadBalancer" && configuration.loadBalancerClass !== undefined
        ? { loadBalancerClass: configuration.loadBalancerClass }
        : {}),
    },
  };
}

/** Additive fields that the CredentialIssuer sets now, to be withdrawn when it sets them no more. */
function specFields({ type, configuration }: Desired): readonly string[] {
  return type === "LoadBalancer"
    ? (["loadBalancerSourceRanges", "loadBalancerClass"] as const).filter(
        (field) => configuration[field] !== undefined,
      )
    : [];
}

function configuredRanges(
  { type, configuration }: Desired,
  present: readonly string[] | undefined,
  heldFields: readonly string[],
): readonly string[] | undefined {
  if (type === "LoadBalancer" && configuration.loadBalancerSourceRanges !== undefined) {
    return configuration.loadBalancerSourceRanges;
  }
  // What an administrator wrote into the Service stays: taking it away would open the proxy to everybody.
  return heldFields.includes("loadBalancerSourceRanges") ? undefined : present;
}

function hasOtherClass({ spec, metadata }: Service, { type, configuration }: Desired): boolean {
  const present = spec?.loadBalancerClass;
  if (type !== "LoadBalancer") {
    return false;
  }
  if (configuration.loadBalancerClass !== undefined) {
    return present !== configuration.loadBalancerClass;
  }
  // A class that the cluster filled in by itself is none of our business.
  const isOurs = readBookkeeping(metadata.annotations ?? {}, SPEC_FIELDS).includes("loadBalancerClass");
  return isOurs && present !== undefined;
}
