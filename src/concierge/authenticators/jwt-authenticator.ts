import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Authenticator } from "./authenticator.ts";
import { createDistributedClaims } from "./distributed-claims.ts";
import type { JwksSource } from "./jwks-source.ts";
import { claimOf, identityFromClaims } from "./jwt-claims.ts";
import {
  checkAlgorithms,
  CONTRACT_ALGORITHMS,
  MAXIMUM_TOKEN_BYTES,
  readUnverifiedClaims,
  verifyJwt,
} from "./jwt-verification.ts";
import type { OutboundHttp } from "./outbound-http.ts";

export interface JwtAuthenticatorOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Absent or empty: `username`. */
  readonly usernameClaim?: string | undefined;
  /** Absent or empty: `groups`. */
  readonly groupsClaim?: string | undefined;
  /** Default RS256 and ES256 (contract 4.5); only asymmetric ones are accepted. */
  readonly algorithms?: readonly string[] | undefined;
  /** Started by the caller, closed with the authenticator. */
  readonly jwks: JwksSource;
  /** For distributed claims; closed with the authenticator. */
  readonly http: OutboundHttp;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An authenticator whose keys have an age. */
export interface JwtAuthenticator extends Authenticator {
  /** Seconds since the issuer's keys were last fetched; for a metric (S5). */
  jwksAgeSeconds(): number | undefined;
}

/** The spelling of `iss` in old tokens of that issuer. */
const issuerAliases: ReadonlyMap<string, string> = new Map([
  ["https://accounts.google.com", "accounts.google.com"],
]);

/**
 * Tokens of one OIDC issuer (contract 4.5). Answers `undefined` for what is not a JWT of this issuer, throws `JwtRefusal` for
 * one of its tokens that does not verify.
 */
export function createJwtAuthenticator(options: JwtAuthenticatorOptions): JwtAuthenticator {
  const { issuer, jwks, http } = options;
  const usernameClaim = options.usernameClaim || "username";
  const groupsClaim = options.groupsClaim || "groups";
  const algorithms = options.algorithms ?? CONTRACT_ALGORITHMS;
  checkAlgorithms(algorithms);
  const alias = issuerAliases.get(issuer);
  const issuers = alias === undefined ? [issuer] : [issuer, alias];
  const distributed = createDistributedClaims({ ...options, algorithms });
  const verification = { issuers, audience: options.audience, algorithms, clock: options.clock };

  return {
    authenticate: async (token, signal) => {
      if (token.length > MAXIMUM_TOKEN_BYTES) {
        return undefined;
      }
      const tokenIssuer = claimOf(readUnverifiedClaims(token) ?? {}, "iss");
      if (typeof tokenIssuer !== "string" || !issuers.includes(tokenIssuer)) {
        return undefined;
      }
      const claims = await verifyJwt(token, jwks, verification, signal);
      return identityFromClaims(
        await distributed.resolve(claims, groupsClaim, signal),
        usernameClaim,
        groupsClaim,
      );
    },
    jwksAgeSeconds: () => jwks.ageSeconds(),
    close: () => {
      distributed.close();
      jwks.close();
      http.close();
    },
  };
}
