import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import type { Clock, ManualClock } from "../../clock.ts";
import { runControllers } from "../../kube/controller-runtime.ts";
import type { RunningControllers } from "../../kube/controller-runtime.ts";
import { secrets } from "../../kube/objects.ts";
import type { Secret } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import { createHolder } from "../state/holder.ts";
import type { Holder } from "../state/holder.ts";
import type { BearerKeys } from "../state/proxy.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import type { MemoryClient, MemoryCluster } from "../testing/memory-store.ts";
import { createProxyTokenKeyControllers, proxyTokenKeySecretName } from "./proxy-token-key.ts";
import { ROTATE_ANNOTATION } from "./rotating-key.ts";
import { secretData, secretTexts } from "./serving-certificate-secret.ts";

const namespace = "concierge";
const secretName = "app-impersonation-proxy-token-key";
const key = { namespace, name: secretName };
const previousKey = { namespace, name: `${secretName}-previous` };
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
/** Lifetime of 300 s, five minutes of slack, from the switch. */
const OVERLAP = 10 * MINUTE;

interface Replica {
  readonly client: MemoryClient;
  readonly keys: Holder<BearerKeys | undefined>;
  readonly settings: Holder<CredentialSettings>;
  readonly readiness: readonly ReadinessCheck[];
  readonly running: RunningControllers;
  signs(): string | undefined;
  trusts(): readonly string[];
}

interface World {
  readonly clock: ManualClock;
  readonly cluster: MemoryCluster;
  readonly admin: MemoryClient;
  leader: number;
  readonly replicas: Replica[];
  start(options?: StartOptions): Replica;
  secret(): Promise<Secret>;
  previous(): Promise<Secret | undefined>;
  settle(): Promise<void>;
  /** `kubectl annotate` by an administrator. */
  askForRotation(): Promise<void>;
  writes(from: number): readonly string[];
}

interface StartOptions {
  /** How far this replica's clock is ahead. */
  readonly skew?: number;
  readonly lagging?: boolean;
  readonly wrap?: (client: MemoryClient) => ResourceStore;
}

/** Starts replicas with these options each; the first leads. */
async function createWorld(...replicas: readonly StartOptions[]): Promise<World> {
  const clock = createManualClock();
  const cluster = createMemoryCluster(clock);
  const admin = cluster.client();
  const world: World = {
    clock,
    cluster,
    admin,
    leader: 0,
    replicas: [],
    start: ({ skew = 0, lagging = false, wrap = (client: MemoryClient): ResourceStore => client } = {}) => {
      const index = world.replicas.length;
      const client = cluster.client({ mayWrite: () => world.leader === index, lagging });
      const keys = createHolder<BearerKeys | undefined>(undefined);
      const settings = createHolder(defaultCredentialSettings);
      const ownClock: Clock = { ...clock, now: () => clock.now() + skew };
      const { controllers, readiness } = createProxyTokenKeyControllers({
        store: wrap(client),
        clock: ownClock,
        log: silentLogger,
        bearerKeys: keys,
        credentialSettings: settings,
        namespace,
        secretName,
        labels: { app: "app" },
      });
      const running = runControllers({
        controllers,
        clock: ownClock,
        log: silentLogger,
        signal: new AbortController().signal,
        random: () => 0.5,
      });
      const replica: Replica = {
        client,
        keys,
        settings,
        readiness,
        running,
        signs: () => keys.current?.signing?.kid,
        trusts: () => [...(keys.current?.trusted.keys() ?? [])],
      };
      world.replicas.push(replica);
      return replica;
    },
    secret: () => admin.get(secrets, key),
    previous: () => admin.get(secrets, previousKey).catch(() => undefined),
    settle: async () => {
      for (let turn = 0; turn < 4; turn++) {
        await clock.advance(50);
      }
    },
    askForRotation: async () => {
      const secret = await world.secret();
      await admin.update(secrets, {
        ...secret,
        metadata: {
          ...secret.metadata,
          annotations: { ...secret.metadata.annotations, [ROTATE_ANNOTATION]: "now" },
        },
      });
    },
    writes: (from) =>
      cluster.writes.slice(from).map((write) => write.replaceAll(`secrets/${namespace}/${secretName}`, "it")),
  };
  for (const replica of replicas.length === 0 ? [{}, {}] : replicas) {
    world.start(replica);
  }
  await world.settle();
  return world;
}

