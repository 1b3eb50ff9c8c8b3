import { hash } from "node:crypto";
import type { Clock } from "../../../clock.ts";
import { LanyardError, messageOf } from "../../../errors.ts";
import type { Identity } from "../../../identity/identity.ts";
import { reservedIdentityRule } from "../../../identity/reserved-identities.ts";
import type { ReservedIdentityOptions } from "../../../identity/reserved-identities.ts";
import { unsupportedUserInfo, valueThatHttpChanges } from "../../../identity/unsupported-user-info.ts";
import { verifyCertificationRequest } from "../../../pki/certificate-signing-request.ts";
import type { CertificationRequest } from "../../../pki/certificate-signing-request.ts";
import type { AuditLog } from "../../../telemetry/audit.ts";
import type { Logger } from "../../../telemetry/log.ts";
import type { ExchangePhase, ExchangeReason } from "../../../telemetry/exchange-metrics.ts";
import type { AuthenticatorKind, AuthenticatorOutcome, Metrics } from "../../../telemetry/metrics.ts";
import { authenticatorKey } from "../../authenticators/authenticator.ts";
import type {
  AuthenticatedIdentity,
  AuthenticatorSet,
  AuthenticatorSettings,
} from "../../authenticators/authenticator.ts";
import type {
  CredentialForm,
  CredentialIssuing,
  IssuedCredential,
} from "../../credentials/issue-credential.ts";
import { MAXIMUM_TOKEN_BYTES } from "../../request/limits.ts";
import type { ConcurrencyLimit, FailureLimiter } from "../../request/limits.ts";
import { StatusError } from "../../request/status.ts";
import type { RequestedAuthenticator } from "./authenticator-reference.ts";
import { auditCredential, auditIssued, auditReceived, auditRefused } from "./exchange-audit.ts";
import { ExchangeRefusal, rejected, unexpected, unsupported } from "./exchange-refusal.ts";
import { invalidCertificationRequest } from "./validate-token-credential-request.ts";

export interface ExchangeOptions {
  readonly authenticators: AuthenticatorSet;
  readonly credentials: Pick<CredentialIssuing, "issue">;
  /** The deny list (S15); absent: there is none. */
  readonly isDenied?: IsDenied | undefined;
  /** Whether a further event names what was issued (`audit.credentialEvents`). */
  readonly credentialEvents?: boolean | undefined;
  /** S1 as in force now. */
  readonly reservedIdentities: () => Omit<ReservedIdentityOptions, "allowedUsernames" | "allowedGroups">;
  readonly failures: FailureLimiter;
  /** Per authenticator. */
  readonly concurrency: ConcurrencyLimit;
  readonly audit: AuditLog;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: ExchangeCounting;
}

/** What an exchange is counted with. */
export type ExchangeCounting = Pick<
  Metrics,
  "exchangeFinished" | "authenticatorCalled" | "exchangePhase" | "credentialIssued" | "stopwatch"
>;

/** Whether a user, or the token that was shown (hex SHA-256), is on the deny list (S15). */
export type IsDenied = (who: { readonly username: string; readonly tokenID: string }) => boolean;

export interface ExchangeRequest {
  readonly token: string;
  readonly authenticator: RequestedAuthenticator;
  readonly auditID: string;
  /** For rate limits (S18). */
  readonly source: string;
  /** S9. */
  readonly form: CredentialForm;
  /** `metadata.name`, for refusals. */
  readonly name: string;
  /** `spec.expirationSeconds`, validated. */
  readonly requestedSeconds?: number | undefined;
  /** `spec.certificateSigningRequest`; its signature has not been looked at yet (S8). */
  readonly certificationRequest?: CertificationRequest | undefined;
  readonly signal: AbortSignal;
}

/** Token in, credential out; undefined is "authentication failed", whatever the reason: that is only in the audit log. */
export type Exchange = (request: ExchangeRequest) => Promise<IssuedCredential | undefined>;

/**
 * The exchange of contract 2.3 to 2.5: one function per step, each of which passes on or refuses. Only a Status leaves it as
 * an error: 429 (S18), and 422 for a certificate signing request that its own key did not sign (S8).
 */
export function createExchange(options: ExchangeOptions): Exchange {
  const { failures, metrics } = options;
  return async (request) => {
    const key = authenticatorKey(request.authenticator);
    const startedAt = metrics.stopwatch();
    let phaseBegan = startedAt;
    const phaseEnded = (phase: ExchangePhase): void => {
      const now = metrics.stopwatch();
      metrics.exchangePhase(phase, now - phaseBegan);
      phaseBegan = now;
    };
    const finished = (reason: ExchangeReason): void =>
      metrics.exchangeFinished(
        // A name that a client made up must not become a label.
        options.authenticators.get(request.authenticator) === undefined ? undefined : request.authenticator,
        reason,
        (metrics.stopwatch() - startedAt) / 1000,
      );
    try {
      failures.requireAuthenticator(key);
    } catch (error) {
      finished("authenticator_failures");
      throw error;
    }
    const tokenID = hash("sha256", request.token, "hex");
    auditReceived(options, request, tokenID);
    try {
      const { identity, settings, tokenExpiresAt } = await authenticate(options, request, key);
      phaseEnded("authenticate");
      refuseUnsupportedUserInfo(identity, request);
      const allowed = refuseReservedIdentity(options, identity, settings);
      refuseDenied(options, request, allowed, tokenID);
      proveKeyPossession(request);
      phaseEnded("identity");
      const credential = await issue(options, request, {
        identity: allowed,
        tokenID,
        tokenExpiresAt,
        authenticatorMaximumSeconds: settings.maximumLifetimeSeconds,
      });
      phaseEnded("sign");
      auditIssued(options, request, allowed, credential);
      auditCredential(options, request, tokenID, credential);
      phaseEnded("audit");
      metrics.credentialIssued(credential.signer, credential.grantedSeconds);
      finished("issued");
      return credential;
    } catch (error) {
      if (!(error instanceof ExchangeRefusal)) {
        if (error instanceof StatusError && error.httpStatus === 429) {
          finished("authenticator_busy");
        }
        throw error;
      }
      auditRefused(options, request, error);
      finished(error.reason);
      if (error.answer !== undefined) {
        throw error.answer;
      }
      return undefined;
    }
  };
}

