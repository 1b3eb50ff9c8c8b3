import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { CryptoKey, JWK } from "jose";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { LoopbackCertificate } from "./certificates.ts";
import { createLoopbackCertificate } from "./certificates.ts";
import { readBody, sendJson, startTlsServer } from "./tls-server.ts";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly form: URLSearchParams;
}

type Answer = (request: SeenRequest, response: ServerResponse) => unknown;

/** An issuer over TLS that says whatever a test wants, in the manner of a Supervisor by default. */
export interface ScriptedIssuer {
  readonly url: string;
  readonly caPem: string;
  readonly requests: SeenRequest[];
  /** Answers of a path in place of the default ones. */
  readonly answers: Map<string, Answer>;
  /** Changes to the discovery document; undefined leaves a member out. */
  metadata: Record<string, unknown>;
  identityProviders: unknown;
  /** Claims of ID tokens over the default ones; undefined leaves a claim out. */
  claims: Record<string, unknown>;
  /** Members of the token endpoint's answers over the default ones. */
  tokenAnswer: Record<string, unknown>;
  /** Signs with a key that is not published. */
  foreignKey: boolean;
  /** As published, without a key ID. */
  readonly publicJwk: JWK;
  sign(claims: Readonly<Record<string, unknown>>): Promise<string>;
  stop(): Promise<void>;
}

let sharedCertificate: Promise<LoopbackCertificate> | undefined;

export async function startScriptedIssuer(): Promise<ScriptedIssuer> {
  sharedCertificate ??= createLoopbackCertificate();
  const certificate = await sharedCertificate;
  const published = await generateKeyPair("ES256", { extractable: true });
  const foreign = await generateKeyPair("ES256", { extractable: true });
  const publicJwk: JWK = { ...(await exportJWK(published.publicKey)), alg: "ES256", use: "sig" };
  let nonce = "";
  let refreshes = 0;

  const server = await startTlsServer(certificate, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  const url = `${server.origin}/fd`;

  const issuer: ScriptedIssuer = {
    url,
    caPem: certificate.caPem,
    requests: [],
    answers: new Map(),
    metadata: {},
    identityProviders: {
      pinniped_identity_providers: [
        { name: "corp", type: "oidc", flows: ["browser_authcode", "cli_password"] },
        { name: "dir", type: "ldap", flows: ["cli_password", "browser_authcode"] },
        { name: "bare", type: "oidc" },
      ],
      pinniped_supported_identity_provider_types: [{ type: "oidc" }, { type: "ldap" }, { type: "github" }],
    },
    claims: {},
    tokenAnswer: {},
    foreignKey: false,
    publicJwk,
    sign: async (claims) => {
      const seconds = Math.floor(Date.now() / 1000);
      const key: CryptoKey = issuer.foreignKey ? foreign.privateKey : published.privateKey;
      return await new SignJWT({
        iss: url,
        sub: "ann",
        aud: ["pinniped-cli"],
        iat: seconds,
        exp: seconds + 120,
        username: "ann",
        ...claims,
      })
        .setProtectedHeader({ alg: "ES256", typ: "JWT" })
        .sign(key);
    },
    stop: () => server.stop(),
  };

  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(incoming.url ?? "/", url);
    const body = await readBody(incoming);
    const seen: SeenRequest = {
      method: incoming.method ?? "",
      path: pathname.replace(/^\/fd/, ""),
      query: searchParams,
      headers: incoming.headers,
      body,
      form: new URLSearchParams(body),
    };
    issuer.requests.push(seen);
    const scripted = issuer.answers.get(seen.path) ?? defaults.get(seen.path);
    if (scripted === undefined) {
      response.writeHead(404).end("no such page");
      return;
    }
    await scripted(seen, response);
  };

  const tokens = async (request: SeenRequest, response: ServerResponse): Promise<void> => {
    const grant = request.form.get("grant_type");
    if (grant === "urn:ietf:params:oauth:grant-type:token-exchange") {
      sendJson(response, 200, {
        access_token: await issuer.sign({ aud: [request.form.get("audience")], ...issuer.claims }),
        issued_token_type: "urn:ietf:params:oauth:token-type:jwt",
        token_type: "N_A",
        ...issuer.tokenAnswer,
      });
      return;
    }
    if (grant === "refresh_token") {
      refreshes += 1;
    }
    sendJson(response, 200, {
      access_token: `access-${grant}-${refreshes}`,
      token_type: "bearer",
      expires_in: 120,
      refresh_token: `refresh-${grant}-${refreshes}`,
      id_token: await issuer.sign({
        ...(grant === "authorization_code" ? { nonce } : {}),
        ...issuer.claims,
      }),
      ...issuer.tokenAnswer,
    });
  };

  const defaults = new Map<string, Answer>([
    [
      "/.well-known/openid-configuration",
      (_request, response) =>
        sendJson(response, 200, {
          issuer: url,
          authorization_endpoint: `${url}/oauth2/authorize`,
          token_endpoint: `${url}/oauth2/token`,
          jwks_uri: `${url}/jwks.json`,
          response_modes_supported: ["query", "form_post"],
          id_token_signing_alg_values_supported: ["ES256"],
          "discovery.supervisor.pinniped.dev/v1alpha1": {
            pinniped_identity_providers_endpoint: `${url}/v1alpha1/pinniped_identity_providers`,
          },
          ...issuer.metadata,
        }),
    ],
    ["/jwks.json", (_request, response) => sendJson(response, 200, { keys: [publicJwk] })],
    [
      "/v1alpha1/pinniped_identity_providers",
      (_request, response) => sendJson(response, 200, issuer.identityProviders),
    ],
    [
      "/oauth2/authorize",
      (request, response) => {
        nonce = request.query.get("nonce") ?? "";
        const location = `${request.query.get("redirect_uri")}?code=pin_ac_1&state=${request.query.get("state")}`;
        response
          .writeHead(request.headers["pinniped-username"] === undefined ? 303 : 302, { location })
          .end();
      },
    ],
    ["/oauth2/token", tokens],
  ]);
  return issuer;
}
