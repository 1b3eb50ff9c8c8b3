import { monitorEventLoopDelay } from "node:perf_hooks";
import { Registry, collectDefaultMetrics } from "prom-client";
import { stopwatch } from "../clock.ts";
import type { Clock } from "../clock.ts";
import type { ControllerMetrics } from "../kube/controller-runtime.ts";
import type { InformerMetrics } from "../kube/informer.ts";
import type { LeaderElectionMetrics } from "../kube/leader-election.ts";
import type { KubernetesClientMetrics } from "../kube/transport.ts";
import { deferObservations } from "./deferred-observations.ts";
import { createExchangeMetrics } from "./exchange-metrics.ts";
import type { ExchangeMetrics } from "./exchange-metrics.ts";
import { createMetricFactory } from "./metric-factory.ts";
import type { MetricFamily } from "./metric-factory.ts";
import { createObservedStateMetrics } from "./observed-state.ts";
import type { ObservedState } from "./observed-state.ts";
import { createProxiedMetrics } from "./proxied-metrics.ts";
import type { ProxiedMetrics } from "./proxied-metrics.ts";
import type { Version } from "./version.ts";

export type AuthenticatorKind = "JWTAuthenticator" | "WebhookAuthenticator";
export type AuthenticatorOutcome = "authenticated" | "rejected" | "error";
export type ReviewKind = "token" | "access";
/** Limits that refuse requests (S18). */
export const rateLimitNames = [
  "failures_per_source",
  "failures_per_authenticator",
  "token_reviews_per_source",
  "token_reviews",
  "concurrent_creates",
  "proxied_read_only",
  "proxied_mutating",
  "proxied_long_running",
  "proxied_long_running_per_source",
] as const;
export type RateLimitName = (typeof rateLimitNames)[number];

/** Why an open stream was ended by us (S10, S15, S16). */
export const streamCutReasons = ["deny_list", "access", "trust", "maximum_duration"] as const;
export type StreamCutReason = (typeof streamCutReasons)[number];
export type CertificateName =
  "api_serving" | "api_serving_ca" | "proxy_signer" | "cluster_signer" | "proxy_serving";

/**
 * Everything that is counted. Labels come from closed sets, or are names of objects that only administrators make; never
 * a user, group, path or issuer.
 */
export interface Metrics extends ExchangeMetrics, ProxiedMetrics {
  authenticatorCalled(kind: AuthenticatorKind, outcome: AuthenticatorOutcome, seconds: number): void;
  /** A JWKS fetch of one JWTAuthenticator; a successful one starts its age again. */
  jwksFetched(authenticator: string, succeeded: boolean): void;
  /** Drops what is known of a JWTAuthenticator that is gone. */
  jwksForgotten(authenticator: string): void;
  readonly informers: InformerMetrics;
  readonly controllers: ControllerMetrics;
  readonly leaderElection: LeaderElectionMetrics;
  /** Calls of ours to the API server; not those of the impersonation proxy. */
  readonly apiServerClient: KubernetesClientMetrics;
  reviewCacheAsked(review: ReviewKind, hit: boolean): void;
  rateLimited(limit: RateLimitName): void;
  /** Open streams, by +1 and -1. */
  proxiedStreams(change: 1 | -1): void;
  proxiedStreamCut(reason: StreamCutReason): void;
  /** What the deny list holds now: enforced entries, and what could not be understood (S15). */
  denyListRead(entries: number, problems: number): void;
  /** Undefined: the certificate is not loaded any more. */
  certificateLoaded(certificate: CertificateName, notAfter: Date | undefined): void;
  /** Says where to look whenever somebody scrapes. */
  observe(state: ObservedState): void;
  /** Every metric of ours, without values; what Node tells of its process is not among them. */
  readonly families: readonly MetricFamily[];
  /** The text exposition of everything. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** Stops measuring the event loop. */
  close(): void;
}

