import type { Identity } from "../../identity/identity.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";
import type { Claims } from "./jwt-verification.ts";
import { JwtRefusal } from "./jwt-verification.ts";

/** One claim; nothing when the token itself does not have it. */
export function claimOf(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** Who a verified token speaks of (contract 4.5); throws `JwtRefusal`. */
export function identityFromClaims(claims: Claims, usernameClaim: string, groupsClaim: string): Identity {
  const username = claimOf(claims, usernameClaim);
  if (typeof username !== "string") {
    throw new JwtRefusal(
      `oidc: username claim ${JSON.stringify(usernameClaim)} is ${username === undefined ? "missing" : "not a string"}`,
    );
  }
  const emailVerified = claimOf(claims, "email_verified");
  if (usernameClaim === "email" && emailVerified !== undefined && emailVerified !== true) {
    throw new JwtRefusal("oidc: email not verified: the claim email_verified is not true");
  }
  return {
    username,
    groups: groupsFromClaim(claimOf(claims, groupsClaim), groupsClaim),
    extra: credentialId(claimOf(claims, "jti")),
  };
}

function groupsFromClaim(value: unknown, groupsClaim: string): readonly string[] {
  if (value === undefined) {
    return [];
  }
  const groups: readonly unknown[] =
    typeof value === "string" ? [value] : Array.isArray(value) ? value : [undefined];
  if (!groups.every((group) => typeof group === "string")) {
    throw new JwtRefusal(
      `oidc: groups claim ${JSON.stringify(groupsClaim)} is neither a string nor a list of strings`,
    );
  }
  return groups;
}

function credentialId(jti: unknown): Identity["extra"] {
  return typeof jti === "string" && jti !== "" ? { [CREDENTIAL_ID_EXTRA]: [`JTI=${jti}`] } : {};
}
