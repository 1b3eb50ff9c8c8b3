import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import { isNotFound } from "../../kube/api-error.ts";
import { mergeConditions } from "../../kube/conditions.ts";
import type { ConditionFinding } from "../../kube/conditions.ts";
import type { Controller } from "../../kube/controller.ts";
import { configMaps, secrets } from "../../kube/objects.ts";
import type { KubernetesObject, ResourceType } from "../../kube/objects.ts";
import type { ResourceStore, ResourceView } from "../../kube/resource-store.ts";
import type { AuthenticatorStatus } from "../../resources/authenticator-status.ts";
import type { TLSSpec } from "../../resources/tls-spec.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { AuthenticatorCache } from "../authenticators/authenticator-cache.ts";
import { AUTHENTICATION_GROUP } from "../authenticators/authenticator.ts";
import type { Authenticator, AuthenticatorReference } from "../authenticators/authenticator.ts";
import {
  CERTIFICATE_AUTHORITY_SECRET_TYPES,
  resolveTlsSpec,
  secretType,
} from "../authenticators/tls-spec.ts";
import type { TlsSpecResult } from "../authenticators/tls-spec.ts";

/** An authenticator object of either kind. */
export interface AuthenticatorObject extends KubernetesObject {
  readonly spec: { readonly tls?: TLSSpec };
  readonly status?: AuthenticatorStatus;
}

/** What a look over the network found. */
export interface NetworkResult {
  /** One finding per network condition. */
  readonly findings: readonly ConditionFinding[];
  /** Present exactly when all of them are True. */
  readonly authenticator?: Authenticator | undefined;
}

/** What is special about one kind of authenticator. */
export interface AuthenticatorKind<T extends AuthenticatorObject> {
  readonly controllerName: string;
  readonly resource: ResourceType<T>;
  readonly kind: AuthenticatorReference["kind"];
  /** The condition about the URL, judged without the network. */
  checkUrl(object: T): ConditionFinding;
  /** The types of the network conditions with their text when True. */
  readonly networkConditions: (object: T) => readonly (readonly [type: string, trueMessage: string])[];
  /** Everything in the spec but `tls` that the authenticator is made from. */
  settings(object: T): unknown;
  /** Contacts the servers; only called when URL and TLS configuration are valid. */
  checkNetwork(object: T, caPem: string | undefined, signal: AbortSignal): Promise<NetworkResult>;
}

