import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { CryptoKey, JWK } from "jose";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { Configuration } from "oidc-provider";
import { Provider } from "oidc-provider";
import { Agent, request } from "undici";
import type { Clock } from "../../src/clock.ts";
import type { LoopbackCertificate } from "./certificates.ts";
import { createLoopbackCertificate } from "./certificates.ts";
import { readBody, startTlsServer } from "./tls-server.ts";

export interface IssuerUser {
  readonly username: string;
  readonly groups?: readonly string[];
  /** Further claims of the ID token. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

export interface IssuerOptions {
  readonly users: readonly IssuerUser[];
  /** The client ID, which is the audience of ID tokens; default `lanyard`. */
  readonly clientId?: string;
  /** Default `username`. */
  readonly usernameClaim?: string;
  /** Default `groups`. */
  readonly groupsClaim?: string;
  /** Signature algorithms with a key; the first signs ID tokens. Default RS256 and ES256. */
  readonly algorithms?: readonly ("RS256" | "ES256" | "PS256" | "ES384")[];
  /** Default: a fresh CA and certificate for 127.0.0.1 and localhost. */
  readonly certificate?: LoopbackCertificate;
  /** The host in the issuer's URL, one that the certificate names; default `127.0.0.1`. */
  readonly host?: string;
  /** The address to listen on; default 127.0.0.1. */
  readonly listenAddress?: string;
  /** Default: any free port. */
  readonly port?: number;
  /** The times in tokens of `signToken`; the login flow goes by the machine's clock. */
  readonly clock?: Clock;
  /** Seconds an ID token lives; default 3,600. */
  readonly idTokenSeconds?: number;
  /** Redirect URIs that other clients may use with this client ID. */
  readonly redirectUris?: readonly string[];
  /** Whether it offers what a CLI can use: refresh tokens for every login, device authorization and revocation; default false. */
  readonly forPrograms?: boolean;
}

export interface SignTokenOptions {
  readonly algorithm?: string;
  /** Default: the key's own; null leaves it out. */
  readonly keyId?: string | null;
  /** Instead of the issuer's key. */
  readonly key?: CryptoKey | Uint8Array;
}

/** An OIDC issuer on loopback: certified provider code, real flow, keys that can be changed. */
export interface TestIssuer {
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly caPem: string;
  /** Runs the authorization code flow with PKCE for one of the users, over HTTP. */
  getIdToken(user: { readonly username: string }): Promise<string>;
  /**
   * Signs claims with the issuer's key. `iss`, `aud`, `iat` and `exp` (in 5 minutes) are filled in; a claim given as
   * undefined is left out.
   */
  signToken(claims: Readonly<Record<string, unknown>>, options?: SignTokenOptions): Promise<string>;
  /** Withdraws all keys and makes new ones; `keepOld` publishes the old ones still. */
  rotateKeys(options?: { readonly keepOld?: boolean }): Promise<void>;
  /** The public keys as published. */
  publicKeys(): readonly JWK[];
  /** How often a path was asked for so far. */
  hits(path: string): number;
  stop(): Promise<void>;
  /** Listens again on the same port after `stop`. */
  start(): Promise<void>;
}

interface SigningKey {
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly privateJwk: JWK;
  readonly publicJwk: JWK;
}

const REDIRECT_URI = "http://127.0.0.1/callback";
const DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code";

