import { randomUUID, sign } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";
import type { ReadonlyHolder } from "../state/holder.ts";
import type { BearerKeys } from "../state/proxy.ts";
import { bearerHeader, encodeJson, MAXIMUM_BEARER_BYTES } from "./bearer-token-format.ts";
import type { BearerClaims } from "./bearer-token-format.ts";
import type { Lifetime } from "./signer.ts";

/** A bearer credential for the impersonation proxy, as it goes into `status.credential.token`. */
export interface BearerCredential {
  readonly token: string;
  /** Its ID in audit lines and in the deny list, there as `JTI=<jti>`. */
  readonly jti: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface BearerRequest {
  readonly identity: Identity;
  readonly lifetime: Lifetime;
  /** Lower-case hex SHA-256 of the token that it is bought with (contract 2.5). */
  readonly tokenID: string;
}

/**
 * Identity in, bearer credential out (S9), signed with the key that signs at the moment. Refusals, with messages that may
 * stand in an audit line: `bearer.noKey`, `bearer.noAudience`, `bearer.uidUnsupported`, `bearer.lifetime`,
 * `bearer.tooLarge`.
 */
export function createBearerIssuer(options: {
  readonly clock: Clock;
  readonly bearerKeys: ReadonlyHolder<BearerKeys | undefined>;
  readonly bearerAudience: ReadonlyHolder<string | undefined>;
}): (request: BearerRequest) => Promise<BearerCredential> {
  const { clock, bearerKeys, bearerAudience } = options;
  return async ({ identity, lifetime, tokenID }) => {
    const key = bearerKeys.current?.signing;
    const audience = bearerAudience.current;
    if (key === undefined) {
      throw refusal("bearer.noKey", "no key for bearer credentials is loaded");
    }
    if (audience === undefined) {
      throw refusal("bearer.noAudience", "the audience of bearer credentials is not known yet");
    }
    const claims = claimsOf({ identity, lifetime, tokenID }, audience, clock.now());
    const input = `${bearerHeader(key.kid)}.${encodeJson(claims)}`;
    const signature = sign("sha256", Buffer.from(input), {
      key: key.privateKey,
      dsaEncoding: "ieee-p1363",
    });
    const token = `${input}.${signature.toString("base64url")}`;
    if (token.length > MAXIMUM_BEARER_BYTES) {
      throw refusal(
        "bearer.tooLarge",
        `bearer credential of ${token.length} bytes for a user in ${identity.groups.length} groups is longer than ${MAXIMUM_BEARER_BYTES} bytes`,
      );
    }
    return { token, jti: claims.jti, notBefore: lifetime.notBefore, notAfter: lifetime.notAfter };
  };
}

function claimsOf(request: BearerRequest, audience: string, now: number): BearerClaims {
  const { identity, lifetime, tokenID } = request;
  if (identity.uid !== undefined && identity.uid !== "") {
    throw refusal("bearer.uidUnsupported", "UIDs are not supported");
  }
  // The upstream token's own ID is not this one's (contract 2.3).
  const { [CREDENTIAL_ID_EXTRA]: _upstream, ...extra } = identity.extra;
  const iat = Math.floor(now / 1000);
  const nbf = Math.floor(lifetime.notBefore.getTime() / 1000);
  const exp = Math.floor(lifetime.notAfter.getTime() / 1000);
  if (exp <= iat) {
    throw refusal("bearer.lifetime", "the lifetime of the bearer credential is over already");
  }
  return {
    iss: audience,
    aud: audience,
    sub: identity.username,
    groups: identity.groups,
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
    iat,
    nbf: Math.min(nbf, iat),
    exp,
    jti: randomUUID(),
    src: tokenID,
  };
}

function refusal(code: string, message: string): LanyardError {
  return new LanyardError({ code, message });
}
