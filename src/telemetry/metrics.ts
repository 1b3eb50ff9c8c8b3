import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { Clock } from "../clock.ts";
import type { ControllerMetrics } from "../kube/controller-runtime.ts";
import type { InformerMetrics } from "../kube/informer.ts";
import type { LeaderElectionMetrics } from "../kube/leader-election.ts";
import type { Version } from "./version.ts";

/** How an exchange ended; the closed set of the label. */
export const exchangeResults = [
  "issued",
  "authentication_failed",
  "authenticator_error",
  "unsupported_identity",
  "signer_error",
  "invalid",
  "rate_limited",
] as const;
export type ExchangeResult = (typeof exchangeResults)[number];

export type AuthenticatorKind = "JWTAuthenticator" | "WebhookAuthenticator";
export type AuthenticatorOutcome = "authenticated" | "rejected" | "error";
export type ReviewKind = "token" | "access";
export type RateLimitName =
  | "failures_per_source"
  | "failures_per_authenticator"
  | "token_reviews_per_source"
  | "token_reviews"
  | "concurrent_creates"
  | "proxied_read_only"
  | "proxied_mutating"
  | "proxied_long_running"
  | "proxied_long_running_per_source";

/** A proxied request in closed sets; `code` is the status, undefined when the client left before. */
export interface ProxiedRequestLabels {
  readonly verb: string;
  readonly resource: string;
  readonly code: number | undefined;
}
/** Why an open stream was ended by us (S10, S15, S16). */
export const streamCutReasons = ["deny_list", "access", "trust", "maximum_duration"] as const;
export type StreamCutReason = (typeof streamCutReasons)[number];
export type CertificateName =
  "api_serving" | "api_serving_ca" | "proxy_signer" | "cluster_signer" | "proxy_serving";

/**
 * Everything that is counted. Labels come from closed sets, or are names of objects that only administrators make; never
 * a user, group, path or issuer.
 */
export interface Metrics {
  exchangeFinished(result: ExchangeResult, seconds: number): void;
  authenticatorCalled(kind: AuthenticatorKind, outcome: AuthenticatorOutcome, seconds: number): void;
  /** A JWKS fetch of one JWTAuthenticator; a successful one starts its age again. */
  jwksFetched(authenticator: string, succeeded: boolean): void;
  /** Drops what is known of a JWTAuthenticator that is gone. */
  jwksForgotten(authenticator: string): void;
  readonly informers: InformerMetrics;
  readonly controllers: ControllerMetrics;
  readonly leaderElection: LeaderElectionMetrics;
  reviewCacheAsked(review: ReviewKind, hit: boolean): void;
  rateLimited(limit: RateLimitName): void;
  /** `seconds` undefined for long-running requests: they would drown the others. */
  proxiedRequestFinished(labels: ProxiedRequestLabels, seconds: number | undefined): void;
  /** Open streams, by +1 and -1. */
  proxiedStreams(change: 1 | -1): void;
  proxiedStreamCut(reason: StreamCutReason): void;
  /** What the deny list holds now: enforced entries, and what could not be understood (S15). */
  denyListRead(entries: number, problems: number): void;
  /** Undefined: the certificate is not loaded any more. */
  certificateLoaded(certificate: CertificateName, notAfter: Date | undefined): void;
  /** The text exposition of everything. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** Stops measuring the event loop. */
  close(): void;
}

const PREFIX = "lanyard_concierge_";
const EXCHANGE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Those of `apiserver_request_duration_seconds`, so that the two can be laid on each other. */
const PROXIED_BUCKETS = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];
const EVENT_LOOP_RESOLUTION_MILLISECONDS = 20;
const NANOSECONDS = 1e9;

/** A registry of its own, with Node's process metrics in it (engineering.md 4.2). */
export function createMetrics(options: { readonly clock: Clock; readonly version: Version }): Metrics {
  const { clock } = options;
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name: PREFIX + name, help, labelNames: [...labelNames], registers });
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    collect?: (self: Gauge<L>) => void,
  ): Gauge<L> => {
    const self: Gauge<L> = new Gauge({
      name: PREFIX + name,
      help,
      labelNames: [...labelNames],
      registers,
      ...(collect === undefined ? {} : { collect: () => collect(self) }),
    });
    return self;
  };
  const histogram = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
  ): Histogram<L> =>
    new Histogram({
      name: PREFIX + name,
      help,
      labelNames: [...labelNames],
      buckets: EXCHANGE_BUCKETS,
      registers,
    });
  /** A gauge of the seconds since the last `mark` of each label value. */
  const ageGauge = (name: string, help: string, label: string) => {
    const marks = new Map<string, number>();
    gauge(name, help, [label], (self) => {
      self.reset();
      for (const [value, since] of marks) {
        self.set({ [label]: value }, Math.max(0, (clock.now() - since) / 1000));
      }
    });
    return {
      mark: (value: string, now = clock.now()) => marks.set(value, now),
      forget: (value: string) => marks.delete(value),
    };
  };

  collectDefaultMetrics({ register: registry });
  gauge("build_info", "Always 1; the labels say what is running.", ["version", "revision"]).set(
    { version: options.version.version, revision: options.version.gitCommit },
    1,
  );
  const exchanges = counter("exchanges_total", "Token exchanges by how they ended.", ["result"]);
  for (const result of exchangeResults) {
    exchanges.inc({ result }, 0);
  }
  const exchangeSeconds = histogram("exchange_duration_seconds", "Time that token exchanges took.");
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
  const reviews = counter("review_cache_lookups_total", "Lookups of cached reviews.", ["review", "result"]);
  const limited = counter("rate_limited_total", "Requests refused by a limit.", ["limit"]);
  const proxied = counter("proxied_requests_total", "Requests at the impersonation proxy.", [
    "verb",
    "resource",
    "code",
  ]);
  const proxiedSeconds = new Histogram({
    name: `${PREFIX}proxied_request_duration_seconds`,
    help: "Time that proxied requests took, long-running ones apart.",
    labelNames: ["verb"],
    buckets: PROXIED_BUCKETS,
    registers,
  });
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
    ["quantile"],
    (self) => {
      const seconds = (nanoseconds: number): number =>
        Number.isFinite(nanoseconds) ? nanoseconds / NANOSECONDS : 0;
      self.set({ quantile: "0.5" }, seconds(delay.percentile(50)));
      self.set({ quantile: "0.99" }, seconds(delay.percentile(99)));
      self.set({ quantile: "1" }, seconds(delay.max));
      delay.reset();
    },
  );

  const outcome = (succeeded: boolean): string => (succeeded ? "success" : "error");
  return {
    exchangeFinished: (result, seconds) => {
      exchanges.inc({ result });
      exchangeSeconds.observe(seconds);
    },
    authenticatorCalled: (kind, result, seconds) => {
      calls.inc({ kind, result });
      callSeconds.observe({ kind }, seconds);
    },
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
    reviewCacheAsked: (review, hit) => reviews.inc({ review, result: hit ? "hit" : "miss" }),
    rateLimited: (limit) => limited.inc({ limit }),
    proxiedRequestFinished: ({ verb, resource, code }, seconds) => {
      proxied.inc({ verb, resource, code: codeClass(code) });
      if (seconds !== undefined) {
        proxiedSeconds.observe({ verb }, seconds);
      }
    },
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
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
    close: () => {
      delay.disable();
      registry.clear();
    },
  };
}

/** `none` for an answer that nobody got. */
function codeClass(code: number | undefined): string {
  return code === undefined || code < 100 || code > 599 ? "none" : `${Math.floor(code / 100)}xx`;
}