export async function startIssuer(options: IssuerOptions): Promise<TestIssuer> {
  const certificate = options.certificate ?? (await createLoopbackCertificate());
  const clientId = options.clientId ?? "lanyard";
  const algorithms = options.algorithms ?? ["RS256", "ES256"];
  const cookieKeys = [randomBytes(24).toString("hex")];
  const hitsByPath = new Map<string, number>();
  let keys = await createKeys(algorithms);
  let handle: (request: IncomingMessage, response: ServerResponse) => unknown = () => {};

  const server = await startTlsServer(
    certificate,
    (request, response) => {
      const path = (request.url ?? "/").split("?")[0] ?? "/";
      hitsByPath.set(path, (hitsByPath.get(path) ?? 0) + 1);
      return handle(request, response);
    },
    options.port,
    options.listenAddress,
  );
  const issuerUrl = `https://${options.host ?? "127.0.0.1"}:${server.port}`;
  const build = (): void => {
    handle = createProviderHandler(issuerUrl, clientId, keys, cookieKeys, options);
  };
  build();

  return {
    issuerUrl,
    clientId,
    caPem: certificate.caPem,
    getIdToken: ({ username }) => runCodeFlow(issuerUrl, clientId, certificate.caPem, username),
    signToken: async (claims, signing = {}) => {
      const algorithm = signing.algorithm ?? algorithms[0] ?? "RS256";
      const key = keys.find((candidate) => candidate.algorithm === algorithm) ?? keys[0];
      const seconds = Math.floor((options.clock?.now() ?? Date.now()) / 1000);
      const keyId = signing.keyId === undefined ? key?.publicJwk.kid : (signing.keyId ?? undefined);
      const signingKey = signing.key ?? key?.privateKey;
      if (signingKey === undefined) {
        throw new Error("the issuer has no key");
      }
      return await new SignJWT({ iss: issuerUrl, aud: clientId, iat: seconds, exp: seconds + 300, ...claims })
        .setProtectedHeader({ alg: algorithm, ...(keyId === undefined ? {} : { kid: keyId }) })
        .sign(signingKey);
    },
    rotateKeys: async ({ keepOld = false } = {}) => {
      const fresh = await createKeys(algorithms);
      keys = keepOld ? [...fresh, ...keys] : fresh;
      build();
    },
    publicKeys: () => keys.map((key) => key.publicJwk),
    hits: (path) => hitsByPath.get(path) ?? 0,
    stop: () => server.stop(),
    start: () => server.start(),
  };
}

async function createKeys(algorithms: readonly string[]): Promise<SigningKey[]> {
  return await Promise.all(
    algorithms.map(async (algorithm) => {
      const pair = await generateKeyPair(algorithm, { extractable: true });
      const details = { kid: randomBytes(8).toString("hex"), alg: algorithm, use: "sig" };
      return {
        algorithm,
        privateKey: pair.privateKey,
        privateJwk: { ...(await exportJWK(pair.privateKey)), ...details },
        publicJwk: { ...(await exportJWK(pair.publicKey)), ...details },
      };
    }),
  );
}

function createProviderHandler(
  issuerUrl: string,
  clientId: string,
  keys: readonly SigningKey[],
  cookieKeys: string[],
  options: IssuerOptions,
): (request: IncomingMessage, response: ServerResponse) => unknown {
  const usernameClaim = options.usernameClaim ?? "username";
  const groupsClaim = options.groupsClaim ?? "groups";
  const extraClaims = options.users.flatMap((user) => Object.keys(user.claims ?? {}));
  const configuration: Configuration = {
    jwks: { keys: keys.map((key) => key.privateJwk) },
    clients: [
      {
        client_id: clientId,
        application_type: "native",
        redirect_uris: [REDIRECT_URI, ...(options.redirectUris ?? [])],
        response_types: ["code"],
        grant_types: ["authorization_code", "refresh_token", ...(options.forPrograms ? [DEVICE_CODE] : [])],
        token_endpoint_auth_method: "none",
        id_token_signed_response_alg: options.algorithms?.[0] ?? "RS256",
      },
    ],
    cookies: { keys: cookieKeys },
    claims: { openid: ["sub", usernameClaim, groupsClaim, ...extraClaims] },
    conformIdTokenClaims: false,
    scopes: ["openid", "offline_access"],
    pkce: { required: () => true },
    ttl: {
      IdToken: options.idTokenSeconds ?? 3600,
      AccessToken: 3600,
      Session: 3600,
      Grant: 3600,
      Interaction: 600,
    },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: options.forPrograms === true },
      revocation: { enabled: options.forPrograms === true },
    },
    ...(options.forPrograms === true
      ? { issueRefreshToken: (_context, client) => client.grantTypeAllowed("refresh_token") }
      : {}),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, id) => {
      const user = options.users.find((candidate) => candidate.username === id);
      return user === undefined
        ? undefined
        : {
            accountId: id,
            claims: () => ({
              sub: id,
              [usernameClaim]: id,
              ...(user.groups === undefined ? {} : { [groupsClaim]: [...user.groups] }),
              ...user.claims,
            }),
          };
    },
    // There is nobody to ask for consent: the client is the issuer's own.
    loadExistingGrant: grantWithoutConsent,
  };
  const provider = new Provider(issuerUrl, configuration);
  const callback = provider.callback();
  return (incoming, response) =>
    incoming.url?.startsWith("/interaction/") === true
      ? answerInteraction(provider, incoming, response, options.users)
      : callback(incoming, response);
}

