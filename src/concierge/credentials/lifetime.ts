import { defaultLifetimePolicy } from "../state/credential-settings.ts";
import type { LifetimePolicy } from "../state/credential-settings.ts";
import type { Lifetime } from "./signer.ts";

/** Certificates that the kube-apiserver itself accepts live no longer (S7). */
export const MAXIMUM_CLUSTER_LIFETIME_SECONDS = 3600;

/** No credential lives longer (S7). */
export const MAXIMUM_LIFETIME_SECONDS = 86_400;

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
