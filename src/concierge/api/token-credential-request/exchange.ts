import { createHash } from "node:crypto";
import type { Clock } from "../../../clock.ts";
import { LanyardError, messageOf } from "../../../errors.ts";
import type { Identity } from "../../../identity/identity.ts";
import { reservedIdentityRule } from "../../../identity/reserved-identities.ts";
import type { ReservedIdentityOptions } from "../../../identity/reserved-identities.ts";
import { unsupportedUserInfo } from "../../../identity/unsupported-user-info.ts";
import type { AuditLog, PersonalInfo } from "../../../telemetry/audit.ts";
import type {
  AuthenticatorKind,
  AuthenticatorOutcome,
  ExchangeResult,
  Metrics,
} from "../../../telemetry/metrics.ts";
import type { AuthenticatorSet, AuthenticatorSettings } from "../../authenticators/authenticator.ts";
import type { ClientCertificateCredential } from "../../credentials/signer.ts";
import { MAXIMUM_TOKEN_BYTES } from "../../request/limits.ts";
import type { ConcurrencyLimit, FailureLimiter } from "../../request/limits.ts";
import { StatusError } from "../../request/status.ts";
import type { RequestedAuthenticator } from "./authenticator-reference.ts";

export interface ExchangeOptions {
  readonly authenticators: AuthenticatorSet;
  readonly issueCredential: (
    identity: Identity,
    bounds: CredentialBounds,
  ) => Promise<ClientCertificateCredential>;
  /** S1 as in force now. */
  readonly reservedIdentities: () => Omit<ReservedIdentityOptions, "allowedUsernames" | "allowedGroups">;
  readonly failures: FailureLimiter;
  /** Per authenticator. */
  readonly concurrency: ConcurrencyLimit;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "exchangeFinished" | "authenticatorCalled">;
}

/** What narrows a credential besides the cluster's own policy. */
export interface CredentialBounds {
  /** Of the authenticator (`spec.credential`). */
  readonly maximumLifetimeSeconds?: number | undefined;
}

export interface ExchangeRequest {
  readonly token: string;
  readonly authenticator: RequestedAuthenticator;
  readonly auditID: string;
  /** For rate limits (S18). */
  readonly source: string;
  readonly signal: AbortSignal;
}

/** Token in, credential out; undefined is "authentication failed", whatever the reason: that is only in the audit log. */
export type Exchange = (request: ExchangeRequest) => Promise<ClientCertificateCredential | undefined>;

/** Why there is no credential, in the terms of contract 2.5. */
class ExchangeRefusal extends LanyardError {
  readonly event: "Unexpected Error" | "Authentication Failed" | "Unsupported UserInfo";
  readonly result: ExchangeResult;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly personalInfo: PersonalInfo | undefined;

  constructor(
    event: ExchangeRefusal["event"],
    result: ExchangeResult,
    fields: Readonly<Record<string, unknown>>,
    personalInfo?: PersonalInfo,
  ) {
    super({ code: "exchange.refused", message: event });
    this.name = "ExchangeRefusal";
    this.event = event;
    this.result = result;
    this.fields = fields;
    this.personalInfo = personalInfo;
  }
}

/**
 * The exchange of contract 2.3 to 2.5: one function per step, each of which passes on or refuses. Only a 429 Status leaves
 * it as an error (S18).
 */
export function createExchange(options: ExchangeOptions): Exchange {
  const { failures, clock, metrics } = options;
  return async (request) => {
    failures.requireAuthenticator(limiterKey(request.authenticator));
    const startedAt = clock.now();
    const finished = (result: ExchangeResult): void =>
      metrics.exchangeFinished(result, (clock.now() - startedAt) / 1000);
    auditReceived(options, request);
    try {
      const { identity, settings } = await authenticate(options, request);
      refuseUnsupportedUserInfo(identity);
      const allowed = refuseReservedIdentity(options, identity, settings);
      const credential = await sign(options, allowed, settings);
      auditIssued(options, request, allowed, credential);
      finished("issued");
      return credential;
    } catch (error) {
      if (!(error instanceof ExchangeRefusal)) {
        throw error;
      }
      auditRefused(options, request, error);
      finished(error.result);
      return undefined;
    }
  };
}

function limiterKey({ apiGroup, kind, name }: RequestedAuthenticator): string {
  return JSON.stringify([apiGroup, kind, name]);
}

function auditReceived({ audit }: ExchangeOptions, { token, auditID }: ExchangeRequest): void {
  const tokenID = createHash("sha256").update(token).digest("hex");
  audit.record({ message: "TokenCredentialRequest Token Received", auditID, fields: { tokenID } });
}