/** A login page without a password: a form on GET, the login on POST. */
async function answerInteraction(
  provider: Provider,
  incoming: IncomingMessage,
  response: ServerResponse,
  users: readonly IssuerUser[],
): Promise<void> {
  try {
    if (incoming.method !== "POST") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
      response.end(
        '<!doctype html><form method="post"><input name="username"><button>Log in</button></form>',
      );
      return;
    }
    const username = new URLSearchParams(await readBody(incoming)).get("username") ?? "";
    if (!users.some((user) => user.username === username)) {
      response.writeHead(403).end("no such user");
      return;
    }
    // Native clients must be shown a page in any case (RFC 8252 section 8.6): this was it.
    await provider.interactionFinished(incoming, response, { login: { accountId: username }, consent: {} });
  } catch (error) {
    response.writeHead(500).end(error instanceof Error ? error.message : "failed");
  }
}

/** A browser's part of the flow: redirects with cookies, the login form, the code; then the client's part, code for token. */
async function runCodeFlow(
  issuerUrl: string,
  clientId: string,
  caPem: string,
  username: string,
): Promise<string> {
  const agent = new Agent({ allowH2: false, connect: { ca: caPem } });
  const cookies = new Map<string, string>();
  const visit = async (
    url: URL,
    form?: Record<string, string>,
  ): Promise<{ location: URL | undefined; text: string }> => {
    const answer = await request(url, {
      dispatcher: agent,
      method: form === undefined ? "GET" : "POST",
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
        ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
      },
      body: form === undefined ? null : new URLSearchParams(form).toString(),
    });
    for (const cookie of [answer.headers["set-cookie"] ?? []].flat()) {
      const pair = /^(?<name>[^=;]+)=(?<value>[^;]*)/.exec(cookie)?.groups;
      if (pair?.["name"] !== undefined) {
        cookies.set(pair["name"], pair["value"] ?? "");
      }
    }
    const text = await answer.body.text();
    const location = answer.headers["location"];
    if (answer.statusCode >= 400) {
      throw new Error(`${url.pathname} answered ${answer.statusCode}: ${text.slice(0, 500)}`);
    }
    return { location: typeof location === "string" ? new URL(location, url) : undefined, text };
  };

  try {
    const verifier = randomBytes(32).toString("base64url");
    const state = randomBytes(16).toString("hex");
    let url = new URL("/auth", issuerUrl);
    url.search = new URLSearchParams({
      client_id: clientId,
      redirect_uri: REDIRECT_URI,
      response_type: "code",
      scope: "openid",
      state,
      nonce: randomBytes(16).toString("hex"),
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    }).toString();
    for (let step = 0; step < 10 && !url.href.startsWith(REDIRECT_URI); step++) {
      const page = await visit(url);
      const next = page.location ?? (await visit(url, { username })).location;
      if (next === undefined) {
        throw new Error(`the login stopped at ${url.pathname}`);
      }
      url = next;
    }
    const code = url.searchParams.get("code");
    if (code === null || url.searchParams.get("state") !== state) {
      throw new Error(
        `the login ended without a code: ${url.searchParams.get("error_description") ?? url.pathname}`,
      );
    }
    const { text } = await visit(new URL("/token", issuerUrl), {
      grant_type: "authorization_code",
      client_id: clientId,
      code,
      redirect_uri: REDIRECT_URI,
      code_verifier: verifier,
    });
    const { id_token: idToken } = JSON.parse(text) as { readonly id_token?: string };
    if (idToken === undefined) {
      throw new Error("the token endpoint gave no ID token");
    }
    return idToken;
  } finally {
    await agent.close();
  }
}

/** Every client has what it asks for. */
export const grantWithoutConsent: NonNullable<Configuration["loadExistingGrant"]> = async (context) => {
  const { client, session, provider } = context.oidc;
  if (client === undefined || session?.accountId === undefined) {
    return undefined;
  }
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid offline_access");
  await grant.save();
  return grant;
};
