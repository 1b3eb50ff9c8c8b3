import type { LifetimePolicy } from "../state/credential-settings.ts";
import type { Lifetime } from "./signer.ts";

/** Certificates that the kube-apiserver itself accepts live no longer (S7). */
export const MAXIMUM_CLUSTER_LIFETIME_SECONDS = 3600;

/** No credential lives longer (S7). */
export const MAXIMUM_LIFETIME_SECONDS = 86_400;

/** No credential is issued for less (S7). */
export const MINIMUM_LIFETIME_SECONDS = 60;

/** A token's own end never cuts a credential below this (S7). */
const UNBOUND_SECONDS = 300;

/** Of a credential's lifetime, how much of its end may be hidden from clients at most (design.md section 5). */
const MAXIMUM_REFRESH_LEAD_PERCENT = 15;

export interface LifetimeRequest {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly policy: LifetimePolicy;
  /** What the caller asked for, already validated; more is never given. */
  readonly requestedSeconds?: number | undefined;
  /** `spec.credential.maximumLifetimeSeconds` of the authenticator. */
  readonly authenticatorMaximumSeconds?: number | undefined;
  /** When the token ends, milliseconds since the epoch; a token without an end bounds nothing (clarification 18). */
  readonly tokenExpiresAt?: number | undefined;
}

/** What the bounds leave, before a signer's own limits; whole seconds. */
export interface LifetimeBounds {
  readonly wantedSeconds: number;
  /** Never exceeded: a signer that cannot go as short is skipped (S7). */
  readonly maximumSeconds: number;
}

/** The smallest bound wins (S7). */
export function lifetimeBounds(request: LifetimeRequest): LifetimeBounds {
  const { now, policy, requestedSeconds, authenticatorMaximumSeconds, tokenExpiresAt } = request;
  const bounds = [MAXIMUM_LIFETIME_SECONDS, policy.maximumLifetimeSeconds];
  if (requestedSeconds !== undefined) {
    bounds.push(requestedSeconds);
  }
  if (authenticatorMaximumSeconds !== undefined) {
    bounds.push(Math.max(authenticatorMaximumSeconds, MINIMUM_LIFETIME_SECONDS));
  }
  if (tokenExpiresAt !== undefined && policy.boundToToken !== false) {
    bounds.push(Math.max(UNBOUND_SECONDS, Math.floor(tokenExpiresAt / 1000) - wholeSeconds(now)));
  }
  const maximumSeconds = Math.min(...bounds);
  return {
    maximumSeconds,
    wantedSeconds: Math.min(requestedSeconds ?? policy.lifetimeSeconds, maximumSeconds),
  };
}

/** The validity to ask of a signer with these limits; undefined: it cannot go as short as the bound. */
export function lifetimeWithin(
  { wantedSeconds, maximumSeconds }: LifetimeBounds,
  signer: { readonly minimumLifetimeSeconds: number; readonly maximumLifetimeSeconds: number },
  { now, policy }: Pick<LifetimeRequest, "now" | "policy">,
): Lifetime | undefined {
  if (signer.minimumLifetimeSeconds > maximumSeconds) {
    return undefined;
  }
  const seconds = Math.min(
    Math.max(wantedSeconds, signer.minimumLifetimeSeconds),
    signer.maximumLifetimeSeconds,
  );
  const second = wholeSeconds(now);
  return {
    notBefore: new Date((second - policy.backdateSeconds) * 1000),
    notAfter: new Date((second + seconds) * 1000),
  };
}

/** From now to NotAfter, whole seconds. */
export function grantedSeconds(notAfter: Date, now: number): number {
  return Math.floor(notAfter.getTime() / 1000) - wholeSeconds(now);
}

/**
 * When a credential is reported to expire, whole seconds: before its NotAfter, so that clients fetch the next one while this one still works
 * (design.md section 5).
 */
export function reportedExpiry(notAfter: Date, now: number, { refreshLeadSeconds }: LifetimePolicy): Date {
  const granted = grantedSeconds(notAfter, now);
  const lead = Math.min(refreshLeadSeconds, Math.floor((granted * MAXIMUM_REFRESH_LEAD_PERCENT) / 100));
  return new Date((Math.floor(notAfter.getTime() / 1000) - lead) * 1000);
}

function wholeSeconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
