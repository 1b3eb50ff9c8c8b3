import type { Clock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import type { KubernetesClient, KubernetesRequest } from "./kubernetes-client.ts";
import type { KubernetesObject } from "./objects.ts";
import { apiErrorOf } from "./status-response.ts";

/** `coordination.k8s.io/v1 Lease`; unknown fields are carried along. */
export interface Lease extends KubernetesObject {
  readonly spec?: LeaseSpec;
}

/** `coordination.k8s.io/v1 LeaseSpec`; the times are `metav1.MicroTime`. */
export interface LeaseSpec {
  readonly holderIdentity?: string | null;
  readonly leaseDurationSeconds?: number | null;
  readonly acquireTime?: string | null;
  readonly renewTime?: string | null;
  readonly leaseTransitions?: number | null;
}

export interface LeaseAccessOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly namespace: string;
  readonly name: string;
}

/** How long a call may take, and what ends it earlier. */
export interface CallLimits {
  readonly timeoutMilliseconds: number;
  readonly signal?: AbortSignal;
}

/** Calls on one Lease; they fail as those of a `KubernetesClient`, and always end in time. */
export interface LeaseAccess {
  get(limits: CallLimits): Promise<Lease>;
  create(lease: Lease, limits: CallLimits): Promise<Lease>;
  update(lease: Lease, limits: CallLimits): Promise<Lease>;
}

/** RFC 3339 with microseconds, UTC (`metav1.MicroTime`). */
export function formatMicroTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/Z$/, "000Z");
}

/**
 * Reads and writes one Lease through `raw`, the only call of the client whose time can be limited per call: a request that
 * outlives its caller's patience would be a renewal nobody counts.
 */
export function createLeaseAccess(options: LeaseAccessOptions): LeaseAccess {
  const { client, clock, namespace, name } = options;
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
  const path = `${collection}/${encodeURIComponent(name)}`;
  const call = async (
    request: Pick<KubernetesRequest, "method" | "path" | "body">,
    limits: CallLimits,
  ): Promise<Lease> => {
    const response = await withTimeLimit(clock, limits, (signal) =>
      client.raw({ ...request, signal, timeoutMilliseconds: limits.timeoutMilliseconds }),
    );
    if (response.status < 200 || response.status > 299) {
      throw apiErrorOf(response, clock);
    }
    return parseLease(response.text);
  };
  return {
    get: (limits) => call({ method: "GET", path }, limits),
    create: (body, limits) => call({ method: "POST", path: collection, body }, limits),
    update: (body, limits) => call({ method: "PUT", path, body }, limits),
  };
}

async function withTimeLimit<T>(
  clock: Clock,
  limits: CallLimits,
  start: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const abort = (): void => ended.abort();
  let timedOut = false;
  const cancel = clock.schedule(limits.timeoutMilliseconds, () => {
    timedOut = true;
    ended.abort();
  });
  if (limits.signal?.aborted === true) {
    ended.abort();
  }
  limits.signal?.addEventListener("abort", abort, { once: true });
  try {
    return await new Promise<T>((resolve, reject) => {
      const giveUp = (): void =>
        reject(
          new LanyardError({
            code: "kubernetes.unreachable",
            message: timedOut
              ? `no answer about the lease within ${limits.timeoutMilliseconds} ms`
              : "a call about the lease was given up",
          }),
        );
      if (ended.signal.aborted) {
        giveUp();
        return;
      }
      ended.signal.addEventListener("abort", giveUp, { once: true });
      start(ended.signal).then(resolve, reject);
    });
  } finally {
    cancel();
    limits.signal?.removeEventListener("abort", abort);
  }
}

function parseLease(text: string): Lease {
  const value: unknown = parseJson(text);
  if (!isRecord(value) || !isRecord(value["metadata"]) || typeof value["metadata"]["name"] !== "string") {
    throw new LanyardError({
      code: "kubernetes.answer.invalid",
      message: "the answer about the lease is not a Lease",
    });
  }
  return value as unknown as Lease;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
