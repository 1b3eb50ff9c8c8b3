import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { isAlreadyExists, isConflict, isNotFound } from "../../kube/api-error.ts";
import type { Controller, ReconcileResult } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { Secret } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import type { ReadonlyHolder } from "../state/holder.ts";
import { MAXIMUM_LIFETIME_SECONDS } from "../credentials/lifetime.ts";
import {
  belongsTo,
  previousSecret,
  previousSecretName,
  readPrevious,
  rotatedAt,
  ROTATE_ANNOTATION,
  SLACK_MILLISECONDS,
  SWITCH_MILLISECONDS,
  withNewKey,
} from "./rotating-key.ts";
import type { PreviousKey, RotatingKeyKind, SigningKey } from "./rotating-key.ts";
import { secretData, secretTexts } from "./serving-certificate-secret.ts";

/** Before the last switch is over on every replica, there is no next rotation. */
const SHORTEST_INTERVAL_MILLISECONDS = SWITCH_MILLISECONDS + SLACK_MILLISECONDS;
/** How long what was noted of an old key can be taken for the rotation that follows; far less than the slack. */
const NOTED_MILLISECONDS = 15_000;
/** So that rotations on demand cannot fill the Secret. */
const MOST_OLD_KEYS = 8;
/** Timers have a limit, and nothing is gained by longer ones. */
const LONGEST_REQUEUE_MILLISECONDS = 60 * 60 * 1000;

export interface RotatingKeyRotatorOptions<Public, Private> {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly namespace: string;
  readonly secretName: string;
  /** The configuration's labels. */
  readonly labels: Readonly<Record<string, string>>;
  readonly kind: RotatingKeyKind<Public, Private>;
  /** The longest lifetime in force decides how long an old key is trusted (S10). */
  readonly credentialSettings: ReadonlyHolder<CredentialSettings>;
}

/** A Secret whose key can be used, and its past. */
interface Situation<Public, Private> {
  readonly secret: Secret;
  readonly key: SigningKey<Public, Private>;
  readonly rotatedAt: number | undefined;
  readonly previous: Secret | undefined;
  /** Those that are trusted still. */
  readonly oldKeys: readonly PreviousKey<Public>[];
}

/**
 * Makes, rotates and tidies up after a key in a Secret; its writes are the leader's (S10, clarification 15). A rotation
 * is two writes: first the old public part with its end into `<Secret>-previous`, then one update of the Secret. What lies
 * between them harms nothing, and whoever leads next begins again.
 */
