import { goQuote } from "../../go-text.ts";
import { messageOf } from "../../errors.ts";
import type { HttpClient } from "../http/http-client.ts";
import { loginError, onOneLine, withAuditId } from "./failed-call.ts";
import { getDocument } from "./get-document.ts";
import { checkHttpsUrl } from "./https-url.ts";
import type { LoginCall } from "./login-call.ts";

/** What an issuer says of itself (OpenID Connect Discovery 1.0 section 3), checked. */
export interface Provider {
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  readonly jwksUri: string | undefined;
  readonly userinfoEndpoint: string | undefined;
  readonly deviceAuthorizationEndpoint: string | undefined;
  readonly revocationEndpoint: string | undefined;
  /** Whether `response_modes_supported` holds form_post. */
  readonly formPost: boolean;
  readonly signingAlgorithms: readonly string[];
  /** Where a Supervisor lists its identity providers; absent: the issuer is not a Supervisor. */
  readonly identityProvidersEndpoint: string | undefined;
  /** The whole document. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

const SUPERVISOR_DISCOVERY = "discovery.supervisor.pinniped.dev/v1alpha1";

/**
 * Discovery at login (contract cli.md 4.4); nothing of it is kept on disk. A call of our own, as is every call whose answer decides:
 * openid-client neither shows the answer's status, Audit-ID and `Date` nor compares the issuer byte by byte, and its one way of
 * client authentication per configuration does not fit the Basic-then-form rule of 4.7. It makes the calls where none of that
 * matters: user info, revocation, start of the device flow.
 */
export async function discoverProvider(
  call: Pick<LoginCall, "context" | "http" | "signal"> & { readonly options: { readonly issuer: string } },
): Promise<Provider> {
  const { issuer } = call.options;
  checkHttpsUrl("issuer", issuer);
  call.context.log.info("Pinniped: Performing OIDC discovery", { issuer });
  const metadata = await fetchMetadata(call.http, issuer, call.signal).catch((error: unknown) => {
    throw loginError(`could not perform OIDC discovery for ${goQuote(issuer)}: ${messageOf(error)}`, error);
  });
  const provider: Provider = {
    issuer,
    authorizationEndpoint: text(metadata["authorization_endpoint"]) ?? "",
    tokenEndpoint: text(metadata["token_endpoint"]) ?? "",
    jwksUri: text(metadata["jwks_uri"]),
    userinfoEndpoint: text(metadata["userinfo_endpoint"]),
    deviceAuthorizationEndpoint: text(metadata["device_authorization_endpoint"]),
    revocationEndpoint: text(metadata["revocation_endpoint"]),
    formPost: texts(metadata["response_modes_supported"]).includes("form_post"),
    signingAlgorithms: texts(metadata["id_token_signing_alg_values_supported"]),
    identityProvidersEndpoint: identityProvidersEndpoint(metadata),
    metadata,
  };
  checkHttpsUrl("discovered authorize URL from issuer", provider.authorizationEndpoint);
  checkHttpsUrl("discovered token URL from issuer", provider.tokenEndpoint);
  if (provider.jwksUri !== undefined) {
    checkHttpsUrl("discovered JWKS URL from issuer", provider.jwksUri);
  }
  if (provider.identityProvidersEndpoint?.startsWith(issuer) === false) {
    throw loginError(
      `the Pinniped IDP discovery document must always be hosted by the issuer: ${goQuote(issuer)}`,
    );
  }
  return provider;
}

async function fetchMetadata(
  http: HttpClient,
  issuer: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const answer = await getDocument(http, url, signal);
  if (answer.status !== 200) {
    throw loginError(
      withAuditId(`${answer.statusLine}: ${onOneLine(answer.body, 300)}`.replace(/: $/, ""), answer.auditId),
    );
  }
  const metadata = parseObject(answer.body);
  if (metadata === undefined) {
    throw loginError("the answer is not a JSON object");
  }
  const returned = text(metadata["issuer"]) ?? "";
  if (returned !== issuer) {
    throw loginError(
      `the issuer in the answer must be the same text, expected ${goQuote(issuer)}, got ${goQuote(returned)}`,
    );
  }
  return metadata;
}

function identityProvidersEndpoint(metadata: Readonly<Record<string, unknown>>): string | undefined {
  const extension = metadata[SUPERVISOR_DISCOVERY];
  if (typeof extension !== "object" || extension === null) {
    return undefined;
  }
  return text((extension as Record<string, unknown>)["pinniped_identity_providers_endpoint"]);
}

/** A JSON object, or undefined for anything else. */
export function parseObject(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** A member that is a text and not empty. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
