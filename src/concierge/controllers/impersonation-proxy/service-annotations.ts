/** Holds a sorted JSON array of the annotation keys that came from the CredentialIssuer (contract 6.6). */
export const ANNOTATION_KEYS = "credentialissuer.pinniped.dev/annotation-keys";

/** Holds a sorted JSON array of the additive fields of the Service's spec that came from the CredentialIssuer. */
export const SPEC_FIELDS = "credentialissuer.pinniped.dev/service-fields";

type Annotations = Readonly<Record<string, string>>;

/**
 * The Service's annotations with those of the CredentialIssuer merged in: keys that the spec held before and holds no
 * more go, what others wrote stays (contract 6.6). Bookkeeping that cannot be read counts as absent.
 */
export function mergeAnnotations(present: Annotations, desired: Annotations): Annotations {
  const wanted = new Map(Object.entries(desired).filter(([key]) => !isBookkeeping(key)));
  const gone = readBookkeeping(present, ANNOTATION_KEYS).filter(
    (key) => !wanted.has(key) && !isBookkeeping(key),
  );
  const merged = new Map(Object.entries(present));
  for (const key of [...gone, ANNOTATION_KEYS]) {
    merged.delete(key);
  }
  for (const [key, value] of wanted) {
    merged.set(key, value);
  }
  return withBookkeeping(Object.fromEntries(merged), ANNOTATION_KEYS, [...wanted.keys()]);
}

/** `annotations` with `names` written down under `key`, or without `key` when there are none. */
export function withBookkeeping(
  annotations: Annotations,
  key: string,
  names: readonly string[],
): Annotations {
  const { [key]: _, ...others } = annotations;
  return names.length === 0 ? others : { ...others, [key]: JSON.stringify(names.toSorted()) };
}

/** What `withBookkeeping` wrote; nothing when it is absent or somebody spoilt it. */
export function readBookkeeping(annotations: Annotations, key: string): readonly string[] {
  try {
    const value: unknown = JSON.parse(annotations[key] ?? "[]");
    return Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];
  } catch {
    return [];
  }
}

function isBookkeeping(key: string): boolean {
  return key === ANNOTATION_KEYS || key === SPEC_FIELDS;
}
