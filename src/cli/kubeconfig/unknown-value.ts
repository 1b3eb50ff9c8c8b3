/* Kubeconfigs, objects of a cluster and documents of an issuer hold what they like: these read them without believing. */

export type UnknownRecord = Readonly<Record<string, unknown>>;

/** The value where it is an object, else an empty one. */
export function recordIn(value: unknown): UnknownRecord {
  return isRecord(value) ? value : {};
}

export function isRecord(value: unknown): value is UnknownRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The own value of a key where it is a string, else an empty string. */
export function textIn(value: unknown, key: string): string {
  const found = Object.hasOwn(recordIn(value), key) ? recordIn(value)[key] : undefined;
  return typeof found === "string" ? found : "";
}

/** The own value of a key where it is a list, else an empty list. */
export function listIn(value: unknown, key: string): readonly unknown[] {
  const found = recordIn(value)[key];
  return Array.isArray(found) ? (found as readonly unknown[]) : [];
}
