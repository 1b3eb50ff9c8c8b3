import type { SessionTokens } from "./session.ts";

/** Milliseconds that a cached access token must have left to be exchanged (contract cli.md 4.3). */
const ACCESS_TOKEN_MARGIN = 10_000;
/** Milliseconds that a cached ID token must have left, if that is not more than half its life (contract cli.md 13.3 rule 9). */
const ID_TOKEN_MARGIN = 600_000;

export interface ReuseDecision {
  /** Whether the ID token must be exchanged for one of the audience that was asked for. */
  readonly exchangeNeeded: boolean;
  /** Which cached token can be used as it is; absent: none. */
  readonly usable?: "access_token" | "id_token";
}

/** The claims of a JWT, unverified: only for tokens that were verified when they came. */
export function readClaims(token: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    return typeof claims === "object" && claims !== null ? { ...claims } : {};
  } catch {
    return {};
  }
}

/** An audience is asked for, and there is no ID token whose `aud` is exactly that text; a list never is (contract cli.md 4.3). */
export function isExchangeNeeded(
  tokens: SessionTokens | undefined,
  requestAudience: string | undefined,
): boolean {
  if (requestAudience === undefined || requestAudience === "") {
    return false;
  }
  const id = tokens?.id;
  return !id || (id.claims ?? readClaims(id.token))["aud"] !== requestAudience;
}

/** Whether a cached session answers by itself (contract cli.md 4.3, 13.3 rule 9). `now`: milliseconds since the epoch. */
export function decideReuse(
  tokens: SessionTokens | undefined,
  requestAudience: string | undefined,
  now: number,
): ReuseDecision {
  const exchangeNeeded = isExchangeNeeded(tokens, requestAudience);
  const access = tokens?.access;
  const id = tokens?.id;
  if (exchangeNeeded) {
    const usable = access && millisecondsLeft(access.expiryTimestamp, now) > ACCESS_TOKEN_MARGIN;
    return usable === true ? { exchangeNeeded, usable: "access_token" } : { exchangeNeeded };
  }
  const usable = id && millisecondsLeft(id.expiryTimestamp, now) > requiredIdTokenLife(id);
  return usable === true ? { exchangeNeeded, usable: "id_token" } : { exchangeNeeded };
}

function millisecondsLeft(expiryTimestamp: string | null, now: number): number {
  const left = expiryTimestamp === null ? Number.NaN : Date.parse(expiryTimestamp) - now;
  return Number.isNaN(left) ? 0 : left;
}

/** L/2 keeps issuers with short-lived ID tokens from a full login each time. */
function requiredIdTokenLife(id: NonNullable<SessionTokens["id"]>): number {
  const issuedAt = id.claims?.["iat"] ?? readClaims(id.token)["iat"];
  const expiry = Date.parse(id.expiryTimestamp ?? "");
  const half = typeof issuedAt === "number" ? (expiry - issuedAt * 1000) / 2 : ID_TOKEN_MARGIN;
  return Math.max(0, Math.min(ID_TOKEN_MARGIN, half));
}
