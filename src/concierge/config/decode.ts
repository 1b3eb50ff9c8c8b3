import { LanyardError } from "../../errors.ts";

/** One mapping of the configuration file. Keys are case-insensitive, `null` counts as absent, unknown keys are ignored. */
export interface Section {
  readonly path: string;
  text(key: string): string | undefined;
  integer(key: string): number | undefined;
  number(key: string): number | undefined;
  boolean(key: string): boolean | undefined;
  texts(key: string): readonly string[] | undefined;
  textMap(key: string): Readonly<Record<string, string>> | undefined;
  /** A section in the section; an empty one when it is absent. */
  section(key: string): Section;
  has(key: string): boolean;
}

export function configurationError(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "configuration.invalid", message, cause });
}

/** Reads the parsed document. Refusal: `configuration.invalid` naming the key whose value has the wrong type. */
export function createSection(value: unknown, path = ""): Section {
  const values = new Map<string, unknown>();
  if (value !== null && value !== undefined) {
    if (!isMapping(value)) {
      throw wrongType(path === "" ? "the configuration" : path, "a mapping", value);
    }
    for (const [key, each] of Object.entries(value)) {
      values.set(key.toLowerCase(), each ?? undefined);
    }
  }
  const nameOf = (key: string): string => (path === "" ? key : `${path}.${key}`);
  const read = <T>(
    key: string,
    expected: string,
    convert: (found: unknown) => T | undefined,
  ): T | undefined => {
    const found = values.get(key.toLowerCase());
    if (found === undefined) {
      return undefined;
    }
    const converted = convert(found);
    if (converted === undefined) {
      throw wrongType(nameOf(key), expected, found);
    }
    return converted;
  };
  return {
    path,
    text: (key) => read(key, "a string", textOf),
    integer: (key) =>
      read(key, "a whole number", (found) => (Number.isSafeInteger(found) ? Number(found) : undefined)),
    number: (key) =>
      read(key, "a number", (found) =>
        typeof found === "number" && Number.isFinite(found) ? found : undefined,
      ),
    boolean: (key) => read(key, "true or false", (found) => (typeof found === "boolean" ? found : undefined)),
    texts: (key) => read(key, "a list of strings", textsOf),
    textMap: (key) => read(key, "a mapping of strings", textMapOf),
    section: (key) => createSection(values.get(key.toLowerCase()), nameOf(key)),
    has: (key) => values.get(key.toLowerCase()) !== undefined,
  };
}

/** Numbers and booleans stand for their text where a string is expected, as sigs.k8s.io/yaml does it. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") {
    return value;
  }
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function textsOf(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) {
    return undefined;
  }
  const texts = value.map((each) => textOf(each ?? ""));
  return texts.every((each) => each !== undefined) ? texts : undefined;
}

function textMapOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isMapping(value)) {
    return undefined;
  }
  const entries = Object.entries(value).map(([key, each]) => [key, textOf(each ?? "")] as const);
  return entries.every((entry): entry is readonly [string, string] => entry[1] !== undefined)
    ? Object.fromEntries(entries)
    : undefined;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrongType(name: string, expected: string, value: unknown): LanyardError {
  const found = Array.isArray(value) ? "a list" : value === null ? "nothing" : `a ${typeof value}`;
  return configurationError(
    `decode yaml: ${name} must be ${expected}, not ${found === "a object" ? "a mapping" : found}`,
  );
}
