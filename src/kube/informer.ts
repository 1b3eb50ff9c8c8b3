import type { Clock } from "../clock.ts";
import { LanyardError, messageOf } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { permissionText } from "./access-rule.ts";
import { KubernetesApiError } from "./api-error.ts";
import { createBackOff } from "./back-off.ts";
import { errorOfEvent } from "./client.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import { createObjectCache } from "./object-cache.ts";
import type { KubernetesObject, ResourceType } from "./objects.ts";
import type { ResourceView, ViewScope } from "./resource-store.ts";

/**
 * Why a watch or a list ended: `closed` by the server in order, `expired` (410), `silent` for too long, `relist` when it
 * was time for a full list, `refused` by a `Status`, `broken` within the stream, `unreachable`, `stopped` by us.
 */
export type ReconnectReason =
  "closed" | "expired" | "silent" | "relist" | "refused" | "broken" | "unreachable" | "stopped";

/** What is counted, per `resource` (its plural name); implemented by src/telemetry. */
export interface InformerMetrics {
  /** One full list ended; `seconds` for all of its pages. */
  listed(resource: string, ok: boolean, seconds: number): void;
  watchStarted(resource: string): void;
  watchEnded(resource: string, reason: ReconnectReason): void;
  /** Any sign of life of a watch, bookmarks too; `now` in milliseconds, for the age of the last event. */
  seen(resource: string, now: number): void;
  storeSize(resource: string, objects: number): void;
}

/** A `ResourceView` that keeps itself current from the API server. */
export interface Informer<T extends KubernetesObject> extends ResourceView<T> {
  /** Why it had to try again the last time; undefined once that is over. */
  trouble(): string | undefined;
  /** Begins to list and watch; once. */
  start(): void;
  /** Ends the watch and every timer; the view keeps what it has. */
  stop(): Promise<void>;
}

export interface InformerOptions<T extends KubernetesObject> {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  readonly resource: ResourceType<T>;
  readonly scope?: ViewScope;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: InformerMetrics | undefined;
  /** In [0, 1); for tests. */
  readonly random?: () => number;
}

const pageSize = 500;
const resyncMilliseconds = 180_000;
const relistMilliseconds = 10 * 60 * 60 * 1000;
/** A kube-apiserver sends a bookmark every minute, the first one after up to two: more silence is a dead connection. */
const silenceMilliseconds = 180_000;
const slackMilliseconds = 30_000;
/** A watch that ends sooner, without an event, counts as a failure. */
const shortWatchMilliseconds = 1_000;
const longestRetryAfterSeconds = 120;

/**
 * Lists, then watches, for ever: engineering.md 4.4. Listeners only learn keys, after the view holds the new state, and
 * one that throws stops nothing. Every three minutes all keys are told again (contract 6.1).
 */
