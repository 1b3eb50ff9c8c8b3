import type { Identity } from "../../identity/identity.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";

/** The local verifier of our own bearer credentials (S9). */
export interface OwnBearers {
  /** By the unverified `iss`: nobody else ever judges such a token (S13). */
  isOurs(token: string): boolean;
  /** Throws for every token that is not good now. `expiresAt` in milliseconds since the epoch. */
  verify(token: string): {
    readonly identity: Identity;
    readonly jti: string;
    /** Hex SHA-256 of the token that it was bought with. */
    readonly tokenID: string;
    readonly expiresAt: number;
  };
}

export interface OwnBearer {
  readonly identity: Identity;
  readonly credentialID: string;
  readonly tokenID: string;
  readonly kid: string | undefined;
  readonly expiresAt: number;
}

/** A verified bearer as its user, with the credential ID that the kube-apiserver's audit shows (S17). */
export function readOwnBearer(bearers: OwnBearers, token: string): OwnBearer {
  const { identity, jti, tokenID, expiresAt } = bearers.verify(token);
  const credentialID = `JTI=${jti}`;
  return {
    identity: { ...identity, extra: { ...identity.extra, [CREDENTIAL_ID_EXTRA]: [credentialID] } },
    credentialID,
    tokenID,
    kid: kidOf(token),
    expiresAt,
  };
}

/** Of a token that has been verified. */
function kidOf(token: string): string | undefined {
  const header: unknown = JSON.parse(Buffer.from(token.split(".", 1)[0] ?? "", "base64url").toString("utf8"));
  return typeof header === "object" && header !== null && "kid" in header && typeof header.kid === "string"
    ? header.kid
    : undefined;
}