const all = (world: World, of: (replica: Replica) => unknown): unknown => world.replicas.map(of);

/** Rotates, and answers old and new `kid`. */
async function rotate(world: World): Promise<{ readonly old: string; readonly fresh: string }> {
  const old = world.replicas[0]?.signs() ?? "";
  await world.askForRotation();
  await world.settle();
  const fresh = world.replicas[0]?.trusts()[0] ?? "";
  assert.notEqual(fresh, old, "it was not rotated");
  return { old, fresh };
}

test("S9: the token key has a Secret of its own, beside the signer's", () => {
  assert.equal(
    proxyTokenKeySecretName("app-impersonation-proxy-signer-ca-certificate"),
    "app-impersonation-proxy-token-key",
  );
  assert.equal(proxyTokenKeySecretName("some-signer"), "some-signer-token-key");
});

test("the first key is made by the leader alone and signs at once", async () => {
  const world = await createWorld();
  const secret = await world.secret();
  assert.deepEqual(Object.keys(secret.data ?? {}), ["privateKey"]);
  assert.equal(secret.type, "Opaque");
  assert.deepEqual(secret.metadata.labels, { app: "app" });
  assert.deepEqual(world.writes(0), ["create it"]);
  const kid = world.replicas[0]?.signs();
  assert.ok(kid !== undefined);
  assert.deepEqual(
    all(world, (replica) => [replica.signs(), replica.trusts()]),
    [
      [kid, [kid]],
      [kid, [kid]],
    ],
  );
  const { signing, trusted } = world.replicas[1]?.keys.current ?? {};
  assert.ok(signing !== undefined && createPublicKey(signing.privateKey).equals(trusted?.get(kid) as never));
  assert.deepEqual(
    all(world, ({ readiness }) => readiness[0]?.problem()),
    [undefined, undefined],
  );
});

test("S10: a scheduled rotation is one update, with an overlap of trust and none of private keys", async () => {
  const world = await createWorld();
  const created = await world.secret();
  const oldPem = secretTexts(created)["privateKey"] ?? "";
  const old = world.replicas[0]?.signs() ?? "";
  const from = world.cluster.writes.length;
  // Nobody runs for a month, which would be a long test.
  await Promise.all(world.replicas.splice(0).map(({ running }) => running.stop()));
  await world.clock.advance(30 * DAY - MINUTE);
  world.leader = 0;
  world.start();
  world.start();
  await world.settle();
  assert.deepEqual(world.writes(from), []);
  await world.clock.advance(MINUTE);
  await world.settle();
  assert.deepEqual(world.writes(from), ["create it-previous", "update it"]);
  const switchedAt = world.clock.now();

  const present = await world.secret();
  assert.equal(present.metadata.uid, created.metadata.uid, "it is never deleted");
  assert.deepEqual(Object.keys(present.data ?? {}), ["privateKey"]);
  for (const secret of world.admin.view(secrets).list()) {
    const text = JSON.stringify(secretTexts(secret));
    assert.ok(!text.includes(oldPem.split("\n")[1] ?? "?"), "the old private key is still there");
  }
  const previous = secretTexts((await world.previous()) as Secret)["keys.json"] ?? "";
  assert.ok(!previous.includes("PRIVATE"));

  const [, fresh = ""] = [old, world.replicas[0]?.trusts()[0]];
  assert.notEqual(fresh, old);
  const expect = (signs: string, trusts: readonly string[], when: string): void =>
    assert.deepEqual(
      all(world, (replica) => [replica.signs(), replica.trusts()]),
      world.replicas.map(() => [signs, trusts]),
      when,
    );
  expect(old, [fresh, old], "just after");
  await world.clock.advance(switchedAt + 59 * SECOND - world.clock.now());
  expect(old, [fresh, old], "after 59 s");
  await world.clock.advance(2 * SECOND);
  expect(fresh, [fresh, old], "after 61 s");
  await world.clock.advance(OVERLAP - 5 * SECOND);
  expect(fresh, [fresh, old], "just before the end of the overlap");
  assert.ok((await world.previous()) !== undefined);
  await world.clock.advance(10 * SECOND);
  expect(fresh, [fresh], "after the overlap");
  assert.equal(await world.previous(), undefined);
  assert.deepEqual(world.writes(from), ["create it-previous", "update it", "delete it-previous"]);
});