export function createInformer<T extends KubernetesObject>(options: InformerOptions<T>): Informer<T> {
  const { client, resource, scope = {}, clock, metrics, random = Math.random } = options;
  const log = options.log.named("informer");
  const cache = createObjectCache<T>(log);
  const backOff = createBackOff(random);
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let synced = false;
  let resourceVersion: string | undefined;
  let relistAt = 0;
  let lastTrouble: string | undefined;
  let cancelResync = (): void => {};

  const jittered = (milliseconds: number): number => milliseconds * (0.9 + 0.2 * random());

  async function list(): Promise<void> {
    const started = clock.now();
    try {
      const found =
        (await listPages(pageSize)) ?? (await listPages(pageSize)) ?? (await listPages(undefined));
      if (found === undefined) {
        throw new KubernetesApiError({
          kind: "Status",
          apiVersion: "v1",
          metadata: {},
          reason: "Expired",
          code: 410,
          message: "the list expired again and again",
        });
      }
      resourceVersion = found.resourceVersion;
      relistAt = clock.now() + jittered(relistMilliseconds);
      synced = true;
      metrics?.listed(resource.plural, true, (clock.now() - started) / 1000);
      cache.replace(found.items);
      metrics?.storeSize(resource.plural, cache.size());
    } catch (error) {
      metrics?.listed(resource.plural, false, (clock.now() - started) / 1000);
      throw error;
    }
  }

  /** Nothing when the list expired between two pages: then it starts over, at last in one piece. */
  async function listPages(
    limit: number | undefined,
  ): Promise<{ resourceVersion: string; items: T[] } | undefined> {
    const items: T[] = [];
    let continueToken: string | undefined;
    for (;;) {
      try {
        const page = await client.list(resource, {
          ...scope,
          signal: stopping.signal,
          ...(limit === undefined ? {} : { limit }),
          ...(continueToken === undefined ? {} : { continueToken }),
        });
        items.push(...page.items);
        continueToken = page.continueToken;
        if (continueToken === undefined) {
          return { resourceVersion: page.resourceVersion, items };
        }
      } catch (error) {
        if (continueToken !== undefined && isExpired(error)) {
          return undefined;
        }
        throw error;
      }
    }
  }

  /** One watch from its start to its end. */
  async function watch(): Promise<ReconnectReason> {
    const timeoutSeconds = 300 + Math.floor(random() * 301);
    const controller = new AbortController();
    let cut: ReconnectReason | undefined;
    const end = (reason: ReconnectReason): void => {
      cut ??= reason;
      controller.abort();
    };
    const onStop = (): void => end("stopped");
    stopping.signal.addEventListener("abort", onStop, { once: true });
    const started = clock.now();
    let silentFrom = started;
    let events = 0;
    let cancelGuard = (): void => {};
    const guard = (): void => {
      const deadline = Math.min(
        silentFrom + silenceMilliseconds,
        started + timeoutSeconds * 1000 + slackMilliseconds,
        relistAt,
      );
      const now = clock.now();
      if (now >= deadline) {
        end(now >= relistAt ? "relist" : "silent");
      } else {
        cancelGuard = clock.schedule(deadline - now, guard);
      }
    };
    guard();
    metrics?.watchStarted(resource.plural);
    let reason: ReconnectReason | undefined;
    try {
      for await (const event of client.watch(resource, {
        ...scope,
        timeoutSeconds,
        signal: controller.signal,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      })) {
        if (controller.signal.aborted) {
          break;
        }
        if (event.type === "ERROR") {
          throw errorOfEvent(event);
        }
        events++;
        silentFrom = clock.now();
        recovered();
        apply(event.type, event.object);
      }
      reason = cut ?? "closed";
      if (reason === "closed" && events === 0 && clock.now() - started < shortWatchMilliseconds) {
        throw new LanyardError({
          code: "kubernetes.watch.broken",
          message: "the watch ended as soon as it began",
        });
      }
      return reason;
    } catch (error) {
      reason = cut ?? reason ?? reasonOf(error);
      if (cut !== undefined) {
        return cut;
      }
      throw error;
    } finally {
      cancelGuard();
      stopping.signal.removeEventListener("abort", onStop);
      controller.abort();
      metrics?.watchEnded(resource.plural, reason ?? "broken");
    }
  }

  function apply(type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK", object: T): void {
    const version = object.metadata.resourceVersion;
    if (version !== undefined && version !== "") {
      resourceVersion = version;
    }
    metrics?.seen(resource.plural, clock.now());
    if (type === "BOOKMARK") {
      return;
    }
    if (type === "DELETED") {
      cache.remove(object);
    } else {
      cache.set(object);
    }
    metrics?.storeSize(resource.plural, cache.size());
  }

  function recovered(): void {
    backOff.reset();
    if (lastTrouble !== undefined) {
      lastTrouble = undefined;
      log.info("an informer has recovered", { resource: resource.plural });
    }
  }

  /** One warning per kind of trouble: an API server that is away must not fill the log. */
  function tell(error: unknown, verb: "list" | "watch"): void {
    const trouble = messageOf(error);
    const missing = missingPermission(error, scope.namespace, resource, verb);
    const fields = {
      resource: resource.plural,
      namespace: scope.namespace,
      error: trouble,
      ...(missing === undefined ? {} : { missing }),
    };
    if (trouble === lastTrouble) {
      log.debug("an informer has to try again", fields);
    } else {
      lastTrouble = trouble;
      log.warning("an informer has to try again", fields);
    }
  }

  function delayAfter(error: unknown): number {
    const delay = backOff.next();
    const seconds = error instanceof KubernetesApiError ? error.status.details?.retryAfterSeconds : undefined;
    return seconds === undefined
      ? delay
      : Math.max(delay, Math.min(seconds, longestRetryAfterSeconds) * 1000 + random() * 500);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      let verb: "list" | "watch" = "list";
      try {
        if (resourceVersion === undefined) {
          await list();
        }
        verb = "watch";
        const reason = await watch();
        if (reason === "relist") {
          resourceVersion = undefined;
        } else if (reason === "closed") {
          recovered();
        }
      } catch (error) {
        if (stopping.signal.aborted) {
          return;
        }
        // What was missed cannot be had any more: list anew, at once the first time.
        if (isExpired(error)) {
          resourceVersion = undefined;
          if (backOff.failures() === 0) {
            backOff.next();
            continue;
          }
        }
        tell(error, verb);
        await clock.sleep(delayAfter(error), stopping.signal);
      }
    }
  }

  function resyncLater(): void {
    cancelResync = clock.schedule(resyncMilliseconds, () => {
      if (synced) {
        cache.announceAll();
      }
      resyncLater();
    });
  }

  return {
    get: (key) => cache.get(key),
    list: () => cache.list(),
    hasSynced: () => synced,
    trouble: () => lastTrouble,
    subscribe: (listener) => cache.subscribe(listener),
    start: () => {
      if (running === undefined && !stopping.signal.aborted) {
        running = run();
        resyncLater();
      }
    },
    stop: async () => {
      stopping.abort();
      cancelResync();
      await running;
    },
  };
}

/** The rule whose lack a refusal shows. */
function missingPermission(
  error: unknown,
  namespace: string | undefined,
  resource: ResourceType<KubernetesObject>,
  verb: "list" | "watch",
): string | undefined {
  if (!(error instanceof KubernetesApiError) || error.reason !== "Forbidden") {
    return undefined;
  }
  // The cluster's name of the group, which may have another suffix.
  const apiGroup = error.status.details?.group ?? resource.group;
  return permissionText({ namespace, apiGroup, resource: resource.plural, verbs: [verb] });
}

function isExpired(error: unknown): boolean {
  return error instanceof KubernetesApiError && error.httpStatus === 410;
}

function reasonOf(error: unknown): ReconnectReason {
  if (error instanceof KubernetesApiError) {
    return isExpired(error) ? "expired" : "refused";
  }
  return error instanceof LanyardError && error.code === "kubernetes.unreachable" ? "unreachable" : "broken";
}