export interface AuthenticatorControllerOptions {
  readonly store: ResourceStore;
  readonly cache: AuthenticatorCache;
  /** The namespace of the Concierge, where certificate bundles are looked for. */
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Objects that are checked at the same time; each may wait for its server up to the time limit. */
const CONCURRENT_CHECKS = 8;
const NOT_SYNCED_RETRY_MILLISECONDS = 200;
const MAXIMUM_MESSAGE_LENGTH = 32_768;

/** The reconcile loop that both kinds of authenticators share: conditions (contract 4.2) and cache rules (4.7). */
export function createAuthenticatorController<T extends AuthenticatorObject>(
  kind: AuthenticatorKind<T>,
  options: AuthenticatorControllerOptions,
): Controller {
  const { store, namespace } = options;
  const objects = store.view(kind.resource);
  const secretView = store.view(secrets, { namespace });
  const configMapView = store.view(configMaps, { namespace });
  const sources = { namespace, secrets: secretView, configMaps: configMapView };
  const resolveTls = (object: T): TlsSpecResult => resolveTlsSpec(object.spec.tls, sources);

  return {
    name: kind.controllerName,
    reconcile: async (signal) => {
      const views: readonly Pick<ResourceView<T>, "hasSynced">[] = [objects, secretView, configMapView];
      if (!views.every((view) => view.hasSynced())) {
        return { requeueAfterMilliseconds: NOT_SYNCED_RETRY_MILLISECONDS };
      }
      const sorted = objects.list().toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      const failures = await eachWithLimit(sorted, CONCURRENT_CHECKS, (object) =>
        reconcileObject(kind, object, { ...options, objects, resolveTls }, signal),
      );
      signal.throwIfAborted();
      if (failures.length > 0) {
        throw failureOf(kind.kind, failures);
      }
      return undefined;
    },
    watch: (enqueue) => {
      const stops = [
        objects.subscribe(enqueue),
        configMapView.subscribe(enqueue),
        secretView.subscribe((key) => {
          const secret = secretView.get(key);
          // A deleted one may have been a source.
          if (secret === undefined || CERTIFICATE_AUTHORITY_SECRET_TYPES.includes(secretType(secret))) {
            enqueue();
          }
        }),
      ];
      return () => {
        for (const stop of stops) {
          stop();
        }
      };
    },
  };
}

interface Failure {
  readonly name: string;
  readonly error: unknown;
}

async function eachWithLimit<T extends KubernetesObject>(
  objects: readonly T[],
  limit: number,
  work: (object: T) => Promise<void>,
): Promise<readonly Failure[]> {
  const failures: Failure[] = [];
  const queue = objects.values();
  const worker = async (): Promise<void> => {
    for (const object of queue) {
      try {
        await work(object);
      } catch (error) {
        failures.push({ name: object.metadata.name, error });
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  return failures.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** One error for the runtime; with code `leadership.required` when nothing worse happened than not being the leader. */
function failureOf(kind: string, failures: readonly Failure[]): LanyardError {
  const texts = failures.map(({ name, error }) => `error for ${kind} ${name}: ${messageOf(error)}`);
  const isLeadership = ({ error }: Failure): boolean =>
    error instanceof LanyardError && error.code === "leadership.required";
  return new LanyardError({
    code: failures.every(isLeadership) ? "leadership.required" : "authenticator.invalid",
    message: texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`,
    cause: failures[0]?.error,
  });
}

interface ReconcileObjectContext<T extends AuthenticatorObject> extends AuthenticatorControllerOptions {
  readonly objects: ResourceView<T>;
  readonly resolveTls: (object: T) => TlsSpecResult;
}

async function reconcileObject<T extends AuthenticatorObject>(
  kind: AuthenticatorKind<T>,
  object: T,
  context: ReconcileObjectContext<T>,
  signal: AbortSignal,
): Promise<void> {
  const { cache } = context;
  const reference: AuthenticatorReference = {
    apiGroup: AUTHENTICATION_GROUP,
    kind: kind.kind,
    name: object.metadata.name,
  };
  const tls = context.resolveTls(object);
  const url = kind.checkUrl(object);
  const fingerprint = JSON.stringify([kind.settings(object), tls.caHash ?? null]);
  const configured = tls.finding.status === "True" && url.status === "True";
  const isCached = configured && cache.entry(reference)?.fingerprint === fingerprint;
  const network = !configured
    ? { findings: kind.networkConditions(object).map(([type]) => unableToValidate(type)) }
    : isCached
      ? { findings: kind.networkConditions(object).map(([type, message]) => success(type, message)) }
      : await kind.checkNetwork(object, tls.caPem, signal);
  const findings = [tls.finding, url, ...network.findings];
  const ready = findings.every((finding) => finding.status === "True");
  const made = "authenticator" in network ? network.authenticator : undefined;
  try {
    signal.throwIfAborted();
    if (!ready) {
      cache.delete(reference);
    }
    await writeStatus(kind, object, findings, ready, context);
  } catch (error) {
    made?.close();
    throw error;
  }
  if (made !== undefined) {
    const latest = context.objects.get({ name: object.metadata.name });
    const isCurrent =
      latest !== undefined &&
      latest.metadata.uid === object.metadata.uid &&
      JSON.stringify([kind.settings(latest), context.resolveTls(latest).caHash ?? null]) === fingerprint;
    // What changed or went away meanwhile has a run of its own coming.
    if (ready && isCurrent) {
      cache.set(reference, { authenticator: made, fingerprint });
      context.log.debug("authenticator is in force", { kind: kind.kind, name: reference.name });
    } else {
      made.close();
    }
  }
  const failed = configured ? network.findings.find((finding) => finding.status === "False") : undefined;
  if (failed !== undefined) {
    // Only what may get better by itself is tried again; a configuration error waits for a change.
    throw new LanyardError({ code: "authenticator.unreachable", message: failed.message.slice(0, 1000) });
  }
}

async function writeStatus<T extends AuthenticatorObject>(
  kind: AuthenticatorKind<T>,
  object: T,
  findings: readonly ConditionFinding[],
  ready: boolean,
  { store, clock }: AuthenticatorControllerOptions,
): Promise<void> {
  const readiness: ConditionFinding = ready
    ? success("Ready", `the ${kind.kind} is ready`)
    : {
        type: "Ready",
        status: "False",
        reason: "NotReady",
        message: `the ${kind.kind} is not ready: see other conditions for details`,
      };
  const merged = mergeConditions({
    existing: object.status?.conditions,
    findings: [...findings, readiness].map((finding) => ({ ...finding, message: bounded(finding.message) })),
    observedGeneration: object.metadata.generation ?? 0,
    now: clock.now(),
  });
  const phase = ready ? "Ready" : "Error";
  if (!merged.changed && object.status?.phase === phase) {
    return;
  }
  try {
    await store.updateStatus(kind.resource, {
      ...object,
      status: { ...object.status, conditions: [...merged.conditions], phase },
    });
  } catch (error) {
    // Deleted meanwhile: there is nothing left to report on.
    if (!isNotFound(error)) {
      throw error;
    }
  }
}

/** A condition that holds. */
export function success(type: string, message: string): ConditionFinding {
  return { type, status: "True", reason: "Success", message };
}

/** A condition that an earlier failure keeps from being judged. */
export function unableToValidate(type: string): ConditionFinding {
  return {
    type,
    status: "Unknown",
    reason: "UnableToValidate",
    message: "unable to validate; see other conditions for details",
  };
}

/** A condition that does not hold. */
export function failure(type: string, reason: string, message: string): ConditionFinding {
  return { type, status: "False", reason, message };
}

/** The API server takes no longer messages. */
function bounded(message: string): string {
  const characters = Array.from(message);
  if (characters.length <= MAXIMUM_MESSAGE_LENGTH) {
    return message;
  }
  const kept = MAXIMUM_MESSAGE_LENGTH - 40;
  return `${characters.slice(0, kept).join("")} [truncated ${characters.length - kept} chars]`;
}