test("S10: whatever the clocks say, a new key signs only a minute after it was written, and all trust what any signs", async () => {
  const skews = [0, 200 * SECOND, -200 * SECOND, 20 * SECOND];
  const world = await createWorld(...skews.map((skew) => ({ skew })));
  const { old } = await rotate(world);
  const last = new Map<string, number>();
  for (let second = 0; second < 58; second++) {
    assert.deepEqual(
      all(world, (replica) => replica.signs()),
      skews.map(() => old),
      `after ${second} s`,
    );
    await world.clock.advance(SECOND);
  }
  const lifetime = 300 * SECOND;
  for (let second = 58; second < 20 * 60; second++) {
    for (const replica of world.replicas) {
      const kid = replica.signs() ?? "";
      last.set(kid, world.clock.now());
      assert.ok(world.replicas.every((each) => each.trusts().includes(kid)));
    }
    // What was signed last with the old key is believed as long as it lives.
    if (world.clock.now() < (last.get(old) ?? 0) + lifetime) {
      assert.ok(
        world.replicas.every((each) => each.trusts().includes(old)),
        `after ${second} s`,
      );
    }
    await world.clock.advance(SECOND);
  }
  assert.ok(world.replicas.every((each) => each.trusts().length === 1));
});

test("a replica that hears of a rotation late still gives the others their minute, or switches at once", async () => {
  const world = await createWorld({}, { lagging: true });
  const slow = world.replicas[1] as Replica;
  slow.client.deliver();
  await world.settle();
  const { old, fresh } = await rotate(world);
  await world.clock.advance(3 * MINUTE);
  assert.equal(slow.signs(), old);
  slow.client.deliver();
  await world.settle();
  assert.equal(slow.signs(), old);
  await world.clock.advance(MINUTE);
  assert.equal(slow.signs(), fresh);
  assert.ok(world.replicas[0]?.trusts().includes(old));

  await world.clock.advance(10 * MINUTE);
  slow.client.deliver();
  const second = await rotate(world);
  await world.clock.advance(4 * MINUTE);
  slow.client.deliver();
  await world.settle();
  assert.equal(slow.signs(), second.fresh, "the slack must not be used up");
});

test("a replica that starts within the minute is not ready and signs nothing for 10 s, then with the new key", async () => {
  const world = await createWorld();
  const { old, fresh } = await rotate(world);
  const early = world.start();
  await world.settle();
  assert.equal(early.signs(), undefined);
  assert.deepEqual(early.trusts(), [fresh, old], "it believes what the others sign");
  assert.match(early.readiness[0]?.problem() ?? "", /replaced a moment ago/);
  await world.clock.advance(10 * SECOND);
  assert.equal(early.signs(), fresh);
  assert.equal(early.readiness[0]?.problem(), undefined);
  assert.equal(world.replicas[0]?.signs(), old);
  assert.ok(world.replicas[0].trusts().includes(fresh));
  const later = world.start();
  await world.settle();
  assert.equal(later.signs(), fresh, "10 s after the write nobody waits");
  const fast = world.start({ skew: -10 * MINUTE });
  await world.settle();
  await world.clock.advance(10 * SECOND);
  assert.equal(fast.signs(), fresh, "a clock that is behind makes nobody wait longer");
});

test("S10: deleting the Secret is the emergency brake: everything is dropped, without overlap", async () => {
  const world = await createWorld();
  const { old, fresh } = await rotate(world);
  assert.equal(world.replicas[0]?.signs(), old);
  // No leader: what is dropped is seen before anything new comes.
  world.leader = -1;
  await world.admin.delete(secrets, key);
  await world.clock.advance(0);
  assert.deepEqual(
    all(world, ({ keys }) => keys.current),
    [undefined, undefined],
  );
  assert.ok((await world.previous()) !== undefined);
  world.leader = 1;
  await world.clock.advance(MINUTE);
  const next = world.replicas[0].signs() ?? "";
  assert.ok(![old, fresh, ""].includes(next));
  assert.deepEqual(
    all(world, (replica) => [replica.signs(), replica.trusts()]),
    [
      [next, [next]],
      [next, [next]],
    ],
  );
  assert.equal(await world.previous(), undefined);
});

