import type { Lifetime } from "./signer.ts";

/** How long credentials live, in seconds; S7 says within which bounds. */
export interface LifetimePolicy {
  /** What is given to those who ask for nothing. */
  readonly lifetimeSeconds: number;
  /** What is given at most. */
  readonly maximumLifetimeSeconds: number;
  /** How long before now validity begins, for clocks that are behind. */
  readonly backdateSeconds: number;
}

/** Five minutes back and forth (contract 2.4). */
export const defaultLifetimePolicy: LifetimePolicy = {
  lifetimeSeconds: 300,
  maximumLifetimeSeconds: 300,
  backdateSeconds: 300,
};

/** No credential is issued for less (S7). */
export const MINIMUM_LIFETIME_SECONDS = 60;

export interface LifetimeRequest {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly policy?: LifetimePolicy;
  /** What the caller asked for, already validated. */
  readonly requestedSeconds?: number | undefined;
  /** Further ends that NotAfter never passes, such as the CA's (S7); the earliest counts. */
  readonly notAfterBounds?: readonly Date[];
}

/** The validity that is asked of a signer, in whole seconds: what was asked for, clamped into the policy and the bounds. */
export function decideLifetime(request: LifetimeRequest): Lifetime {
  const { now, policy = defaultLifetimePolicy, requestedSeconds, notAfterBounds = [] } = request;
  const wanted = Math.max(requestedSeconds ?? policy.lifetimeSeconds, MINIMUM_LIFETIME_SECONDS);
  const seconds = Math.min(wanted, policy.maximumLifetimeSeconds);
  const second = Math.floor(now / 1000);
  const notAfter = Math.min(
    (second + seconds) * 1000,
    ...notAfterBounds.map((bound) => Math.floor(bound.getTime() / 1000) * 1000),
  );
  return { notBefore: new Date((second - policy.backdateSeconds) * 1000), notAfter: new Date(notAfter) };
}