interface Authenticated {
  readonly identity: Identity;
  readonly settings: AuthenticatorSettings;
  readonly tokenExpiresAt: number | undefined;
}

/** `key` is the one of the authenticator that the request names. */
async function authenticate(
  options: ExchangeOptions,
  request: ExchangeRequest,
  key: string,
): Promise<Authenticated> {
  const { authenticators, failures, concurrency } = options;
  const { token, authenticator: reference, source, signal } = request;
  // No character has more than three bytes: most tokens need no count.
  if (token.length * 3 > MAXIMUM_TOKEN_BYTES && Buffer.byteLength(token) > MAXIMUM_TOKEN_BYTES) {
    // Never parsed (clarification 8).
    failures.recordFailure(source);
    throw rejected("token_too_large");
  }
  const authenticator = authenticators.get(reference);
  if (authenticator === undefined) {
    failures.recordFailure(source);
    throw unexpected("no_such_authenticator", "authenticator returned an error", "no such authenticator");
  }
  let authenticated: AuthenticatedIdentity | undefined;
  try {
    authenticated = await concurrency.run(key, () =>
      measured(options, reference, () => authenticator.authenticate(token, signal)),
    );
  } catch (error) {
    if (error instanceof StatusError) {
      throw error;
    }
    if (!signal.aborted) {
      // A caller who gave up waiting has not failed: slow webhooks must not use up anybody's budget (S18).
      failures.recordFailure(source, key);
    }
    throw unexpected("authenticator_failed", "authenticator returned an error", messageOf(error));
  }
  if (authenticated === undefined) {
    failures.recordFailure(source, key);
    throw rejected();
  }
  if (authenticators.get(reference) !== authenticator) {
    // What was deleted or edited meanwhile decides nothing any more (S4).
    throw unexpected(
      "authenticator_changed",
      "authenticator returned an error",
      "the authenticator changed while it judged the token",
    );
  }
  const { tokenExpiresAt, ...identity } = authenticated;
  return { identity, settings: authenticator.settings ?? {}, tokenExpiresAt };
}

async function measured(
  { clock, metrics }: ExchangeOptions,
  { kind }: RequestedAuthenticator,
  call: () => Promise<AuthenticatedIdentity | undefined>,
): Promise<AuthenticatedIdentity | undefined> {
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

/**
 * Contract 2.3, S2. Extras that a JWTAuthenticator maps go into a bearer credential or nowhere (S3); their keys were checked
 * when its object changed. Nobody has checked those of a webhook.
 */
function refuseUnsupportedUserInfo(identity: Identity, { form, authenticator }: ExchangeRequest): void {
  const mayHaveExtras = form === "BearerToken" && authenticator.kind === "JWTAuthenticator";
  const err = mayHaveExtras
    ? (unsupportedUserInfo({ ...identity, extra: {} }) ?? valueThatHttpChanges(identity))
    : unsupportedUserInfo(identity);
  if (err !== undefined) {
    throw unsupported("user_info", identity, err);
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
    throw unsupported("reserved_identity", identity, `reserved identity: ${rule}`);
  }
  return allowed;
}

/** S15. The line in the log says why; the audit line and the answer are those of any rejected token. */
function refuseDenied(
  { isDenied, failures, log }: ExchangeOptions,
  { auditID, source }: ExchangeRequest,
  { username }: Identity,
  tokenID: string,
): void {
  if (isDenied?.({ username, tokenID }) === true) {
    failures.recordFailure(source);
    log.info("the deny list refused a login", { auditID, tokenID });
    throw rejected("deny_list");
  }
}

/** S8: only now, as anybody can send a request, but only whom the authenticator knows gets here. */
function proveKeyPossession({ certificationRequest, name }: ExchangeRequest): void {
  if (certificationRequest === undefined) {
    return;
  }
  try {
    verifyCertificationRequest(certificationRequest);
  } catch (error) {
    if (!(error instanceof LanyardError)) {
      throw error;
    }
    throw unexpected(
      "key_possession",
      "cert issuer returned an error",
      `spec.certificateSigningRequest ${error.message}`,
      new StatusError(invalidCertificationRequest(name, error)),
    );
  }
}

async function issue(
  { credentials }: ExchangeOptions,
  { form, requestedSeconds, certificationRequest, signal }: ExchangeRequest,
  who: Pick<
    Parameters<CredentialIssuing["issue"]>[0],
    "identity" | "tokenID" | "tokenExpiresAt" | "authenticatorMaximumSeconds"
  >,
): Promise<IssuedCredential> {
  try {
    return await credentials.issue({
      ...who,
      form,
      requestedSeconds,
      publicKeyInfo: certificationRequest?.publicKeyInfo,
      signal,
    });
  } catch (error) {
    throw unexpected("no_signer", "cert issuer returned an error", messageOf(error));
  }
}
