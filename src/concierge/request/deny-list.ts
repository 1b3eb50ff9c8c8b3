import { parse, YAMLParseError } from "yaml";
import type { DenyList, DenyListEntry } from "../state/proxy.ts";

/** Entries beyond this are a mistake, and named as one. */
const MAXIMUM_ENTRIES = 10_000;
const MAXIMUM_VALUE_LENGTH = 4096;
const NAMES = ["user", "credentialID", "tokenID"] as const;
const CREDENTIAL_ID = /^(?:X509SHA256=[0-9a-f]{64}|JTI=.+)$/s;
const SHA256_HEX = /^[0-9a-f]{64}$/;
const RFC3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** What the key `entries` says; `unreadable` when it is no list at all, and nothing of it could be taken. */
export interface ParsedDenyList extends DenyList {
  readonly unreadable: boolean;
}

/**
 * Reads the deny list (S15): a YAML or JSON list whose entries are judged one by one. What can be understood of an entry is
 * enforced; what cannot is a problem, named by its place and never quoted. Empty text is an empty list.
 */
export function parseDenyList(text: string): ParsedDenyList {
  const items = readItems(text);
  if (items === undefined) {
    return { entries: [], problems: ["the list is not a YAML or JSON list"], unreadable: true };
  }
  const entries: DenyListEntry[] = [];
  const problems: string[] = [];
  for (const [index, item] of items.slice(0, MAXIMUM_ENTRIES).entries()) {
    const problem = (what: string): void => void problems.push(`entry ${index + 1} ${what}`);
    const entry = item === UNREADABLE ? undefined : readEntry(item, problem);
    if (entry !== undefined) {
      entries.push(entry);
    } else if (item === UNREADABLE) {
      problem("is not YAML");
    }
  }
  if (items.length > MAXIMUM_ENTRIES) {
    problems.push(`the entries after the first ${MAXIMUM_ENTRIES} are not enforced`);
  }
  return { entries, problems, unreadable: false };
}

const UNREADABLE = Symbol("unreadable");

/** Undefined: not a list. A slip in one entry of a block list leaves the others readable. */
function readItems(text: string): readonly unknown[] | undefined {
  try {
    const value = parseYaml(text);
    return value === null || value === undefined ? [] : Array.isArray(value) ? value : undefined;
  } catch (error) {
    if (!(error instanceof YAMLParseError) && !(error instanceof ReferenceError)) {
      throw error;
    }
  }
  const chunks = blockItems(text);
  if (chunks.length === 0) {
    return undefined;
  }
  return chunks.map((chunk) => {
    try {
      const value = parseYaml(chunk);
      return Array.isArray(value) && value.length === 1 ? value[0] : UNREADABLE;
    } catch {
      return UNREADABLE;
    }
  });
}

function parseYaml(text: string): unknown {
  // No time stamps, no aliases: what is written is what is meant, and it cannot grow.
  return parse(text, { schema: "core", maxAliasCount: 0, logLevel: "error", uniqueKeys: true }) as unknown;
}

/** The text of each item of a block list: from one dash at the first dash's indentation to the next. */
function blockItems(text: string): string[] {
  const indentation = /^( *)-(?: |$)/m.exec(text)?.[1];
  if (indentation === undefined) {
    return [];
  }
  const start = new RegExp(`^${indentation}-(?: |$)`);
  const chunks: string[][] = [];
  for (const line of text.split(/\r?\n/)) {
    if (start.test(line)) {
      chunks.push([line]);
    } else {
      chunks.at(-1)?.push(line);
    }
  }
  return chunks.map((lines) => lines.join("\n"));
}

