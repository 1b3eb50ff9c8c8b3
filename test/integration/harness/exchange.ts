import type { Installation } from "./concierge.ts";
import type { Answer, Caller } from "./http.ts";

export const loginGroup = "login.concierge.pinniped.dev";
export const identityGroup = "identity.concierge.pinniped.dev";
export const authenticationGroup = "authentication.concierge.pinniped.dev";
export const exchangePath = `/apis/${loginGroup}/v1alpha1/tokencredentialrequests`;
export const whoAmIPath = `/apis/${identityGroup}/v1alpha1/whoamirequests`;

/** Whom a token is shown to. */
export interface AuthenticatorName {
  readonly kind: "JWTAuthenticator" | "WebhookAuthenticator";
  readonly name: string;
}

/** `spec.authenticator`, as requests and audit events hold it. */
export function authenticatorReference({ kind, name }: AuthenticatorName): object {
  return { apiGroup: authenticationGroup, kind, name };
}

export function exchangeObject(token: string, authenticator: AuthenticatorName): object {
  return {
    apiVersion: `${loginGroup}/v1alpha1`,
    kind: "TokenCredentialRequest",
    spec: { token, authenticator: authenticatorReference(authenticator) },
  };
}

/** What every answer begins with (contract 2.1): nothing of the request is in it. */
export const exchangeAnswerStart = `{"kind":"TokenCredentialRequest","apiVersion":"${loginGroup}/v1alpha1","metadata":{"creationTimestamp":null},"spec":{"authenticator":{"apiGroup":null,"kind":"","name":""}},"status":`;

/** The whole answer to everything that could not be authenticated. */
export const exchangeFailed = `${exchangeAnswerStart}{"message":"authentication failed"}}\n`;

/** What an exchange buys, ready to be shown at a handshake. */
export interface IssuedCertificate extends Caller {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly expirationTimestamp: string;
}

/** Reads a successful answer; anything else is an error with the body in it. */
export function issuedCertificate(answer: Answer): IssuedCertificate {
  const object = JSON.parse(answer.text) as {
    readonly status?: { readonly credential?: Readonly<Record<string, string>> };
  };
  const credential = object.status?.credential;
  if (answer.status !== 201 || credential === undefined) {
    throw new Error(`no credential: ${answer.status} ${answer.text}`);
  }
  return {
    certificatePem: credential["clientCertificateData"] ?? "",
    privateKeyPem: credential["clientKeyData"] ?? "",
    expirationTimestamp: credential["expirationTimestamp"] ?? "",
  };
}

/** Anonymous, through the kube-apiserver. */
export function postExchange(
  installation: Installation,
  token: string,
  authenticator: AuthenticatorName,
): Promise<Answer> {
  return installation.api(exchangePath, { body: JSON.stringify(exchangeObject(token, authenticator)) });
}

export async function exchange(
  installation: Installation,
  token: string,
  authenticator: AuthenticatorName,
): Promise<IssuedCertificate> {
  return issuedCertificate(await postExchange(installation, token, authenticator));
}

/** `status.kubernetesUserInfo.user` of a WhoAmIRequest, or of a SelfSubjectReview's `status.userInfo`. */
export interface SeenUser {
  readonly username: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export const whoAmIBody = JSON.stringify({ kind: "WhoAmIRequest", apiVersion: `${identityGroup}/v1alpha1` });

/** Reads the answer to a WhoAmIRequest. */
export function seenUser(answer: Answer): SeenUser {
  if (answer.status !== 201) {
    throw new Error(`no user: ${answer.status} ${answer.text}`);
  }
  const object = JSON.parse(answer.text) as {
    readonly status: { readonly kubernetesUserInfo: { readonly user: SeenUser } };
  };
  return object.status.kubernetesUserInfo.user;
}

/** Whom the Concierge sees behind the kube-apiserver. */
export async function whoAmI(
  installation: Installation,
  caller: Caller,
  headers: Readonly<Record<string, string | string[]>> = {},
): Promise<SeenUser> {
  return seenUser(await installation.api(whoAmIPath, { body: whoAmIBody, caller, headers }));
}
