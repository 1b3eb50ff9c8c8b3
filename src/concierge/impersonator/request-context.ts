import type { Identity } from "../../identity/identity.ts";
import type { Certificate } from "../../pki/certificate.ts";
import type { RequestAttributes } from "../request/authorizer.ts";
import type { PresentedCertificate } from "../request/presented-certificate.ts";
import type { ForwardInstructions, InboundRequest, Refusal } from "./proxied-request.ts";

/** Which of our own keys let somebody in; taking it away ends what it let in (S10). */
export type OwnTrust =
  | {
      readonly kind: "proxy-signer";
      readonly certificate: PresentedCertificate;
      readonly notAfter: number;
    }
  | { readonly kind: "bearer-key"; readonly kid: string | undefined; readonly notAfter: number };

/** Who made the request, before any impersonation. */
export interface Caller {
  /** With `system:authenticated`, unless anonymous. */
  readonly identity: Identity;
  readonly method:
    "front-proxy" | "x509" | "own-bearer" | "bearer-token" | "websocket-bearer-token" | "anonymous";
  /** The leaf of an identity that a certificate gave: its headers may be prepared once (S12). Undefined for everybody else. */
  readonly leaf: Certificate | undefined;
  /** For the deny list (S15). */
  readonly credentialIDs: readonly string[];
  readonly tokenIDs: readonly string[];
  readonly trust: OwnTrust | undefined;
}

/** One question that was asked about the request; asked again while a stream is open (S16). */
export interface AskedReview {
  readonly user: Identity;
  readonly attributes: RequestAttributes;
}

/** What is known about a request; each step adds its part. */
export interface RequestContext {
  readonly request: InboundRequest;
  /** Ours (S17). */
  readonly auditID: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** The client's `Audit-ID`, for the log alone (S17). */
  clientAuditID: string | undefined;
  userAgent: string | undefined;
  /** Whether any header starts with `Impersonate`. */
  impersonates: boolean;
  attributes: RequestAttributes;
  longRunning: boolean;
  deadlineMilliseconds: number;
  /** Where it comes from, for limits (S18); asked for only where it is needed. */
  source: () => string;
  caller: Caller | undefined;
  /** Whom the request acts as. */
  identity: Identity | undefined;
  /** Whether that is by nested impersonation. */
  nested: boolean;
  /** The token of the `Authorization` header, until the identity has been settled. */
  bearer: string | undefined;
  readonly reviews: AskedReview[];
  /** The headers of 7.6; the last step sets them. */
  identityHeaders: ForwardInstructions["identityHeaders"] | undefined;
  /** Gives back what the request holds; called once at its end. */
  readonly releases: (() => void)[];
  /** The engine has said that it is over: nothing more has to be found out. */
  ended: boolean;
}

/** Undefined: go on. What a step throws is a refusal too (a `StatusError` says which). */
export type StepResult = Refusal | undefined;

/** One step of the ordered list. An answer without a promise lets the next step run in the same turn. */
export interface Step {
  /** For the audit line: which step refused. */
  readonly name: string;
  run(context: RequestContext): StepResult | Promise<StepResult>;
}
