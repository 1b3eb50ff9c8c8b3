import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { CryptoKey, JWK, JWTHeaderParameters } from "jose";
import { createScriptedHttp } from "../../../../test/oidc/scripted-http.ts";
import { createManualClock } from "../../../clock.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import { createJwksSource } from "../jwks-source.ts";
import { createJwtAuthenticator } from "../jwt-authenticator.ts";
import type { JwtAuthenticatorOptions } from "../jwt-authenticator.ts";

export const ISSUER = "https://issuer.example";
export const JWKS = `${ISSUER}/jwks`;
export const AUDIENCE = "cluster-a";

export interface TestKey {
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

export async function makeKey(algorithm: string, kid?: string): Promise<TestKey> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), ...(kid === undefined ? {} : { kid }) };
  return { algorithm, privateKey, publicKey, jwk };
}

/** One part of a compact JWS. */
export const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JWT authenticator without a network, on a clock that stands still. */
export async function createJwtBench(
  keys: readonly TestKey[],
  options: Partial<JwtAuthenticatorOptions> = {},
) {
  const http = createScriptedHttp();
  const clock = createManualClock();
  const { signal } = new AbortController();
  http.answer(JWKS, { json: { keys: keys.map((key) => key.jwk) } });
  const jwks = createJwksSource({ url: new URL(JWKS), http, clock, log: silentLogger });
  await jwks.start(signal);
  const authenticator = createJwtAuthenticator({
    issuer: ISSUER,
    audience: AUDIENCE,
    jwks,
    http,
    clock,
    log: silentLogger,
    ...options,
  });
  const now = Math.floor(clock.now() / 1000);
  const claims = { iss: ISSUER, aud: AUDIENCE, exp: now + 300, username: "jane" };
  return {
    http,
    clock,
    now,
    claims,
    authenticator,
    login: (token: string) => authenticator.authenticate(token, signal),
    /** A claim given as undefined is left out. */
    sign: (
      extra: Readonly<Record<string, unknown>>,
      key: TestKey,
      header: Readonly<Record<string, unknown>> = {},
    ) =>
      new SignJWT({ ...claims, ...extra })
        .setProtectedHeader({ alg: key.algorithm, kid: key.jwk.kid, ...header } as JWTHeaderParameters)
        .sign(key.privateKey),
    fetches: () => http.requests.filter((request) => request.url.href === JWKS).length,
  };
}