const EVENT_LOOP_RESOLUTION_MILLISECONDS = 20;
const NANOSECONDS = 1e9;

/** A registry of its own, with Node's process metrics in it (engineering.md 4.2). */
export function createMetrics(options: {
  readonly clock: Clock;
  readonly version: Version;
  readonly stopwatch?: (() => number) | undefined;
}): Metrics {
  const { clock } = options;
  const registry = new Registry();
  const factory = createMetricFactory(registry, clock);
  const { counter, gauge, histogram, ageGauge } = factory;

  collectDefaultMetrics({ register: registry });
  gauge("build_info", "Always 1; the labels say what is running.", ["version", "revision"]).set(
    { version: options.version.version, revision: options.version.gitCommit },
    1,
  );
  const exchanges = createExchangeMetrics(factory, options.stopwatch ?? stopwatch);
  const calls = counter("authenticator_calls_total", "Tokens shown to authenticators.", ["kind", "result"]);
  const callSeconds = histogram("authenticator_call_duration_seconds", "Time that authenticators took.", [
    "kind",
  ]);
  const jwksFetches = counter("jwks_fetches_total", "Fetches of signing keys.", ["authenticator", "result"]);
  const jwksAge = ageGauge("jwks_age_seconds", "Time since signing keys were last fetched.", "authenticator");
  const lists = counter("informer_lists_total", "Lists from the API server.", ["resource", "result"]);
  const listSeconds = histogram("informer_list_duration_seconds", "Time that lists took.", ["resource"]);
  const watches = counter("informer_watches_total", "Watches opened at the API server.", ["resource"]);
  const reconnects = counter("informer_reconnects_total", "Watches that ended, by why.", [
    "resource",
    "reason",
  ]);
  const eventAge = ageGauge(
    "informer_last_event_age_seconds",
    "Time since the last event of a watch.",
    "resource",
  );
  const storeSize = gauge("informer_store_objects", "Objects in the cache.", ["resource"]);
  const reconciles = counter("reconciles_total", "Runs of controllers.", ["controller", "result"]);
  const reconcileSeconds = histogram("reconcile_duration_seconds", "Time that controllers took.", [
    "controller",
  ]);
  const leader = gauge("leader", "1 while this replica may write to the cluster.");
  leader.set(0);
  const leaseFailures = counter("leader_election_call_failures_total", "Calls about the Lease that failed.");
  const apiServerConnections = gauge("api_server_connections", "Connections of ours to the API server.", [
    "pool",
  ]);
  const apiServerCalls = gauge("api_server_calls_in_flight", "Calls to the API server that wait or run.", [
    "pool",
  ]);
  const apiServerEnded = counter("api_server_calls_total", "Calls to the API server that ended.", [
    "method",
    "code",
  ]);
  const apiServerSeconds = histogram(
    "api_server_call_duration_seconds",
    "Time that calls to the API server took, watches apart.",
    ["method"],
  );
  const reviews = counter("review_cache_lookups_total", "Lookups of cached reviews.", ["review", "result"]);
  for (const review of ["token", "access"] as const) {
    for (const result of ["hit", "miss"]) {
      reviews.inc({ review, result }, 0);
    }
  }
  const limited = counter("rate_limited_total", "Requests refused by a limit.", ["limit"]);
  for (const limit of rateLimitNames) {
    limited.inc({ limit }, 0);
  }
  const proxied = createProxiedMetrics(factory);
  const proxiedStreams = gauge("proxied_streams", "Streams open at the impersonation proxy.");
  const proxiedStreamCuts = counter("proxied_stream_cuts_total", "Streams that were ended by the proxy.", [
    "reason",
  ]);
  for (const reason of streamCutReasons) {
    proxiedStreamCuts.inc({ reason }, 0);
  }
  const denyListEntries = gauge("deny_list_entries", "Entries of the deny list that are enforced.");
  const denyListProblems = gauge("deny_list_problems", "Parts of the deny list that are not understood.");
  const notAfter = gauge(
    "certificate_not_after_timestamp_seconds",
    "When a loaded certificate expires, in seconds since the epoch.",
    ["certificate"],
  );
  const delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MILLISECONDS });
  delay.enable();
  gauge(
    "event_loop_delay_seconds",
    "Delay of the event loop since the last scrape.",
    ["percentile"],
    (self) => {
      const seconds = (nanoseconds: number): number =>
        Number.isFinite(nanoseconds) ? nanoseconds / NANOSECONDS : 0;
      self.set({ percentile: "50" }, seconds(delay.percentile(50)));
      self.set({ percentile: "99" }, seconds(delay.percentile(99)));
      self.set({ percentile: "100" }, seconds(delay.max));
      delay.reset();
    },
  );

  const finishedCalls = deferObservations(
    ({ kind, result }: { kind: AuthenticatorKind; result: AuthenticatorOutcome }, seconds) => {
      calls.inc({ kind, result });
      callSeconds.observe({ kind }, seconds);
    },
  );
  const observe = createObservedStateMetrics(factory);
  const outcome = (succeeded: boolean): string => (succeeded ? "success" : "error");
  return {
    ...exchanges,
    ...proxied,
    authenticatorCalled: (kind, result, seconds) => finishedCalls.add({ kind, result }, seconds),
    jwksFetched: (authenticator, succeeded) => {
      jwksFetches.inc({ authenticator, result: outcome(succeeded) });
      if (succeeded) {
        jwksAge.mark(authenticator);
      }
    },
    jwksForgotten: (authenticator) => {
      jwksAge.forget(authenticator);
      jwksFetches.remove({ authenticator, result: "success" });
      jwksFetches.remove({ authenticator, result: "error" });
    },
    informers: {
      listed: (resource, ok, seconds) => {
        lists.inc({ resource, result: outcome(ok) });
        listSeconds.observe({ resource }, seconds);
      },
      watchStarted: (resource) => watches.inc({ resource }),
      watchEnded: (resource, reason) => reconnects.inc({ resource, reason }),
      seen: (resource, now) => eventAge.mark(resource, now),
      storeSize: (resource, objects) => storeSize.set({ resource }, objects),
    },
    controllers: {
      reconciled: (controller, result, seconds) => {
        reconciles.inc({ controller, result });
        reconcileSeconds.observe({ controller }, seconds);
      },
    },
    leaderElection: {
      setLeader: (isLeader) => leader.set(isLeader ? 1 : 0),
      callFailed: () => leaseFailures.inc(),
    },
    apiServerClient: {
      connection: (pool, change) => apiServerConnections.inc({ pool }, change),
      inFlight: (pool, change) => apiServerCalls.inc({ pool }, change),
      ended: (pool, method, status, seconds) => {
        apiServerEnded.inc({ method, code: statusClass(status) });
        if (pool === "short") {
          apiServerSeconds.observe({ method }, seconds);
        }
      },
    },
    reviewCacheAsked: (review, hit) => reviews.inc({ review, result: hit ? "hit" : "miss" }),
    rateLimited: (limit) => limited.inc({ limit }),
    proxiedStreams: (change) => proxiedStreams.inc(change),
    proxiedStreamCut: (reason) => proxiedStreamCuts.inc({ reason }),
    denyListRead: (entries, problems) => {
      denyListEntries.set(entries);
      denyListProblems.set(problems);
    },
    certificateLoaded: (certificate, time) => {
      if (time === undefined) {
        notAfter.remove({ certificate });
      } else {
        notAfter.set({ certificate }, Math.floor(time.getTime() / 1000));
      }
    },
    observe,
    families: factory.families,
    render: async () => {
      finishedCalls.flush();
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
    close: () => {
      delay.disable();
      registry.clear();
    },
  };
}

/** `none` for a call without an answer. */
function statusClass(status: number): string {
  return status < 100 || status > 599 ? "none" : `${Math.floor(status / 100)}xx`;
}
