import type { Secret } from "../../kube/objects.ts";
import { messageOf } from "../../errors.ts";
import { BACKDATE_MILLISECONDS, readServingCertificate } from "./serving-certificate-secret.ts";

/** An answer of `decideRenewal`: now, with the reason, or in some milliseconds. */
export type Renewal =
  { readonly due: true; readonly reason: string } | { readonly due: false; readonly inMilliseconds: number };

/**
 * Two rotations never overlap: the overlap of one takes a minute and the backdating five. A smaller `renewBeforeSeconds`
 * would ask for the next one before the last one is over, without end.
 */
const SHORTEST_AGE_MILLISECONDS = BACKDATE_MILLISECONDS + 2 * 60 * 1000;

/**
 * Whether a serving certificate is to be replaced (contract 6.3): its age since NotBefore has reached
 * `renewBeforeSeconds`, it has expired, or it cannot be used at all.
 */
export function decideRenewal(secret: Secret, renewBeforeSeconds: number, now: number): Renewal {
  try {
    const { notBefore, notAfter } = readServingCertificate(secret, now);
    const age = Math.max(renewBeforeSeconds * 1000, SHORTEST_AGE_MILLISECONDS);
    const dueAt = Math.min(notBefore.getTime() + age, notAfter.getTime());
    return now >= dueAt
      ? { due: true, reason: "the certificate is old enough" }
      : { due: false, inMilliseconds: dueAt - now };
  } catch (error) {
    return { due: true, reason: messageOf(error) };
  }
}
