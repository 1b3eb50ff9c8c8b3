import type { Identity } from "../../../identity/identity.ts";
import { formatSeconds } from "../../../rfc3339.ts";
import type { IssuedCredential } from "../../credentials/issue-credential.ts";
import type { RequestedAuthenticator } from "./authenticator-reference.ts";
import type { ExchangeOptions, ExchangeRequest } from "./exchange.ts";
import type { ExchangeRefusal } from "./exchange-refusal.ts";

/** The first of the two events of contract 2.5. */
export function auditReceived(
  { audit }: ExchangeOptions,
  { auditID }: ExchangeRequest,
  tokenID: string,
): void {
  audit.record({
    message: "TokenCredentialRequest Token Received",
    auditID,
    fields: { tokenID },
    // The line that says how it ended takes this one along.
    mayWait: true,
  });
}

/** The second one, of a login that succeeded. */
export function auditIssued(
  { audit }: ExchangeOptions,
  { auditID, authenticator }: ExchangeRequest,
  { username, groups }: Identity,
  { notBefore, notAfter }: IssuedCredential,
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

/** What a line in the Kubernetes audit log is joined with; switched on by `audit.credentialEvents`. */
export function auditCredential(
  { audit, credentialEvents = false }: ExchangeOptions,
  { auditID, authenticator, requestedSeconds }: ExchangeRequest,
  tokenID: string,
  credential: IssuedCredential,
): void {
  if (!credentialEvents) {
    return;
  }
  const { grantedSeconds, signer } = credential;
  audit.record({
    message: "Credential Issued",
    auditID,
    fields: {
      ...(requestedSeconds === undefined ? {} : { requestedSeconds }),
      grantedSeconds,
      signer,
      credentialID: credential.credentialID(),
      authenticator: shown(authenticator),
      tokenID,
    },
  });
}

/** The second one, of a login that did not. */
export function auditRefused(
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

/** RFC 3339 in UTC, whole seconds, as `metav1.Time` prints it. */
export function rfc3339(time: Date): string {
  return formatSeconds(time.getTime());
}
