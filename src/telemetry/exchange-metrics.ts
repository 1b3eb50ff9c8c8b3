import type { MetricFactory } from "./metric-factory.ts";

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

/** Why an exchange ended as it did, and which result that is: the closed set of the label `reason`. */
export const exchangeReasons = {
  issued: "issued",
  token_rejected: "authentication_failed",
  token_too_large: "authentication_failed",
  deny_list: "authentication_failed",
  no_such_authenticator: "authenticator_error",
  authenticator_failed: "authenticator_error",
  authenticator_changed: "authenticator_error",
  user_info: "unsupported_identity",
  reserved_identity: "unsupported_identity",
  no_signer: "signer_error",
  key_possession: "signer_error",
  request: "invalid",
  authenticator_failures: "rate_limited",
  authenticator_busy: "rate_limited",
} as const satisfies Readonly<Record<string, ExchangeResult>>;
export type ExchangeReason = keyof typeof exchangeReasons;

/** The parts of an exchange whose time is taken, in their order. */
export const exchangePhases = ["validate", "authenticate", "identity", "sign", "audit"] as const;
export type ExchangePhase = (typeof exchangePhases)[number];

/** Who issues, by the names that audit lines have, too. */
export const credentialSigners = [
  "concierge-kube-signing-cert",
  "certificate-signing-request-api",
  "impersonation-proxy-signing-cert",
  "impersonation-proxy-bearer-token",
] as const;

/** The authenticator of a request, once it was found: only then may its name become a label. */
export interface CountedAuthenticator {
  readonly kind: string;
  readonly name: string;
}

/** What is counted of exchanges. */
export interface ExchangeMetrics {
  /** Milliseconds, with fractions, of a clock that only runs forward: what phases are measured with. */
  readonly stopwatch: () => number;
  /** `authenticator` undefined: the request named none that exists. */
  exchangeFinished(
    authenticator: CountedAuthenticator | undefined,
    reason: ExchangeReason,
    seconds: number,
  ): void;
  /** One phase that was done; milliseconds. */
  exchangePhase(phase: ExchangePhase, milliseconds: number): void;
  /** A credential that was handed out, and how long it lives from now on. */
  credentialIssued(signer: string, lifetimeSeconds: number): void;
}

const SECONDS_PER_HOUR = 3600;
/** From a minute, the shortest that there is (S7), to a day, the longest. */
const LIFETIME_BUCKETS = [
  60,
  300,
  600,
  900,
  1800,
  SECONDS_PER_HOUR,
  4 * SECONDS_PER_HOUR,
  12 * SECONDS_PER_HOUR,
  24 * SECONDS_PER_HOUR,
];
const PHASE_BUCKETS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** More authenticators than these, over the life of the process, are counted together. */
const MAXIMUM_AUTHENTICATORS = 200;

const reasons = Object.keys(exchangeReasons) as readonly ExchangeReason[];
const reasonIndex = new Map(reasons.map((reason, index) => [reason, index] as const));
const phaseIndex = Object.fromEntries(exchangePhases.map((phase, index) => [phase, index])) as Readonly<
  Record<ExchangePhase, number>
>;
const signers: readonly string[] = [...credentialSigners, "other"];

interface Counts {
  readonly kind: string;
  readonly authenticator: string;
  readonly byReason: Float64Array;
}

export function createExchangeMetrics(factory: MetricFactory, stopwatch: () => number): ExchangeMetrics {
  const newCounts = (kind: string, authenticator: string): Counts => ({
    kind,
    authenticator,
    byReason: new Float64Array(reasons.length),
  });
  const nobody = newCounts("", "");
  const surplus = newCounts("other", "other");
  // A map in a map: no text is put together for each exchange.
  const known = new Map<string, Map<string, Counts>>();
  let size = 0;
  const countsOf = ({ kind, name }: CountedAuthenticator): Counts => {
    const found = known.get(kind)?.get(name);
    if (found !== undefined) {
      return found;
    }
    if (size >= MAXIMUM_AUTHENTICATORS) {
      return surplus;
    }
    size += 1;
    const counts = newCounts(kind, name);
    const ofKind = known.get(kind) ?? new Map<string, Counts>();
    known.set(kind, ofKind.set(name, counts));
    return counts;
  };

  factory.counter(
    "exchanges_total",
    "Token exchanges by authenticator, by how they ended and why.",
    ["kind", "authenticator", "result", "reason"],
    (self) => {
      self.reset();
      const all = [nobody, surplus, ...[...known.values()].flatMap((ofKind) => [...ofKind.values()])];
      for (const { kind, authenticator, byReason } of all) {
        for (const [index, reason] of reasons.entries()) {
          const count = byReason[index] ?? 0;
          // What did not happen has no series, but for one of each reason: a rate needs a 0 before the first one.
          if (count > 0 || authenticator === "") {
            self.inc({ kind, authenticator, result: exchangeReasons[reason], reason }, count);
          }
        }
      }
    },
  );
  const seconds = factory.fixedHistogram({
    name: "exchange_duration_seconds",
    help: "Time that token exchanges took.",
  });
  const phases = factory.fixedHistogram({
    name: "exchange_phase_duration_seconds",
    help: "Time that the phases of token exchanges took, those that came to their end.",
    label: { name: "phase", values: exchangePhases },
    buckets: PHASE_BUCKETS,
  });
  const lifetimes = factory.fixedHistogram({
    name: "credential_lifetime_seconds",
    help: "Credentials handed out, by signer and by how long they live.",
    label: { name: "signer", values: signers },
    buckets: LIFETIME_BUCKETS,
  });
  return {
    stopwatch,
    exchangeFinished: (authenticator, reason, took) => {
      const { byReason } = authenticator === undefined ? nobody : countsOf(authenticator);
      const index = reasonIndex.get(reason) ?? 0;
      byReason[index] = (byReason[index] ?? 0) + 1;
      seconds.observe(0, took);
    },
    exchangePhase: (phase, milliseconds) => phases.observe(phaseIndex[phase], milliseconds / 1000),
    credentialIssued: (signer, lifetimeSeconds) => {
      const index = signers.indexOf(signer);
      lifetimes.observe(index === -1 ? signers.length - 1 : index, lifetimeSeconds);
    },
  };
}
