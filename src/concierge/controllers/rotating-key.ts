import { LanyardError, messageOf } from "../../errors.ts";
import type { Secret } from "../../kube/objects.ts";
import { secretData, secretTexts } from "./serving-certificate-secret.ts";

/** What others need to believe a key: a certificate or a public key. */
export interface TrustedKey<Public> {
  /** Names the key; the same key has the same one wherever it is read. */
  readonly id: string;
  /** PEM. */
  readonly pem: string;
  readonly value: Public;
}

/** A key that signs, as its Secret holds it. */
export interface SigningKey<Public, Private> extends TrustedKey<Public> {
  readonly signing: Private;
}

/** What differs between the kinds of keys that are rotated (S10). */
export interface RotatingKeyKind<Public, Private> {
  /** For messages, such as `signer`. */
  readonly what: string;
  /** The content of a new Secret as texts. */
  generate(now: number): Promise<Readonly<Record<string, string>>>;
  /** The key in a Secret's texts; throws when it cannot be used. */
  read(texts: Readonly<Record<string, string>>): SigningKey<Public, Private>;
  /** What is kept of an old key; throws when it cannot be used. */
  readTrusted(pem: string): TrustedKey<Public>;
  /** When the next one is due, in milliseconds since the epoch; `writtenAt` is when the Secret got this one. */
  rotationDueAt(key: SigningKey<Public, Private>, writtenAt: number): number;
}

/** A new key signs only this long after it was written: until then every replica has learnt to trust it (S10). */
export const SWITCH_MILLISECONDS = 60_000;

/** How much longer than its credentials an old key is trusted, for clocks and watches that are behind (S10). */
export const SLACK_MILLISECONDS = 5 * 60_000;

/**
 * Whoever hears of a rotation no later than this gives itself the whole minute by its own clock, however that is set;
 * whoever hears later switches at once. With the minute it stays below the slack.
 */
export const LATEST_WAIT_MILLISECONDS = SLACK_MILLISECONDS - SWITCH_MILLISECONDS - 10_000;

/** Set by an administrator, with any value: rotate now. Removed by the rotation itself. */
export const ROTATE_ANNOTATION = "concierge.lanyard.dev/rotate";
/** When the leader wrote the key that the Secret holds; RFC 3339. */
const ROTATED_AT_ANNOTATION = "concierge.lanyard.dev/rotated-at";
/** Which key it wrote then: another one in the Secret came by hand. */
const ROTATED_TO_ANNOTATION = "concierge.lanyard.dev/rotated-to";
/** On `<Secret>-previous`: the UID of the Secret whose old keys it holds. */
const SECRET_UID_ANNOTATION = "concierge.lanyard.dev/secret-uid";

const PREVIOUS_KEYS = "keys.json";

/** Where the old certificates or public keys are kept while they are trusted. */
export function previousSecretName(secretName: string): string {
  return `${secretName}-previous`;
}

/** When the key in `secret` was written by a rotation; undefined when it was created with the Secret or came by hand. */
export function rotatedAt(secret: Secret, keyId: string): number | undefined {
  const { annotations = {} } = secret.metadata;
  const time = Date.parse(annotations[ROTATED_AT_ANNOTATION] ?? "");
  return annotations[ROTATED_TO_ANNOTATION] === keyId && !Number.isNaN(time) ? time : undefined;
}

/** The same Secret with a new key in it: one update, so that it is never missing (S10). */
export function withNewKey(
  secret: Secret,
  texts: Readonly<Record<string, string>>,
  keyId: string,
  now: number,
): Secret {
  const { [ROTATE_ANNOTATION]: _asked, ...annotations } = secret.metadata.annotations ?? {};
  return {
    ...secret,
    metadata: {
      ...secret.metadata,
      annotations: {
        ...annotations,
        [ROTATED_AT_ANNOTATION]: new Date(now).toISOString(),
        [ROTATED_TO_ANNOTATION]: keyId,
      },
    },
    data: secretData(texts),
  };
}

/** An old key as `<Secret>-previous` keeps it. */
export interface PreviousKey<Public> {
  readonly key: TrustedKey<Public>;
  /** Replicas that hold its private key in memory sign with it until then; milliseconds since the epoch. */
  readonly signsUntil: number;
  /** Its credentials are believed until then; milliseconds since the epoch. */
  readonly trustedUntil: number;
}

/** An entry of `keys.json`. */
interface PreviousEntry {
  readonly pem: string;
  readonly signsUntil: string;
  readonly trustedUntil: string;
}

/** `<Secret>-previous`, as it is written. It is bound to the Secret by its UID: what replaces a deleted Secret has no past. */
export function previousSecret(options: {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly secretUid: string;
  readonly keys: readonly PreviousKey<unknown>[];
  /** What is there already. */
  readonly present: Secret | undefined;
}): Secret {
  const { present } = options;
  const entries: PreviousEntry[] = options.keys.map(({ key, signsUntil, trustedUntil }) => ({
    pem: key.pem,
    signsUntil: new Date(signsUntil).toISOString(),
    trustedUntil: new Date(trustedUntil).toISOString(),
  }));
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "Opaque",
    ...present,
    metadata: {
      name: options.name,
      namespace: options.namespace,
      labels: options.labels,
      ...present?.metadata,
      annotations: { ...present?.metadata.annotations, [SECRET_UID_ANNOTATION]: options.secretUid },
    },
    data: secretData({ [PREVIOUS_KEYS]: JSON.stringify(entries) }),
  };
}

/** Whether `previous` belongs to this very Secret, and not to one that was deleted. */
export function belongsTo(previous: Secret, secret: Secret): boolean {
  return (
    secret.metadata.uid !== undefined &&
    previous.metadata.annotations?.[SECRET_UID_ANNOTATION] === secret.metadata.uid
  );
}

/** The old keys in `previous`. Each entry is read alone; what cannot be used is trusted no more and told of. */
export function readPrevious<Public>(
  previous: Secret,
  kind: Pick<RotatingKeyKind<Public, unknown>, "readTrusted">,
): { readonly keys: readonly PreviousKey<Public>[]; readonly problems: readonly string[] } {
  const keys: PreviousKey<Public>[] = [];
  const problems: string[] = [];
  for (const entry of readEntries(previous, problems)) {
    try {
      const signsUntil = Date.parse(entry.signsUntil);
      const trustedUntil = Date.parse(entry.trustedUntil);
      if (Number.isNaN(signsUntil) || Number.isNaN(trustedUntil)) {
        throw new LanyardError({ code: "rotatingKey.previous", message: "its end is not a time" });
      }
      keys.push({ key: kind.readTrusted(entry.pem), signsUntil, trustedUntil });
    } catch (error) {
      problems.push(`an old key cannot be used: ${messageOf(error)}`);
    }
  }
  return { keys, problems };
}

function readEntries(previous: Secret, problems: string[]): readonly PreviousEntry[] {
  let entries: unknown;
  try {
    entries = JSON.parse(secretTexts(previous)[PREVIOUS_KEYS] ?? "");
  } catch {
    entries = undefined;
  }
  const isEntry = (entry: unknown): entry is PreviousEntry => {
    const { pem, signsUntil, trustedUntil } = (entry ?? {}) as Partial<Record<keyof PreviousEntry, unknown>>;
    return [pem, signsUntil, trustedUntil].every((text) => typeof text === "string");
  };
  if (!Array.isArray(entries) || !entries.every(isEntry)) {
    problems.push(`${PREVIOUS_KEYS} is not a list of old keys`);
    return [];
  }
  return entries;
}
