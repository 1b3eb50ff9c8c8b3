import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Controller, ReconcileResult } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { Secret } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import {
  belongsTo,
  LATEST_WAIT_MILLISECONDS,
  previousSecretName,
  readPrevious,
  rotatedAt,
  SWITCH_MILLISECONDS,
} from "./rotating-key.ts";
import type { PreviousKey, RotatingKeyKind, SigningKey, TrustedKey } from "./rotating-key.ts";
import { secretTexts } from "./serving-certificate-secret.ts";

/** In which every replica with a working watch has heard of a write, as for the serving certificate (clarification 14). */
const SETTLE_MILLISECONDS = 10_000;
/** Timers have a limit, and nothing is gained by longer ones. */
const LONGEST_REQUEUE_MILLISECONDS = 60 * 60 * 1000;

/** What a replica does with the keys now. */
export interface KeysInForce<Public, Private> {
  /** Undefined: nothing is signed for the moment. */
  readonly signing: SigningKey<Public, Private> | undefined;
  /** The Secret's own key first. */
  readonly trusted: readonly TrustedKey<Public>[];
}

export interface RotatingKeyObserverOptions<Public, Private> {
  readonly store: Pick<ResourceStore, "view">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly namespace: string;
  readonly secretName: string;
  readonly kind: RotatingKeyKind<Public, Private>;
  /** Told at every look; undefined: everything is dropped. */
  readonly publish: (keys: KeysInForce<Public, Private> | undefined) => void;
}

/** The key that the Secret held when it could last be read. */
interface Loaded<Public, Private> {
  readonly uid: string | undefined;
  readonly key: SigningKey<Public, Private>;
  readonly rotatedAt: number | undefined;
  /** Milliseconds since the epoch, by this replica's clock. */
  readonly signsFrom: number;
  /** Signs until then; it is nowhere but in this process's memory. */
  readonly retiring: SigningKey<Public, Private> | undefined;
}

/**
 * Follows a Secret with a key that is rotated, on every replica (S10). A key that a rotation wrote is trusted at once; the
 * one before it signs for another minute, from memory. A Secret that is gone, or is another one by its UID, is the
 * emergency brake: all that came before is dropped, signing and trust. One that cannot be read changes nothing.
 */