test("S10: a deletion that a replica did not see counts all the same, and a restored copy has no past", async () => {
  const world = await createWorld({}, { lagging: true });
  const slow = world.replicas[1] as Replica;
  slow.client.deliver();
  await world.settle();
  const { old, fresh } = await rotate(world);
  slow.client.deliver();
  await world.clock.advance(2 * MINUTE);
  assert.deepEqual([slow.signs(), slow.trusts()], [fresh, [fresh, old]]);
  const dropped: (BearerKeys | undefined)[] = [];
  slow.keys.subscribe((keys) => dropped.push(keys));

  // Deleted and put back, annotations and all; the leader is away, so `-previous` stays.
  const copy = await world.secret();
  world.leader = -1;
  await world.admin.delete(secrets, key);
  await world.admin.create(secrets, copy);
  await world.clock.advance(0);
  slow.client.deliver();
  await world.settle();
  assert.ok((await world.previous()) !== undefined);
  assert.equal(dropped[0], undefined, "what it let in is not cut");
  assert.deepEqual(
    all(world, (replica) => [replica.signs(), replica.trusts()]),
    [
      [fresh, [fresh]],
      [fresh, [fresh]],
    ],
  );
  world.leader = 0;
  await world.clock.advance(MINUTE);
  assert.equal(await world.previous(), undefined);
});

test("S10: deleting the old keys drops them alone, and ends the minute of the one that still signs", async () => {
  for (const wait of [0, 2 * MINUTE]) {
    const world = await createWorld();
    const { fresh } = await rotate(world);
    await world.clock.advance(wait);
    await world.admin.delete(secrets, previousKey);
    await world.clock.advance(0);
    assert.deepEqual(
      all(world, (replica) => [replica.signs(), replica.trusts()]),
      [
        [fresh, [fresh]],
        [fresh, [fresh]],
      ],
    );
    await world.clock.advance(MINUTE);
    assert.equal(await world.previous(), undefined, "they do not come back");
  }
});

test("an informer that has not synced is no deletion", async () => {
  let synced = false;
  const world = await createWorld(
    {},
    {
      wrap: (client) => ({
        ...client,
        view: (resource, scope) => {
          const view = client.view(resource, scope);
          return {
            ...view,
            get: (wanted) => (synced ? view.get(wanted) : undefined),
            hasSynced: () => synced,
          };
        },
      }),
    },
  );
  const [, late] = world.replicas;
  assert.equal(late?.keys.current, undefined);
  synced = true;
  await world.clock.advance(3 * MINUTE);
  assert.equal(late?.signs(), world.replicas[0]?.signs());
  synced = false;
  world.leader = 1;
  await world.clock.advance(3 * MINUTE);
  assert.equal(late?.signs(), world.replicas[0]?.signs());
  assert.deepEqual(world.writes(0), ["create it"]);
});

test("a Secret that cannot be used keeps what is loaded, the overlap too, and is not overwritten", async () => {
  const world = await createWorld();
  const { old, fresh } = await rotate(world);
  const good = await world.secret();
  await world.admin.update(secrets, { ...good, data: secretData({ privateKey: "bad" }) });
  const from = world.cluster.writes.length;
  await world.clock.advance(30 * SECOND);
  assert.deepEqual([world.replicas[1]?.signs(), world.replicas[1]?.trusts()], [old, [fresh, old]]);
  await world.clock.advance(MINUTE);
  assert.deepEqual([world.replicas[1]?.signs(), world.replicas[1]?.trusts()], [fresh, [fresh, old]]);
  await world.clock.advance(20 * MINUTE);
  assert.deepEqual([world.replicas[1]?.signs(), world.replicas[1]?.trusts()], [fresh, [fresh]]);
  assert.deepEqual(world.writes(from), []);
  const { data: _data, ...empty } = await world.secret();
  await world.admin.update(secrets, empty);
  await world.clock.advance(MINUTE);
  assert.equal(world.replicas[1]?.signs(), fresh);
  await world.admin.delete(secrets, key);
  await world.clock.advance(MINUTE);
  assert.ok(![fresh, undefined].includes(world.replicas[1]?.signs()), "deleting it helps");
});

