import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { CryptoKey, JWK } from "jose";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

/** Somebody whom the Supervisor knows. */
export interface SupervisorUser {
  readonly username: string;
  readonly password: string;
  readonly groups: readonly string[];
}

/** Seconds; the defaults of contract cli.md 4.7. */
export interface SupervisorLifetimes {
  readonly idToken: number;
  readonly accessToken: number;
  readonly session: number;
}

/** An OAuth error of the token endpoint. */
export class GrantRefused extends Error {
  readonly code: string;
  readonly status: number;
  constructor(code: string, description: string, status = 400) {
    super(description);
    this.name = "GrantRefused";
    this.code = code;
    this.status = status;
  }
}

interface Session {
  readonly user: SupervisorUser;
  readonly scopes: readonly string[];
  readonly clientId: string;
  readonly ends: number;
  readonly authTime: number;
  dead: boolean;
}

interface Code {
  readonly session: Session;
  readonly challenge: string;
  readonly redirectUri: string;
  readonly nonce: string | undefined;
  used: boolean;
}

/** The token endpoint's answer, and to whom. */
export interface Granted {
  readonly answer: object;
  readonly username: string;
}

/** What a Supervisor remembers: codes, access tokens of two minutes, refresh tokens that work once (supervisor.md 5). */
export interface SupervisorSessions {
  /** The only key, as `jwks.json` shows it. */
  readonly publicKey: JWK;
  issueCode(user: SupervisorUser, request: URLSearchParams): string;
  redeemCode(form: URLSearchParams): Promise<Granted>;
  /** A second use of a refresh token ends the whole session, as a stolen one must. */
  refresh(form: URLSearchParams): Promise<Granted>;
  exchange(form: URLSearchParams): Promise<Granted>;
  /** RFC 7009: an unknown token is no error. */
  revoke(token: string): void;
  /** Sessions that somebody could go on with. */
  living(): number;
  /** Ends all of them, as an administrator would. */
  endAll(): void;
}