function readEntry(item: unknown, problem: (what: string) => void): DenyListEntry | undefined {
  if (typeof item !== "object" || item === null || Array.isArray(item)) {
    problem("is not a mapping");
    return undefined;
  }
  const fields = new Map(Object.entries(item));
  const until = readUntil(fields.get("until"));
  if (until === undefined) {
    problem("has an until that is not an RFC 3339 time");
    return undefined;
  }
  const found: Record<string, string> = {};
  for (const name of NAMES) {
    const value = fields.get(name);
    if (value === undefined) {
      continue;
    }
    const wrong = faultOf(name, value);
    if (wrong !== undefined) {
      problem(`has a ${name} that ${wrong}`);
    } else if (typeof value === "string") {
      found[name] = name === "tokenID" ? value.toLowerCase() : value;
    }
  }
  for (const key of fields.keys()) {
    if (key !== "until" && key !== "comment" && !NAMES.some((name) => name === key)) {
      problem("has a field that is not known");
    }
  }
  if (Object.keys(found).length === 0) {
    problem("names neither user nor credentialID nor tokenID");
    return undefined;
  }
  return { ...found, until };
}

/** Without an end an entry counts for ever: who is denied in a hurry is denied. */
function readUntil(value: unknown): number | undefined {
  if (value === undefined || value === null) {
    return Number.POSITIVE_INFINITY;
  }
  if (typeof value !== "string" || !RFC3339.test(value)) {
    return undefined;
  }
  const time = Date.parse(value.replace(" ", "T"));
  return Number.isNaN(time) ? undefined : time;
}

function faultOf(name: (typeof NAMES)[number], value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") {
    return "is not a text";
  }
  if (value.length > MAXIMUM_VALUE_LENGTH) {
    return "is too long";
  }
  if (name === "credentialID" && !CREDENTIAL_ID.test(value)) {
    return "is neither X509SHA256= with 64 lower-case hex digits nor JTI=";
  }
  return name === "tokenID" && !SHA256_HEX.test(value.toLowerCase())
    ? "is not the hex SHA-256 of a token"
    : undefined;
}

/** Who or what is asked about; everything that is known of it. */
export interface DenyQuestion {
  readonly username?: string | undefined;
  readonly credentialIDs?: readonly string[] | undefined;
  readonly tokenIDs?: readonly string[] | undefined;
}

interface DenyIndex {
  readonly users: ReadonlyMap<string, number>;
  readonly credentialIDs: ReadonlyMap<string, number>;
  readonly tokenIDs: ReadonlyMap<string, number>;
}

const indexes = new WeakMap<DenyList, DenyIndex>();

function indexOf(list: DenyList): DenyIndex {
  let index = indexes.get(list);
  if (index === undefined) {
    const collect = (name: (typeof NAMES)[number]): Map<string, number> => {
      const found = new Map<string, number>();
      for (const entry of list.entries) {
        const value = entry[name];
        if (value !== undefined) {
          found.set(value, Math.max(entry.until, found.get(value) ?? 0));
        }
      }
      return found;
    };
    index = { users: collect("user"), credentialIDs: collect("credentialID"), tokenIDs: collect("tokenID") };
    indexes.set(list, index);
  }
  return index;
}

/** Whether any of what is known is on the list at `now` (milliseconds since the epoch). Names are compared byte by byte. */
export function isDenied(list: DenyList, question: DenyQuestion, now: number): boolean {
  if (list.entries.length === 0) {
    return false;
  }
  const { users, credentialIDs, tokenIDs } = indexOf(list);
  const hit = (known: ReadonlyMap<string, number>, value: string): boolean => now < (known.get(value) ?? 0);
  return (
    (question.username !== undefined && hit(users, question.username)) ||
    (question.credentialIDs?.some((value) => hit(credentialIDs, value)) ?? false) ||
    (question.tokenIDs?.some((value) => hit(tokenIDs, value)) ?? false)
  );
}

/** Whether tokens themselves are on the list; only then is it worth hashing one. */
export function deniesTokens(list: DenyList): boolean {
  return list.entries.length > 0 && indexOf(list).tokenIDs.size > 0;
}

/**
 * For the exchange (S15). Before the list has been read, everybody is denied; a replica is not ready then.
 */
export function createDeniedLogin(options: {
  readonly denyList: { readonly current: DenyList | undefined };
  readonly clock: { now(): number };
}): (question: { readonly username?: string | undefined; readonly tokenID?: string | undefined }) => boolean {
  const { denyList, clock } = options;
  return ({ username, tokenID }) =>
    denyList.current === undefined ||
    isDenied(denyList.current, { username, tokenIDs: tokenID === undefined ? [] : [tokenID] }, clock.now());
}
