/*
 * `credentials.yaml` and `sessions.yaml` have the same frame (contract cli.md 6, 7). JSON is YAML, so the existing CLI reads what is
 * written here; what it writes is YAML that is no JSON.
 */

export type CacheKind = "CredentialCache" | "SessionCache";

const API_VERSION = "config.supervisor.pinniped.dev/v1alpha1";
const NEVER = "1970-01-01T00:00:00Z";
const LIST_FIELD = { CredentialCache: "credentials", SessionCache: "sessions" } as const;

/** One entry as it was read; fields that this program does not know stay as they are. */
export type CacheEntry = Readonly<Record<string, unknown>> & {
  readonly key: unknown;
  readonly creationTimestamp: string;
  readonly lastUsedTimestamp: string;
};

/** `corrupt` and `foreign` files are never overwritten: they are moved aside by who stores (contract cli.md 13.3 rule 10). */
export type CacheDocument =
  | {
      readonly state: "usable";
      readonly entries: readonly CacheEntry[];
      /** Top-level fields that this program does not know. */
      readonly extra: Readonly<Record<string, unknown>>;
    }
  | { readonly state: "corrupt"; readonly reason: string }
  | { readonly state: "foreign"; readonly reason: string };

/** Reads such a document: JSON first, as the YAML parser costs more than all the rest of a cache hit (clarification 29). */
export async function parseCacheDocument(text: string, kind: CacheKind): Promise<CacheDocument> {
  if (text.trim() === "") {
    // What a killed process of the existing CLI leaves behind: nothing is lost by writing over it.
    return { state: "usable", entries: [], extra: {} };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const { parse } = await import("yaml");
    try {
      value = parse(text, { maxAliasCount: 0, logLevel: "error" });
    } catch {
      // The parser's message quotes the text, which holds tokens.
      return { state: "corrupt", reason: "is neither JSON nor YAML" };
    }
  }
  return checkDocument(value, kind);
}

function checkDocument(value: unknown, kind: CacheKind): CacheDocument {
  if (!isRecord(value)) {
    return { state: "corrupt", reason: "holds no object" };
  }
  const { apiVersion, kind: foundKind, ...rest } = value;
  if (apiVersion !== API_VERSION || foundKind !== kind) {
    return typeof apiVersion === "string" && typeof foundKind === "string"
      ? { state: "foreign", reason: `is ${foundKind} of ${apiVersion}, which this program does not know` }
      : { state: "corrupt", reason: "has no apiVersion and kind" };
  }
  const { [LIST_FIELD[kind]]: list, ...extra } = rest;
  if (list !== undefined && list !== null && !Array.isArray(list)) {
    return { state: "corrupt", reason: `has no list of ${LIST_FIELD[kind]}` };
  }
  const entries: CacheEntry[] = [];
  for (const found of (list ?? []) as unknown[]) {
    const entry = isRecord(found) ? withTimes(found) : undefined;
    if (!isCacheEntry(entry)) {
      return { state: "corrupt", reason: `has an entry that is none of its ${LIST_FIELD[kind]}` };
    }
    entries.push(entry);
  }
  return { state: "usable", entries, extra };
}

/** The text to store: sorted by creation time, as the existing CLI does it. */
export function formatCacheDocument(
  kind: CacheKind,
  entries: readonly CacheEntry[],
  extra: Readonly<Record<string, unknown>>,
): string {
  const sorted = entries.toSorted(
    (one, other) => Date.parse(one.creationTimestamp) - Date.parse(other.creationTimestamp),
  );
  const text = JSON.stringify(
    { apiVersion: API_VERSION, ...extra, [LIST_FIELD[kind]]: sorted, kind },
    // A lone surrogate is JSON but no YAML.
    (_, value: unknown) => (typeof value === "string" ? value.toWellFormed() : value),
    1,
  );
  return `${text.replaceAll(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, escapeForYaml)}\n`;
}

/** JSON allows these in a string; YAML's readers refuse them or take them for line ends. */
function escapeForYaml(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Go writes a time that was never set as null. */
function withTimes(entry: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return {
    ...entry,
    creationTimestamp: entry["creationTimestamp"] ?? NEVER,
    lastUsedTimestamp: entry["lastUsedTimestamp"] ?? NEVER,
  };
}

function isCacheEntry(value: unknown): value is CacheEntry {
  return (
    isRecord(value) &&
    value["key"] !== undefined &&
    isTime(value["creationTimestamp"]) &&
    isTime(value["lastUsedTimestamp"])
  );
}

function isTime(value: unknown): boolean {
  return typeof value === "string" && !Number.isNaN(Date.parse(value));
}
