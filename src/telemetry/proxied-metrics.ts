import type { MetricFactory } from "./metric-factory.ts";

/** Verbs of Kubernetes, and `other` for what a client made up. */
export const proxiedVerbs = [
  "get",
  "list",
  "watch",
  "create",
  "update",
  "patch",
  "delete",
  "deletecollection",
  "proxy",
  "other",
] as const;

/** Statuses that have a series of their own; others are counted by their class, as `4xx`. */
const CODES: ReadonlySet<number> = new Set([
  101, 200, 201, 202, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 406, 409, 410, 413, 415,
  422, 429, 431, 500, 501, 502, 503, 504,
]);
/** Those of `apiserver_request_duration_seconds`, so that the two can be laid on each other. */
const PROXIED_BUCKETS = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];

/** A proxied request in closed sets; `code` is the status, undefined when the client left before. */
export interface ProxiedRequestLabels {
  readonly verb: string;
  readonly resource: string;
  readonly code: number | undefined;
}

/** What is counted of proxied requests. */
export interface ProxiedMetrics {
  /** `seconds` undefined for long-running requests: they would drown the others. */
  proxiedRequestFinished(labels: ProxiedRequestLabels, seconds: number | undefined): void;
}

export function createProxiedMetrics(factory: MetricFactory): ProxiedMetrics {
  const verbIndex = new Map<string, number>(proxiedVerbs.map((verb, index) => [verb, index]));
  const other = proxiedVerbs.indexOf("other");
  /** Requests by verb, then resource, then status (0: none): no text is put together for each request. */
  const counts = proxiedVerbs.map(() => new Map<string, Map<number, number>>());
  factory.counter(
    "proxied_requests_total",
    "Requests at the impersonation proxy.",
    ["verb", "resource", "code"],
    (self) => {
      self.reset();
      for (const [index, resources] of counts.entries()) {
        for (const [resource, codes] of resources) {
          for (const [code, count] of codes) {
            self.inc({ verb: proxiedVerbs[index] ?? "other", resource, code: codeLabel(code) }, count);
          }
        }
      }
    },
  );
  const durations = factory.fixedHistogram({
    name: "proxied_request_duration_seconds",
    help: "Time that proxied requests took, long-running ones apart.",
    label: { name: "verb", values: proxiedVerbs },
    buckets: PROXIED_BUCKETS,
  });
  return {
    proxiedRequestFinished: ({ verb, resource, code = 0 }, seconds) => {
      const index = verbIndex.get(verb) ?? other;
      const resources = counts[index];
      let codes = resources?.get(resource);
      if (codes === undefined) {
        codes = new Map();
        resources?.set(resource, codes);
      }
      const key = CODES.has(code) ? code : classOf(code);
      codes.set(key, (codes.get(key) ?? 0) + 1);
      if (seconds !== undefined) {
        durations.observe(index, seconds);
      }
    },
  };
}

/** 1 to 5, or 0 for an answer that nobody got. */
function classOf(code: number): number {
  return code < 100 || code > 599 ? 0 : Math.floor(code / 100);
}

function codeLabel(key: number): string {
  if (key === 0) {
    return "none";
  }
  return key < 10 ? `${key}xx` : String(key);
}
