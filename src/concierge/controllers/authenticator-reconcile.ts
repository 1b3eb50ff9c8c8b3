import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import type { ConditionFinding } from "../../kube/conditions.ts";
import type { Controller } from "../../kube/controller.ts";
import { configMaps, secrets } from "../../kube/objects.ts";
import type { KubernetesObject, ResourceType } from "../../kube/objects.ts";
import type { ResourceStore, ResourceView } from "../../kube/resource-store.ts";
import type { AuthenticatorStatus } from "../../resources/authenticator-status.ts";
import type {
  CredentialBounds,
  IdentityTransformsSpec,
  ReservedIdentityExceptions,
} from "../../resources/identity-transforms.ts";
import type { TLSSpec } from "../../resources/tls-spec.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { AuthenticatorCache } from "../authenticators/authenticator-cache.ts";
import { AUTHENTICATION_GROUP } from "../authenticators/authenticator.ts";
import type {
  Authenticator,
  AuthenticatorReference,
  AuthenticatorSettings,
} from "../authenticators/authenticator.ts";
import {
  CERTIFICATE_AUTHORITY_SECRET_TYPES,
  resolveTlsSpec,
  secretType,
} from "../authenticators/tls-spec.ts";
import type { TlsSpecResult } from "../authenticators/tls-spec.ts";
import { createTransformingAuthenticator } from "../authenticators/transforming-authenticator.ts";
import { createExpressionChecks } from "./authenticator-expressions.ts";
import type { CheckedExpressions } from "./authenticator-expressions.ts";
import { success, unableToValidate } from "./authenticator-findings.ts";
import { writeAuthenticatorStatus } from "./authenticator-status-writer.ts";

/** An authenticator object of either kind. */
export interface AuthenticatorObject extends KubernetesObject {
  readonly spec: {
    readonly tls?: TLSSpec;
    readonly transforms?: IdentityTransformsSpec;
    readonly reservedIdentities?: ReservedIdentityExceptions;
    readonly credential?: CredentialBounds;
  };
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
  /** Of these, what decides which server and which keys judge a token. */
  source(object: T): unknown;
  /** Expressions that only this kind has. */
  checkExpressions?(object: T): CheckedExpressions;
  /** Contacts the servers; only called when URL and TLS configuration are valid. */
  checkNetwork(
    object: T,
    checked: { readonly caPem: string | undefined; readonly expressions: CheckedExpressions },
    signal: AbortSignal,
  ): Promise<NetworkResult>;
  /** Told when an authenticator is no longer in force. */
  dropped?(name: string): void;
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
  const expressions = createExpressionChecks(kind);

  return {
    name: kind.controllerName,
    reconcile: async (signal) => {
      const views: readonly Pick<ResourceView<T>, "hasSynced">[] = [objects, secretView, configMapView];
      if (!views.every((view) => view.hasSynced())) {
        return { requeueAfterMilliseconds: NOT_SYNCED_RETRY_MILLISECONDS };
      }
      const sorted = objects.list().toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      expressions.keepOnly(new Set(sorted.map((object) => object.metadata.name)));
      const failures = await eachWithLimit(sorted, CONCURRENT_CHECKS, (object) =>
        reconcileObject(
          kind,
          object,
          { ...options, objects, resolveTls, checkExpressions: expressions.check },
          signal,
        ),
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
  readonly checkExpressions: (object: T) => CheckedExpressions;
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
  const expressions = context.checkExpressions(object);
  const fingerprint = JSON.stringify([kind.settings(object), tls.caHash ?? null]);
  const sourceFingerprint = JSON.stringify([object.metadata.uid, kind.source(object), tls.caHash ?? null]);
  const cached = cache.entry(reference);
  const configured = tls.finding.status === "True" && url.status === "True";
  const isCached = configured && cached?.fingerprint === fingerprint;
  // A slip in an expression stops nobody: what was in force for the same issuer or webhook goes on, as a whole.
  const keepsLast =
    configured && !allTrue(expressions.findings) && cached?.sourceFingerprint === sourceFingerprint;
  const network = !configured
    ? { findings: kind.networkConditions(object).map(([type]) => unableToValidate(type)) }
    : isCached || keepsLast
      ? { findings: kind.networkConditions(object).map(([type, message]) => success(type, message)) }
      : await kind.checkNetwork(object, { caPem: tls.caPem, expressions }, signal);
  const findings = [tls.finding, url, ...expressions.findings, ...network.findings];
  const ready = allTrue(findings);
  const made = "authenticator" in network ? network.authenticator : undefined;
  try {
    signal.throwIfAborted();
    if (!ready && !keepsLast && cached !== undefined) {
      cache.delete(reference);
      kind.dropped?.(reference.name);
    }
    await writeAuthenticatorStatus(kind, object, findings, ready, context);
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
      const authenticator = createTransformingAuthenticator(made, {
        transformation: expressions.transformation,
        settings: settingsOf(object),
        log: context.log,
        name: reference.name,
      });
      cache.set(reference, { authenticator, fingerprint, sourceFingerprint });
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

function allTrue(findings: readonly ConditionFinding[]): boolean {
  return findings.every((finding) => finding.status === "True");
}

function settingsOf({ spec }: AuthenticatorObject): AuthenticatorSettings {
  return {
    allowedUsernames: spec.reservedIdentities?.allowedUsernames,
    allowedGroups: spec.reservedIdentities?.allowedGroups,
    maximumLifetimeSeconds: spec.credential?.maximumLifetimeSeconds,
  };
}
