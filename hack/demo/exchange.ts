import { createHash, X509Certificate } from "node:crypto";
import { type Call, call, type Caller } from "../../test/integration/harness/http.ts";
import { DemoFailure } from "./failure.ts";

const LOGIN = "login.concierge.pinniped.dev/v1alpha1";
const IDENTITY = "identity.concierge.pinniped.dev/v1alpha1";
export const AUTHENTICATION = "authentication.concierge.pinniped.dev/v1alpha1";

/** A server of our APIs: Lanyard itself, or a kube-apiserver in front of it. */
export type Server = Pick<Call, "server" | "caPem">;

export interface Certificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface UserInfo {
  readonly username: string;
  readonly groups?: readonly string[];
}

/** A client certificate for a token, or why there is none. */
export async function exchange(
  server: Server,
  authenticator: string,
  token: string,
): Promise<Certificate | string> {
  const status = await create(server, LOGIN, "TokenCredentialRequest", {
    token,
    authenticator: {
      apiGroup: AUTHENTICATION.split("/")[0],
      kind: "JWTAuthenticator",
      name: authenticator,
    },
  });
  const { credential, message } = status as {
    readonly message?: string;
    readonly credential?: { readonly clientCertificateData: string; readonly clientKeyData: string };
  };
  return credential === undefined
    ? (message ?? "no reason was given")
    : { certificatePem: credential.clientCertificateData, privateKeyPem: credential.clientKeyData };
}

/** Whom the server takes the holder of this certificate for. */
export async function whoAmI(server: Server, caller: Caller): Promise<UserInfo> {
  const status = await create(server, IDENTITY, "WhoAmIRequest", {}, caller);
  return (status as { readonly kubernetesUserInfo: { readonly user: UserInfo } }).kubernetesUserInfo.user;
}

async function create(
  server: Server,
  apiVersion: string,
  kind: string,
  spec: object,
  caller: Caller = {},
): Promise<unknown> {
  const answer = await call({
    ...server,
    path: `/apis/${apiVersion}/${kind.toLowerCase()}s`,
    body: JSON.stringify({ apiVersion, kind, spec }),
    caller,
  });
  if (answer.status !== 201) {
    const { message } = parseObject(answer.text) as { readonly message?: string };
    throw new DemoFailure(`${kind} was answered with ${answer.status}: ${message ?? "no message"}`);
  }
  return (parseObject(answer.text) as { readonly status: unknown }).status;
}

function parseObject(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** The facts about a certificate that a person wants to know. */
export function describeCertificate({ certificatePem }: Certificate): Readonly<Record<string, string>> {
  const certificate = new X509Certificate(certificatePem);
  const { O: groups } = certificate.toLegacyObject().subject as { readonly O?: string | string[] };
  const seconds = Math.round((certificate.validToDate.getTime() - Date.now()) / 1000);
  return {
    subject: certificate.subject.replaceAll("\n", ", "),
    groups: [groups ?? []].flat().join(", "),
    lifetime: `until ${certificate.validToDate.toISOString().slice(11, 19)} UTC, ${seconds} seconds from now`,
    key: "P-256, made for this one certificate",
  };
}

/** How a token is told in logs, and here: never itself. */
export function tokenDigest(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
