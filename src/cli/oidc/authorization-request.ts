import { createHash, randomBytes } from "node:crypto";
import type { LoginCall } from "./login-call.ts";
import type { ChosenFlow } from "./choose-flow.ts";
import type { Provider } from "./provider.ts";

/** The secrets of one login: against forged callbacks (state), replayed ID tokens (nonce) and stolen codes (verifier, RFC 7636). */
export interface AuthorizationSecrets {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

export function createAuthorizationSecrets(): AuthorizationSecrets {
  return {
    state: randomBytes(16).toString("hex"),
    nonce: randomBytes(16).toString("hex"),
    codeVerifier: randomBytes(32).toString("hex"),
  };
}

/** The URL of the authorization request, its parameters in alphabetical order (contract cli.md 4.6). */
export function authorizationUrl(
  { options }: Pick<LoginCall, "options">,
  provider: Pick<Provider, "authorizationEndpoint" | "formPost">,
  { flow, identityProvider }: ChosenFlow,
  secrets: AuthorizationSecrets,
  redirectUri: string,
): string {
  const url = new URL(provider.authorizationEndpoint);
  const parameters = new URLSearchParams(url.search);
  for (const [name, value] of Object.entries({
    access_type: "offline",
    client_id: options.clientId,
    code_challenge: createHash("sha256").update(secrets.codeVerifier).digest("base64url"),
    code_challenge_method: "S256",
    nonce: secrets.nonce,
    ...(identityProvider === undefined
      ? {}
      : { pinniped_idp_name: identityProvider.name, pinniped_idp_type: identityProvider.type }),
    redirect_uri: redirectUri,
    ...(flow === "browser_authcode" && provider.formPost ? { response_mode: "form_post" } : {}),
    response_type: "code",
    scope: options.scopes.toSorted().join(" "),
    state: secrets.state,
  })) {
    parameters.set(name, value);
  }
  parameters.sort();
  // Go escapes `*` too and leaves `~` alone; URLSearchParams does the opposite of both.
  url.search = parameters.toString().replaceAll("*", "%2A").replaceAll("%7E", "~");
  return url.href;
}