export function createRotatingKeyRotator<Public, Private>(
  options: RotatingKeyRotatorOptions<Public, Private>,
): Controller {
  const { store, clock, log, namespace, secretName, labels, kind, credentialSettings } = options;
  const previousName = previousSecretName(secretName);
  const view = store.view(secrets, { namespace });

  const create = async (): Promise<void> => {
    try {
      await store.create(secrets, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: secretName, namespace, labels },
        type: "Opaque",
        data: secretData(await kind.generate(clock.now())),
      });
      log.info(`created the ${kind.what}'s key`, { secret: secretName });
    } catch (error) {
      // The cache was behind; the event of that Secret is on its way.
      if (!isAlreadyExists(error)) {
        throw error;
      }
    }
  };

  const removePrevious = async (previous: Secret): Promise<void> => {
    const { uid, resourceVersion } = previous.metadata;
    try {
      await store.delete(
        secrets,
        { namespace, name: previousName },
        {
          ...(uid === undefined ? {} : { uid }),
          ...(resourceVersion === undefined ? {} : { resourceVersion }),
        },
      );
    } catch (error) {
      // It is another one by now, or none; the event is on its way.
      if (!isNotFound(error) && !isConflict(error)) {
        throw error;
      }
    }
  };

  const writePrevious = async (
    { secret, previous }: Situation<Public, Private>,
    keys: readonly PreviousKey<Public>[],
  ): Promise<void> => {
    const object = previousSecret({
      name: previousName,
      namespace,
      labels,
      secretUid: secret.metadata.uid ?? "",
      keys,
      present: previous,
    });
    await (previous === undefined ? store.create(secrets, object) : store.update(secrets, object));
  };

  const endOfTrust = (signsUntil: number): number => {
    const { maximumLifetimeSeconds } = credentialSettings.current.lifetimes;
    const seconds = Math.min(maximumLifetimeSeconds, MAXIMUM_LIFETIME_SECONDS);
    return signsUntil + seconds * 1000 + SLACK_MILLISECONDS;
  };

  const look = (secret: Secret, now: number): Situation<Public, Private> | undefined => {
    let key: SigningKey<Public, Private>;
    try {
      key = kind.read(secretTexts(secret));
    } catch (error) {
      // Somebody is at it; deleting it is the way to get a new one.
      log.debug(`the ${kind.what}'s Secret cannot be used and is left alone`, {
        secret: secretName,
        reason: messageOf(error),
      });
      return undefined;
    }
    const previous = view.get({ namespace, name: previousName });
    const rotated = rotatedAt(secret, key.id);
    const counts = previous !== undefined && rotated !== undefined && belongsTo(previous, secret);
    const oldKeys = counts
      ? readPrevious(previous, kind).keys.filter(
          ({ key: old, trustedUntil }) => old.id !== key.id && now < trustedUntil,
        )
      : [];
    return { secret, key, rotatedAt: rotated, previous, oldKeys };
  };

  /** When the key is to be replaced; 0 when an administrator asks for it. */
  const dueAt = ({ secret, key, rotatedAt: rotated }: Situation<Public, Private>): number => {
    const { annotations, creationTimestamp = "" } = secret.metadata;
    if (annotations?.[ROTATE_ANNOTATION] !== undefined) {
      return 0;
    }
    const created = Date.parse(creationTimestamp);
    return kind.rotationDueAt(key, rotated ?? (Number.isNaN(created) ? clock.now() : created));
  };

  /** The earliest moment at which the state of things allows a rotation. */
  const possibleAt = ({ rotatedAt: rotated, oldKeys }: Situation<Public, Private>): number =>
    Math.max(
      rotated === undefined ? 0 : rotated + SHORTEST_INTERVAL_MILLISECONDS,
      oldKeys.length < MOST_OLD_KEYS ? 0 : Math.min(...oldKeys.map(({ trustedUntil }) => trustedUntil)),
    );

  const rotate = async (situation: Situation<Public, Private>): Promise<void> => {
    const now = clock.now();
    const signsUntil = now + SWITCH_MILLISECONDS;
    const old = { key: situation.key, signsUntil, trustedUntil: endOfTrust(signsUntil) };
    // Before the Secret: there is no moment at which a replica that starts does not trust the old key.
    if (!isNotedAlready(situation, now)) {
      await writePrevious(situation, [old, ...situation.oldKeys]);
    }
    const texts = await kind.generate(now);
    const { id } = kind.read(texts);
    await store.update(secrets, withNewKey(situation.secret, texts, id, clock.now()));
    log.info(`rotated the ${kind.what}'s key`, {
      secret: secretName,
      from: situation.key.id,
      to: id,
      oldTrustedUntil: new Date(old.trustedUntil).toISOString(),
    });
  };

  /** When the second write fails, the first is not repeated each time: it would wake us up again at once. */
  const isNotedAlready = ({ secret, key, previous }: Situation<Public, Private>, now: number): boolean =>
    previous !== undefined &&
    belongsTo(previous, secret) &&
    readPrevious(previous, kind).keys.some(
      ({ key: old, signsUntil }) =>
        old.id === key.id && Math.abs(signsUntil - SWITCH_MILLISECONDS - now) < NOTED_MILLISECONDS,
    );

  /** Old keys leave at their end; while one may still sign, a longer lifetime moves its end. */
  const tidy = async (situation: Situation<Public, Private>, now: number): Promise<void> => {
    const { previous, oldKeys } = situation;
    if (previous === undefined) {
      return;
    }
    // Deleted by hand, the old keys are of no more worth than the one that was in the Secret.
    if (oldKeys.length === 0) {
      await removePrevious(previous);
      return;
    }
    const keys = oldKeys.map((old) =>
      now < old.signsUntil + SLACK_MILLISECONDS
        ? { ...old, trustedUntil: Math.max(old.trustedUntil, endOfTrust(old.signsUntil)) }
        : old,
    );
    const isSame =
      readPrevious(previous, kind).keys.length === keys.length &&
      keys.every(({ trustedUntil }, index) => trustedUntil === oldKeys[index]?.trustedUntil);
    if (!isSame) {
      await writePrevious(situation, keys);
    }
  };

  const reconcile = async (): Promise<ReconcileResult> => {
    if (!view.hasSynced()) {
      return {};
    }
    const secret = view.get({ namespace, name: secretName });
    if (secret === undefined) {
      await create();
      return {};
    }
    const now = clock.now();
    const situation = look(secret, now);
    if (situation === undefined) {
      return {};
    }
    const next = Math.max(dueAt(situation), possibleAt(situation));
    if (next <= now) {
      await rotate(situation);
      return {};
    }
    await tidy(situation, now);
    return {
      requeueAfterMilliseconds:
        Math.min(
          next,
          ...situation.oldKeys.map(({ trustedUntil }) => trustedUntil),
          now + LONGEST_REQUEUE_MILLISECONDS,
        ) - now,
    };
  };

  return {
    name: "certs-manager-controller",
    watch: (enqueue) => {
      const stops = [
        view.subscribe(({ name }) => {
          if (name === secretName || name === previousName) {
            enqueue();
          }
        }),
        credentialSettings.subscribe(() => enqueue()),
      ];
      return () => stops.forEach((stop) => stop());
    },
    reconcile,
  };
}
