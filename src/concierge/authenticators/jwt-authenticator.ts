import type { Clock } from "../../clock.ts";
import { claimOf, identityFromClaims, namedClaims } from "../../identity/claims-mapping.ts";
import type { ClaimsMappingRules } from "../../identity/claims-mapping.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Authenticator } from "./authenticator.ts";
import { createDistributedClaims } from "./distributed-claims.ts";
import type { JwksSource } from "./jwks-source.ts";
import {
  checkAlgorithms,
  CONTRACT_ALGORITHMS,
  MAXIMUM_TOKEN_BYTES,
  readUnverifiedJwt,
  verifyJwt,
} from "./jwt-verification.ts";
import type { OutboundHttp } from "./outbound-http.ts";

export interface JwtAuthenticatorOptions {
  readonly issuer: string;
  readonly audience: string;
  /** How claims become a user; default: the claims `username` and `groups`. */
  readonly rules?: ClaimsMappingRules | undefined;
  /** Default RS256 and ES256 (contract 4.5); only asymmetric ones are accepted. */
  readonly algorithms?: readonly string[] | undefined;
  /** Started by the caller, closed with the authenticator. */
  readonly jwks: JwksSource;
  /** For distributed claims; closed with the authenticator. */
  readonly http: OutboundHttp;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The spelling of `iss` in old tokens of that issuer. */
const issuerAliases: ReadonlyMap<string, string> = new Map([
  ["https://accounts.google.com", "accounts.google.com"],
]);

/**
 * Tokens of one OIDC issuer (contract 4.5). Answers `undefined` for what is not a JWT of this issuer, throws `JwtRefusal` for
 * one of its tokens that does not verify, `ClaimsRefusal` for one whose claims make no user.
 */
export function createJwtAuthenticator(options: JwtAuthenticatorOptions): Authenticator {
  const { issuer, jwks, http } = options;
  const rules = options.rules ?? namedClaims("username", "groups");
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
      const unverified = readUnverifiedJwt(token);
      if (unverified === undefined) {
        return undefined;
      }
      const tokenIssuer = claimOf(unverified.claims, "iss");
      if (typeof tokenIssuer !== "string" || !issuers.includes(tokenIssuer)) {
        return undefined;
      }
      const claims = await verifyJwt(unverified, jwks, verification, signal);
      // Expressions see the token's own claims; only a claim named for groups is looked for elsewhere (contract 4.5).
      const resolved =
        typeof rules.groups === "string" ? await distributed.resolve(claims, rules.groups, signal) : claims;
      const expiry = claimOf(claims, "exp");
      return {
        ...identityFromClaims(resolved, rules),
        ...(typeof expiry === "number" ? { tokenExpiresAt: expiry * 1000 } : {}),
      };
    },
    close: () => {
      distributed.close();
      jwks.close();
      http.close();
    },
  };
}