export function createRotatingKeyObserver<Public, Private>(
  options: RotatingKeyObserverOptions<Public, Private>,
): { readonly controller: Controller; readonly readiness: ReadinessCheck } {
  const { clock, kind, namespace, secretName, log } = options;
  const previousName = previousSecretName(secretName);
  const view = options.store.view(secrets, { namespace });
  let loaded: Loaded<Public, Private> | undefined;
  let waiting = false;
  let told = "";
  const warned = new Map<string, string>();

  const publish = (keys: KeysInForce<Public, Private> | undefined): void => {
    options.publish(keys);
    const fields = { signing: keys?.signing?.id, trusted: keys?.trusted.map(({ id }) => id) ?? [] };
    const text = JSON.stringify(fields);
    if (text !== told) {
      told = text;
      log.info(`${kind.what}: keys in force`, fields);
    }
  };

  const warnOnce = (secret: Secret, message: string, reason: string): void => {
    const { name, resourceVersion = "" } = secret.metadata;
    if (warned.get(name) !== resourceVersion) {
      warned.set(name, resourceVersion);
      log.warning(message, { secret: name, reason });
    }
  };

  const readKey = (secret: Secret): SigningKey<Public, Private> | undefined => {
    try {
      return kind.read(secretTexts(secret));
    } catch (error) {
      warnOnce(secret, `the ${kind.what}'s Secret cannot be used, keeping what is loaded`, messageOf(error));
      return undefined;
    }
  };

  const readOldKeys = (secret: Secret, now: number): readonly PreviousKey<Public>[] => {
    const previous = view.get({ namespace, name: previousName });
    // Without a rotation there is no past: a key that was put in by hand replaces the one before it at once.
    if (previous === undefined || loaded?.rotatedAt === undefined || !belongsTo(previous, secret)) {
      return [];
    }
    const { keys, problems } = readPrevious(previous, kind);
    if (problems.length > 0) {
      warnOnce(previous, `not all old keys of the ${kind.what} can be used`, problems.join("; "));
    }
    const currentId = loaded.key.id;
    return keys.filter(({ key, trustedUntil }) => key.id !== currentId && now < trustedUntil);
  };

  const drop = (): void => {
    const had = loaded !== undefined;
    loaded = undefined;
    waiting = false;
    publish(undefined);
    if (had) {
      log.warning(`the ${kind.what}'s Secret is gone, nothing that came from it is trusted any more`, {
        secret: secretName,
      });
    }
  };

  const load = (secret: Secret, now: number): void => {
    const { uid } = secret.metadata;
    if (loaded !== undefined && loaded.uid !== uid) {
      // It was deleted, even if nobody here saw the moment.
      drop();
    }
    const key = readKey(secret);
    if (key === undefined) {
      return;
    }
    const rotated = rotatedAt(secret, key.id);
    if (loaded?.key.id === key.id) {
      loaded = { ...loaded, key, rotatedAt: rotated };
      return;
    }
    const next = { uid, key, rotatedAt: rotated };
    if (loaded === undefined || rotated === undefined) {
      // A start within the minute finds nothing but the new key. See docs/adr/0011.
      const wait = loaded === undefined && rotated !== undefined ? rotated + SETTLE_MILLISECONDS - now : 0;
      const signsFrom = now + Math.min(Math.max(wait, 0), SETTLE_MILLISECONDS);
      loaded = { ...next, signsFrom, retiring: undefined };
    } else {
      const isLate = now - rotated >= LATEST_WAIT_MILLISECONDS;
      const signer = now < loaded.signsFrom ? loaded.retiring : loaded.key;
      loaded = {
        ...next,
        signsFrom: isLate || signer === undefined ? now : now + SWITCH_MILLISECONDS,
        retiring: isLate ? undefined : signer,
      };
    }
  };

  const reconcile = (): ReconcileResult => {
    // Not having seen it is not the same as its being gone.
    if (!view.hasSynced()) {
      return {};
    }
    const now = clock.now();
    const secret = view.get({ namespace, name: secretName });
    if (secret === undefined) {
      drop();
      return {};
    }
    load(secret, now);
    if (loaded === undefined) {
      publish(undefined);
      return {};
    }
    const old = readOldKeys(secret, now);
    const { retiring } = loaded;
    const mayRetire = retiring !== undefined && old.some(({ key }) => key.id === retiring.id);
    if (retiring !== undefined && (!mayRetire || now >= loaded.signsFrom)) {
      // Its time is over, or its trust was taken away by hand.
      loaded = { ...loaded, retiring: undefined, signsFrom: Math.min(loaded.signsFrom, now) };
    }
    const isCurrent = now >= loaded.signsFrom;
    const signing = isCurrent ? loaded.key : loaded.retiring;
    waiting = signing === undefined;
    publish({ signing, trusted: [loaded.key, ...old.map(({ key }) => key)] });
    const next = Math.min(
      ...(isCurrent ? [] : [loaded.signsFrom]),
      ...old.map(({ trustedUntil }) => trustedUntil),
      now + LONGEST_REQUEUE_MILLISECONDS,
    );
    return { requeueAfterMilliseconds: next - now };
  };

  return {
    controller: {
      name: "certs-observer-controller",
      watch: (enqueue) =>
        view.subscribe(({ name }) => {
          if (name === secretName || name === previousName) {
            enqueue();
          }
        }),
      reconcile: () => Promise.resolve(reconcile()),
    },
    readiness: {
      name: `signing-key/${secretName}`,
      problem: () => (waiting ? `the ${kind.what}'s key was replaced a moment ago` : undefined),
    },
  };
}