test("a key that an administrator puts in is in force at once, alone, and its past is removed", async () => {
  const world = await createWorld();
  const { old, fresh } = await rotate(world);
  const other = await createWorld();
  const given = secretTexts(await other.secret())["privateKey"] ?? "";
  const givenKid = other.replicas[0]?.signs();
  const secret = await world.secret();
  // Nobody leads who would tidy up.
  world.leader = -1;
  await world.admin.update(secrets, {
    ...secret,
    // In SEC 1, as `openssl ecparam` writes it.
    data: secretData({
      privateKey: createPrivateKey(given).export({ format: "pem", type: "sec1" }),
    }),
  });
  await world.settle();
  assert.ok(![old, fresh].includes(givenKid ?? ""));
  assert.deepEqual(
    all(world, (replica) => [replica.signs(), replica.trusts()]),
    [
      [givenKid, [givenKid]],
      [givenKid, [givenKid]],
    ],
  );
  assert.ok((await world.previous()) !== undefined);
  world.leader = 0;
  await world.clock.advance(MINUTE);
  assert.equal(await world.previous(), undefined);
  const rotated = await rotate(world);
  assert.equal(rotated.old, givenKid);
  assert.deepEqual(world.replicas[1]?.trusts(), [rotated.fresh, givenKid]);
});

test("a crash between the two writes is continued by the next leader", async () => {
  const world = await createWorld();
  const old = world.replicas[0]?.signs() ?? "";
  world.cluster.beforeWrite = (write) => {
    if (write === `update secrets/${namespace}/${secretName}`) {
      throw new Error("the connection broke");
    }
  };
  await world.askForRotation();
  await world.settle();
  assert.ok((await world.previous()) !== undefined);
  assert.deepEqual(
    all(world, (replica) => [replica.signs(), replica.trusts()]),
    [
      [old, [old]],
      [old, [old]],
    ],
  );
  await world.clock.advance(5 * SECOND);
  const attempts = world.cluster.writes.length;
  assert.ok(attempts < 5, `${attempts} writes`);
  await world.replicas[0]?.running.stop();
  world.cluster.beforeWrite = undefined;
  world.leader = 1;
  await world.clock.advance(3 * MINUTE);
  const fresh = world.replicas[1]?.trusts()[0] ?? "";
  assert.notEqual(fresh, old);
  assert.deepEqual(world.replicas[1]?.trusts(), [fresh, old]);
  assert.equal((await world.secret()).metadata.annotations?.[ROTATE_ANNOTATION], undefined);
  await world.clock.advance(MINUTE + OVERLAP);
  assert.deepEqual(world.replicas[1]?.trusts(), [fresh]);
  assert.equal(await world.previous(), undefined);
});

test("when the wish is taken back after such a crash, nothing stays of it", async () => {
  const world = await createWorld();
  const old = world.replicas[0]?.signs();
  world.cluster.beforeWrite = (write) => {
    if (write.startsWith("update ")) {
      throw new Error("the connection broke");
    }
  };
  await world.askForRotation();
  await world.settle();
  const secret = await world.secret();
  await world.admin.update(secrets, { ...secret, metadata: { ...secret.metadata, annotations: {} } });
  await world.clock.advance(MINUTE);
  assert.equal(await world.previous(), undefined);
  assert.equal(world.replicas[0]?.signs(), old);
});

test("another leader ends the overlap, and cannot rotate from a stale copy", async () => {
  const world = await createWorld({}, { lagging: true });
  world.replicas[1]?.client.deliver();
  await world.settle();
  await world.askForRotation();
  // The one that lags still sees the wish when it takes over.
  world.replicas[1]?.client.deliver();
  await world.settle();
  const rotated = await world.secret();
  world.leader = 1;
  await world.clock.advance(5 * SECOND);
  assert.deepEqual((await world.secret()).data, rotated.data);
  world.replicas[1]?.client.deliver();
  await world.clock.advance(OVERLAP + 2 * MINUTE);
  world.replicas[1]?.client.deliver();
  await world.clock.advance(MINUTE);
  assert.deepEqual((await world.secret()).data, rotated.data);
  assert.equal(await world.previous(), undefined);
});