export async function createSupervisorSessions(
  issuer: string,
  lifetimes: SupervisorLifetimes,
): Promise<SupervisorSessions> {
  const pair = await generateKeyPair("ES256", { extractable: true });
  const keyId = randomUUID();
  const codes = new Map<string, Code>();
  const accessTokens = new Map<string, { readonly session: Session; readonly ends: number }>();
  const refreshTokens = new Map<string, { readonly session: Session; used: boolean }>();
  const seconds = (): number => Math.floor(Date.now() / 1000);
  const random = (prefix: string): string => `${prefix}_${randomBytes(32).toString("base64url")}`;

  const tokens = async (session: Session, nonce: string | undefined): Promise<Granted> => {
    const access = random("pin_at");
    accessTokens.set(access, { session, ends: seconds() + lifetimes.accessToken });
    const mayRefresh = session.scopes.includes("offline_access");
    const refresh = random("pin_rt");
    if (mayRefresh) {
      refreshTokens.set(refresh, { session, used: false });
    }
    const answer = {
      access_token: access,
      token_type: "bearer",
      expires_in: lifetimes.accessToken,
      scope: session.scopes.join(" "),
      id_token: await idToken(issuer, keyId, pair.privateKey, session, {
        aud: session.clientId,
        at_hash: createHash("sha256").update(access).digest().subarray(0, 16).toString("base64url"),
        ends: seconds() + lifetimes.idToken,
        ...(nonce === undefined ? {} : { nonce }),
      }),
      ...(mayRefresh ? { refresh_token: refresh } : {}),
    };
    return { answer, username: session.user.username };
  };
  const alive = (session: Session): boolean => !session.dead && session.ends > seconds();

  return {
    publicKey: { ...(await exportJWK(pair.publicKey)), kid: keyId, alg: "ES256", use: "sig" },
    issueCode: (user, request) => {
      const code = random("pin_ac");
      codes.set(code, {
        session: {
          user,
          clientId: request.get("client_id") ?? "",
          scopes: (request.get("scope") ?? "").split(" "),
          authTime: seconds(),
          ends: seconds() + lifetimes.session,
          dead: false,
        },
        challenge: request.get("code_challenge") ?? "",
        redirectUri: request.get("redirect_uri") ?? "",
        nonce: request.get("nonce") ?? undefined,
        used: false,
      });
      return code;
    },
    redeemCode: async (form) => {
      const code = codes.get(form.get("code") ?? "");
      if (code === undefined || !alive(code.session)) {
        throw new GrantRefused("invalid_grant", "The provided authorization grant is invalid.");
      }
      if (code.used) {
        code.session.dead = true;
        throw new GrantRefused("invalid_grant", "The authorization code has already been used.");
      }
      if (code.redirectUri !== form.get("redirect_uri")) {
        throw new GrantRefused("invalid_grant", "The 'redirect_uri' is not that of the authorize request.");
      }
      const verifier = form.get("code_verifier") ?? "";
      if (createHash("sha256").update(verifier).digest("base64url") !== code.challenge) {
        throw new GrantRefused("invalid_grant", "The PKCE code challenge did not match the code verifier.");
      }
      code.used = true;
      return await tokens(code.session, code.nonce);
    },
    refresh: async (form) => {
      const held = refreshTokens.get(form.get("refresh_token") ?? "");
      if (held === undefined || held.used || !alive(held.session)) {
        if (held !== undefined) {
          held.session.dead = true;
        }
        throw new GrantRefused("invalid_grant", "The refresh token is malformed or not valid.");
      }
      held.used = true;
      for (const [token, { session }] of accessTokens) {
        if (session === held.session) {
          accessTokens.delete(token);
        }
      }
      return await tokens(held.session, undefined);
    },
    exchange: async (form) => {
      const audience = form.get("audience") ?? "";
      const held = accessTokens.get(form.get("subject_token") ?? "");
      if (held === undefined || held.ends <= seconds() || !alive(held.session)) {
        throw new GrantRefused("request_unauthorized", "The request could not be authorized.", 401);
      }
      if (
        audience === "" ||
        audience.includes(".pinniped.dev") ||
        !held.session.scopes.includes("pinniped:request-audience") ||
        form.get("subject_token_type") !== "urn:ietf:params:oauth:token-type:access_token" ||
        form.get("requested_token_type") !== "urn:ietf:params:oauth:token-type:jwt"
      ) {
        throw new GrantRefused("invalid_request", "The request is not one for a token of an audience.");
      }
      const answer = {
        access_token: await idToken(issuer, keyId, pair.privateKey, held.session, {
          aud: audience,
          ends: seconds() + lifetimes.idToken,
        }),
        issued_token_type: "urn:ietf:params:oauth:token-type:jwt",
        token_type: "N_A",
      };
      return { answer, username: held.session.user.username };
    },
    revoke: (token) => {
      const session = accessTokens.get(token)?.session ?? refreshTokens.get(token)?.session;
      if (session !== undefined) {
        session.dead = true;
      }
    },
    living: () => new Set([...refreshTokens.values()].map(({ session }) => session).filter(alive)).size,
    endAll: () => {
      for (const { session } of [...refreshTokens.values(), ...accessTokens.values()]) {
        session.dead = true;
      }
    },
  };
}

async function idToken(
  issuer: string,
  keyId: string,
  key: CryptoKey,
  { user, scopes, authTime }: Session,
  claims: Readonly<Record<string, unknown>> & { readonly ends: number },
): Promise<string> {
  const { ends, ...more } = claims;
  return await new SignJWT({
    iss: issuer,
    sub: `https://upstream.example.com?sub=${user.username}`,
    iat: Math.floor(Date.now() / 1000),
    exp: ends,
    auth_time: authTime,
    jti: randomUUID(),
    ...(scopes.includes("username") ? { username: user.username } : {}),
    ...(scopes.includes("groups") ? { groups: [...user.groups] } : {}),
    ...more,
  })
    .setProtectedHeader({ alg: "ES256", kid: keyId })
    .sign(key);
}