async function authenticate(
  options: ExchangeOptions,
  request: ExchangeRequest,
): Promise<{ readonly identity: Identity; readonly settings: AuthenticatorSettings }> {
  const { authenticators, failures, concurrency } = options;
  const { token, authenticator: reference, source, signal } = request;
  if (Buffer.byteLength(token) > MAXIMUM_TOKEN_BYTES) {
    // Never parsed (clarification 8).
    failures.recordFailure(source);
    throw rejected();
  }
  const authenticator = authenticators.get(reference);
  if (authenticator === undefined) {
    failures.recordFailure(source);
    throw unexpected("authenticator_error", "authenticator returned an error", "no such authenticator");
  }
  let identity: Identity | undefined;
  try {
    identity = await concurrency.run(limiterKey(reference), () =>
      measured(options, reference, () => authenticator.authenticate(token, signal)),
    );
  } catch (error) {
    if (error instanceof StatusError) {
      throw error;
    }
    if (!signal.aborted) {
      // A caller who gave up waiting has not failed: slow webhooks must not use up anybody's budget (S18).
      failures.recordFailure(source, limiterKey(reference));
    }
    throw unexpected("authenticator_error", "authenticator returned an error", messageOf(error));
  }
  if (identity === undefined) {
    failures.recordFailure(source, limiterKey(reference));
    throw rejected();
  }
  if (authenticators.get(reference) !== authenticator) {
    // What was deleted or edited meanwhile decides nothing any more (S4).
    throw unexpected(
      "authenticator_error",
      "authenticator returned an error",
      "the authenticator changed while it judged the token",
    );
  }
  return { identity, settings: authenticator.settings ?? {} };
}

async function measured(
  { clock, metrics }: ExchangeOptions,
  { kind }: RequestedAuthenticator,
  call: () => Promise<Identity | undefined>,
): Promise<Identity | undefined> {
  const startedAt = clock.now();
  let outcome: AuthenticatorOutcome = "error";
  try {
    const identity = await call();
    outcome = identity === undefined ? "rejected" : "authenticated";
    return identity;
  } finally {
    // Only these two kinds are ever filed.
    metrics.authenticatorCalled(kind as AuthenticatorKind, outcome, (clock.now() - startedAt) / 1000);
  }
}

function refuseUnsupportedUserInfo(identity: Identity): void {
  const err = unsupportedUserInfo(identity);
  if (err !== undefined) {
    throw unsupported(identity, err);
  }
}

/** S1, the last step before signing; answers the identity to sign. */
function refuseReservedIdentity(
  { reservedIdentities }: ExchangeOptions,
  identity: Identity,
  { allowedUsernames, allowedGroups }: AuthenticatorSettings,
): Identity {
  const { rule, identity: allowed } = reservedIdentityRule(identity, {
    ...reservedIdentities(),
    allowedUsernames,
    allowedGroups,
  });
  if (allowed === undefined) {
    throw unsupported(identity, `reserved identity: ${rule}`);
  }
  return allowed;
}

async function sign(
  { issueCredential }: ExchangeOptions,
  identity: Identity,
  { maximumLifetimeSeconds }: AuthenticatorSettings,
): Promise<ClientCertificateCredential> {
  try {
    return await issueCredential(identity, { maximumLifetimeSeconds });
  } catch (error) {
    throw unexpected("signer_error", "cert issuer returned an error", messageOf(error));
  }
}

function auditIssued(
  { audit }: ExchangeOptions,
  { auditID, authenticator }: ExchangeRequest,
  { username, groups }: Identity,
  { notBefore, notAfter }: ClientCertificateCredential,
): void {
  audit.record({
    message: "TokenCredentialRequest Authenticated User",
    auditID,
    personalInfo: { username, groups },
    fields: {
      issuedClientCert: { notBefore: rfc3339(notBefore), notAfter: rfc3339(notAfter) },
      authenticator: shown(authenticator),
    },
  });
}

function auditRefused(
  { audit }: ExchangeOptions,
  { auditID, authenticator }: ExchangeRequest,
  refusal: ExchangeRefusal,
): void {
  const { event, fields, personalInfo } = refusal;
  audit.record({
    message: `TokenCredentialRequest ${event}`,
    auditID,
    ...(personalInfo === undefined ? {} : { personalInfo }),
    fields: { ...fields, authenticator: shown(authenticator) },
  });
}

function shown({ apiGroup, kind, name }: RequestedAuthenticator): object {
  return { apiGroup, kind, name };
}

function rejected(): ExchangeRefusal {
  return new ExchangeRefusal("Authentication Failed", "authentication_failed", {
    reason: "auth rejected by authenticator",
  });
}

function unexpected(result: ExchangeResult, reason: string, err: string): ExchangeRefusal {
  return new ExchangeRefusal("Unexpected Error", result, { reason, err });
}

function unsupported({ username, uid, extra }: Identity, err: string): ExchangeRefusal {
  return new ExchangeRefusal(
    "Unsupported UserInfo",
    "unsupported_identity",
    {
      userInfoExtrasCount: Object.keys(extra).length,
      reason: "unsupported value in userInfo returned by authenticator",
      err,
    },
    { userInfoName: username, userInfoUID: uid ?? "" },
  );
}

/** RFC 3339 in UTC, whole seconds, as `metav1.Time` prints it. */
export function rfc3339(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