test("rotations on demand wait for the one before, and are bounded", async () => {
  const world = await createWorld();
  for (const { settings } of world.replicas) {
    settings.set({
      ...defaultCredentialSettings,
      lifetimes: { ...defaultCredentialSettings.lifetimes, maximumLifetimeSeconds: 7200 },
    });
  }
  const { fresh } = await rotate(world);
  await world.askForRotation();
  await world.clock.advance(5 * MINUTE);
  assert.equal(world.replicas[0]?.trusts()[0], fresh);
  await world.clock.advance(2 * MINUTE);
  assert.notEqual(world.replicas[0]?.trusts()[0], fresh);
  for (let round = 0; round < 10; round++) {
    await world.askForRotation();
    await world.clock.advance(7 * MINUTE);
  }
  assert.equal(world.replicas[1]?.trusts().length, 9);
  assert.equal((await world.secret()).metadata.annotations?.[ROTATE_ANNOTATION], "now");
  await world.clock.advance(150 * MINUTE);
  assert.equal((await world.secret()).metadata.annotations?.[ROTATE_ANNOTATION], undefined);
});

test("the overlap follows the longest lifetime in force, up to a day, also when it grows while the old key signs", async () => {
  for (const [seconds, expected] of [
    [60, 60],
    [3600, 3600],
    [1_000_000, 86_400],
  ] as const) {
    const world = await createWorld();
    const set = (maximumLifetimeSeconds: number): void =>
      world.replicas[0]?.settings.set({
        ...defaultCredentialSettings,
        lifetimes: { ...defaultCredentialSettings.lifetimes, maximumLifetimeSeconds },
      });
    if (seconds !== 1_000_000) {
      set(seconds);
    }
    const { old } = await rotate(world);
    await world.clock.advance(30 * SECOND);
    set(seconds);
    await world.settle();
    const previous = secretTexts((await world.previous()) as Secret)["keys.json"] ?? "";
    const [entry] = JSON.parse(previous) as readonly Record<string, string>[];
    const end = Date.parse(entry?.["trustedUntil"] ?? "");
    assert.equal(end, Date.parse(entry?.["signsUntil"] ?? "") + expected * SECOND + 5 * MINUTE);
    // A day of a test's clock takes long.
    if (seconds <= 3600) {
      await world.clock.advance(end - 1 - world.clock.now());
      assert.ok(world.replicas[1]?.trusts().includes(old), `${seconds}`);
      await world.clock.advance(SECOND);
      assert.ok(!world.replicas[1]?.trusts().includes(old), `${seconds}`);
    }
  }
});

test("each old key is read alone, and none with a private key", async () => {
  const world = await createWorld();
  const { old, fresh } = await rotate(world);
  const previous = (await world.previous()) as Secret;
  const [entry] = JSON.parse(secretTexts(previous)["keys.json"] ?? "") as readonly Record<string, string>[];
  const write = async (keys: unknown): Promise<void> => {
    // No leader: it would tidy up at once.
    world.leader = -1;
    const present = (await world.previous()) as Secret;
    await world.admin.update(secrets, {
      ...present,
      data: secretData({ "keys.json": JSON.stringify(keys) }),
    });
    await world.clock.advance(0);
  };
  const { privateKey } = secretTexts(await (await createWorld()).secret());
  await write([
    { ...entry, pem: "bad" },
    { ...entry, pem: privateKey },
    { ...entry, trustedUntil: "never" },
    entry,
  ]);
  assert.deepEqual(world.replicas[0]?.trusts(), [fresh, old]);
  await write([{ ...entry, pem: privateKey }]);
  assert.deepEqual(world.replicas[0]?.trusts(), [fresh]);
  await write({ entry });
  assert.deepEqual(world.replicas[0]?.trusts(), [fresh]);
});
