import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";
import { createLoopbackCertificate } from "./certificates.ts";
import { grantWithoutConsent } from "./issuer.ts";
import { readBody, startTlsServer } from "./tls-server.ts";

/** An issuer for command-line clients that is no Supervisor: certified provider code with device flow, revocation and refresh. */
export interface CliIssuer {
  readonly url: string;
  readonly caPem: string;
  readonly clientId: string;
  /** How often a path was asked for so far. */
  hits(path: string): number;
  stop(): Promise<void>;
}

export interface CliIssuerOptions {
  /** Seconds an ID token lives; default 3,600. */
  readonly idTokenSeconds?: number;
  /** Default: the device grant, revocation and user info are offered. */
  readonly plain?: boolean;
}

/** Any username logs in; it belongs to the group `developers`. */
export async function startCliIssuer(options: CliIssuerOptions = {}): Promise<CliIssuer> {
  const certificate = await createLoopbackCertificate();
  const clientId = "lanyard-cli";
  const hits = new Map<string, number>();
  const pair = await generateKeyPair("ES256", { extractable: true });
  const key = { ...(await exportJWK(pair.privateKey)), kid: "k-1", alg: "ES256", use: "sig" };
  let handle: (request: IncomingMessage, response: ServerResponse) => unknown = () => {};
  const server = await startTlsServer(certificate, (request, response) => {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    hits.set(path, (hits.get(path) ?? 0) + 1);
    return handle(request, response);
  });
  const extras = options.plain !== true;
  const provider = new Provider(server.origin, {
    jwks: { keys: [key] },
    clients: [
      {
        client_id: clientId,
        application_type: "native",
        redirect_uris: ["http://127.0.0.1/callback"],
        response_types: ["code"],
        grant_types: [
          "authorization_code",
          "refresh_token",
          ...(extras ? ["urn:ietf:params:oauth:grant-type:device_code"] : []),
        ],
        token_endpoint_auth_method: "none",
        id_token_signed_response_alg: "ES256",
      },
    ],
    cookies: { keys: [randomBytes(24).toString("hex")] },
    claims: { openid: ["sub", "username", "groups"] },
    conformIdTokenClaims: false,
    scopes: ["openid", "offline_access"],
    pkce: { required: () => true },
    ttl: {
      IdToken: options.idTokenSeconds ?? 3600,
      AccessToken: 600,
      RefreshToken: 3600,
      DeviceCode: 300,
      Session: 3600,
      Grant: 3600,
      Interaction: 600,
    },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: extras, allowedPolicy: () => true },
      userinfo: { enabled: extras },
      deviceFlow: {
        enabled: extras,
        userCodeInputSource: (context, form) => {
          context.body = form;
        },
        userCodeConfirmSource: (context, form) => {
          context.body = form;
        },
        successSource: (context) => {
          context.body = "logged in";
        },
      },
    },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, username: id, groups: ["developers"] }),
    }),
    loadExistingGrant: grantWithoutConsent,
  });
  const callback = provider.callback();
  handle = async (request, response) => {
    if (request.url?.startsWith("/interaction/") !== true) {
      await callback(request, response);
      return;
    }
    if (request.method !== "POST") {
      response.writeHead(200, { "content-type": "text/html" });
      response.end('<form method="post" action=""><input name="username"></form>');
      return;
    }
    const accountId = new URLSearchParams(await readBody(request)).get("username") ?? "";
    await provider.interactionFinished(request, response, { login: { accountId }, consent: {} });
  };
  return {
    url: server.origin,
    caPem: certificate.caPem,
    clientId,
    hits: (path) => hits.get(path) ?? 0,
    stop: () => server.stop(),
  };
}
