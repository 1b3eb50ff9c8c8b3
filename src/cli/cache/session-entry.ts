import { formatSeconds } from "../../rfc3339.ts";
import type { SessionKey, SessionTokens } from "../oidc/session.ts";
import { isRecord } from "./cache-document.ts";
import type { CacheEntry } from "./cache-document.ts";
import { timestamp } from "./credential-dates.ts";

/** Entries that nobody has used for this long are dropped (contract cli.md 6), milliseconds. */
const UNUSED_LIFETIME = 90 * 24 * 3_600_000;

type Fields = Readonly<Record<string, unknown>>;

/** Whether an entry is this session's: field by field, an absent provider equals an empty one (contract cli.md 6). */
export function isSession(entry: CacheEntry, key: SessionKey): boolean {
  const found = entry.key;
  return (
    isRecord(found) &&
    found["issuer"] === key.issuer &&
    found["clientID"] === key.clientID &&
    found["redirect_uri"] === key.redirect_uri &&
    (found["upstream_provider_name"] ?? "") === (key.upstream_provider_name ?? "") &&
    Array.isArray(found["scopes"] ?? []) &&
    JSON.stringify(found["scopes"] ?? []) === JSON.stringify(key.scopes)
  );
}

/** The key with its fields in the file's order. */
export function storedSessionKey(key: SessionKey): Fields {
  return {
    clientID: key.clientID,
    issuer: key.issuer,
    redirect_uri: key.redirect_uri,
    scopes: key.scopes,
    ...((key.upstream_provider_name ?? "") !== "" && { upstream_provider_name: key.upstream_provider_name }),
  };
}

/** undefined for a key that is none of ours. */
export function sessionKeyOf(entry: CacheEntry): SessionKey | undefined {
  const { key } = entry;
  if (!isRecord(key)) {
    return undefined;
  }
  const { issuer, clientID, scopes = [], redirect_uri, upstream_provider_name } = key;
  if (
    typeof issuer !== "string" ||
    typeof clientID !== "string" ||
    typeof redirect_uri !== "string" ||
    !Array.isArray(scopes)
  ) {
    return undefined;
  }
  return {
    issuer,
    clientID,
    scopes: scopes.map(String),
    redirect_uri,
    ...(typeof upstream_provider_name === "string" &&
      upstream_provider_name !== "" && { upstream_provider_name }),
  };
}

/** Tokens as the file keeps them, in its order of fields; what is empty is absent, a missing expiry is null. */
export function storedTokens(tokens: SessionTokens): Fields {
  const { access, id, refresh } = tokens;
  return {
    ...(access && {
      access: {
        expiryTimestamp: access.expiryTimestamp,
        token: access.token,
        ...(access.type !== undefined && { type: access.type }),
      },
    }),
    ...(id && {
      id: {
        ...(id.claims !== undefined && { claims: id.claims }),
        expiryTimestamp: id.expiryTimestamp,
        token: id.token,
      },
    }),
    ...(refresh && { refresh: { token: refresh.token } }),
  };
}

/** The tokens of an entry; whatever is not of the file's form counts as absent. */
export function tokensOf(entry: CacheEntry): SessionTokens {
  const tokens = isRecord(entry["tokens"]) ? entry["tokens"] : {};
  const access = tokenOf(tokens["access"]);
  const refresh = tokenOf(tokens["refresh"]);
  const id = tokenOf(tokens["id"]);
  return {
    ...(access && {
      access: {
        token: access.token,
        ...(typeof access.fields["type"] === "string" && { type: access.fields["type"] }),
        expiryTimestamp: access.expiryTimestamp,
      },
    }),
    ...(refresh && { refresh: { token: refresh.token } }),
    ...(id && {
      id: {
        token: id.token,
        expiryTimestamp: id.expiryTimestamp,
        ...(isRecord(id.fields["claims"]) && { claims: id.fields["claims"] }),
      },
    }),
  };
}

function tokenOf(
  value: unknown,
): { readonly token: string; readonly expiryTimestamp: string | null; readonly fields: Fields } | undefined {
  if (!isRecord(value) || typeof value["token"] !== "string") {
    return undefined;
  }
  const expiry = value["expiryTimestamp"];
  return {
    token: value["token"],
    expiryTimestamp: typeof expiry === "string" ? expiry : null,
    fields: value,
  };
}

/** The entries that are still of use, without tokens that are not (contract cli.md 6); the same array: nothing was dropped. */
export function pruneSessions(entries: readonly CacheEntry[], now: number): readonly CacheEntry[] {
  const kept: CacheEntry[] = [];
  for (const entry of entries) {
    const pruned = pruneTokens(entry, now);
    if (pruned !== undefined && now - (timestamp(entry.lastUsedTimestamp) ?? 0) <= UNUSED_LIFETIME) {
      kept.push(pruned);
    }
  }
  const unchanged = kept.length === entries.length && kept.every((entry, index) => entry === entries[index]);
  return unchanged ? entries : kept;
}

function pruneTokens(entry: CacheEntry, now: number): CacheEntry | undefined {
  const tokens = isRecord(entry["tokens"]) ? entry["tokens"] : {};
  const remaining = Object.fromEntries(
    Object.entries(tokens).filter(([name, value]) => {
      const token = tokenOf(value);
      if (token === undefined || token.token === "") {
        // Something that this program does not know stays; an empty token does not.
        return name !== "access" && name !== "id" && name !== "refresh" && value !== null;
      }
      const end = timestamp(token.expiryTimestamp);
      return name === "refresh" || (name !== "access" && name !== "id") || (end !== undefined && end > now);
    }),
  );
  if (!["access", "id", "refresh"].some((name) => remaining[name] !== undefined)) {
    return undefined;
  }
  return Object.keys(remaining).length === Object.keys(tokens).length
    ? entry
    : { ...entry, tokens: remaining };
}

/** The entries with these tokens for a session; a session that is known keeps its creation time. */
export function withSession(
  entries: readonly CacheEntry[],
  key: SessionKey,
  tokens: SessionTokens,
  now: number,
): readonly CacheEntry[] {
  const time = formatSeconds(now);
  const known = entries.find((entry) => isSession(entry, key));
  const entry: CacheEntry = {
    ...known,
    creationTimestamp: known?.creationTimestamp ?? time,
    key: storedSessionKey(key),
    lastUsedTimestamp: time,
    tokens: storedTokens(tokens),
  };
  return [...entries.filter((other) => other !== known), entry];
}

/** The entries with a session marked as used now; the same array if it was used within this second. */
export function withSessionUsed(
  entries: readonly CacheEntry[],
  used: CacheEntry,
  now: number,
): readonly CacheEntry[] {
  const lastUsedTimestamp = formatSeconds(now);
  return used.lastUsedTimestamp === lastUsedTimestamp
    ? entries
    : entries.map((entry) => (entry === used ? { ...entry, lastUsedTimestamp } : entry));
}
