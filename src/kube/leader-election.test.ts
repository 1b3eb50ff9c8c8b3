import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { type Clock, createManualClock, type ManualClock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import { silentLogger } from "../telemetry/log.ts";
import type { KubernetesClient, KubernetesRequest, KubernetesResponse } from "./kubernetes-client.ts";
import type { Lease } from "./leader-election-lease.ts";
import { createLeaderElection, type LeaderElection, type LeaderElectionOptions } from "./leader-election.ts";

const path = "/apis/coordination.k8s.io/v1/namespaces/concierge/leases";
const short = { lease: 5000, renewDeadline: 3000, retryPeriod: 1000 };

/** One Lease with optimistic concurrency, as an API server keeps it. */
interface LeaseServer {
  lease: Lease | undefined;
  readonly requests: { method: string; holder: string | undefined }[];
  handle(request: KubernetesRequest): KubernetesResponse;
}

function createLeaseServer(): LeaseServer {
  let version = 0;
  const answer = (status: number, body: unknown): KubernetesResponse => ({
    status,
    headers: {},
    text: JSON.stringify(body),
  });
  const refuse = (code: number, reason: string): KubernetesResponse =>
    answer(code, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      reason,
      message: reason,
      code,
    });
  const server: LeaseServer = {
    lease: undefined,
    requests: [],
    handle: (request) => {
      const body = request.body === undefined ? undefined : (structuredClone(request.body) as Lease);
      server.requests.push({ method: request.method, holder: body?.spec?.holderIdentity ?? undefined });
      if (request.method === "POST" && request.path === path && body !== undefined) {
        if (server.lease !== undefined) {
          return refuse(409, "AlreadyExists");
        }
        server.lease = { ...body, metadata: { ...body.metadata, resourceVersion: String(++version) } };
        return answer(201, server.lease);
      }
      assert.equal(request.path, `${path}/lanyard`);
      if (server.lease === undefined) {
        return refuse(404, "NotFound");
      }
      if (request.method === "GET") {
        return answer(200, server.lease);
      }
      assert.equal(request.method, "PUT");
      if (body === undefined || body.metadata.resourceVersion !== server.lease.metadata.resourceVersion) {
        return refuse(409, "Conflict");
      }
      server.lease = { ...body, metadata: { ...body.metadata, resourceVersion: String(++version) } };
      return answer(200, server.lease);
    },
  };
  return server;
}

type Network = "ok" | "lost request" | "lost answer" | "late request" | "late answer" | "error";

/** A process on its own machine: its clocks are off, it can be frozen, and its network misbehaves. */
interface Replica {
  readonly election: LeaderElection;
  readonly events: boolean[];
  readonly ended: Promise<void>;
  frozen: boolean;
  dead: boolean;
  network: Network;
  wallSkew: number;
  thaw(beforeTimers: () => void): void;
}

function startReplica(
  world: ManualClock,
  server: LeaseServer,
  identity: string,
  options: Partial<LeaderElectionOptions> = {},
  wallSkew = 0,
): Replica {
  const waiting: (() => void)[] = [];
  const gated = (callback: () => void) => () => {
    if (replica.frozen) {
      waiting.push(callback);
    } else if (!replica.dead) {
      callback();
    }
  };
  const schedule: Clock["schedule"] = (milliseconds, callback) =>
    world.schedule(milliseconds, gated(callback));
  const clock: Clock = {
    now: () => world.now() + replica.wallSkew,
    schedule,
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        schedule(milliseconds, resolve);
        signal?.addEventListener("abort", () => resolve(), { once: true });
      }),
  };
  const raw: KubernetesClient["raw"] = (request) =>
    new Promise((resolve, reject) => {
      const network = replica.network;
      const send = (): void => {
        const response = server.handle(request);
        if (network !== "lost answer") {
          world.schedule(
            network === "late answer" ? 1200 : 10,
            gated(() => resolve(response)),
          );
        }
      };
      if (network === "error") {
        reject(new LanyardError({ code: "kubernetes.unreachable", message: "connection refused" }));
      } else if (network !== "lost request") {
        world.schedule(network === "late request" ? 4000 : 10, send);
      }
    });
  const events: boolean[] = [];
  const election = createLeaderElection({
    client: { raw } as KubernetesClient,
    lease: { namespace: "concierge", name: "lanyard" },
    identity,
    durations: short,
    clock,
    monotonicNow: () => world.now() + 77,
    log: silentLogger,
    random: () => 0.5,
    ...options,
  });
  const replica: Replica = {
    election,
    events,
    frozen: false,
    dead: false,
    network: "ok",
    wallSkew,
    ended: Promise.resolve(),
    thaw: (beforeTimers) => {
      replica.frozen = false;
      beforeTimers();
      for (const callback of waiting.splice(0)) {
        gated(callback)();
      }
    },
  };
  election.subscribe((isLeader) => events.push(isLeader));
  Object.assign(replica, { ended: election.run(new AbortController().signal) });
  return replica;
}

function leaders(replicas: readonly Replica[]): Replica[] {
  return replicas.filter((replica) => !replica.frozen && !replica.dead && replica.election.isLeader());
}

describe("leader election on the wire", () => {
  it("creates the Lease as client-go's LeaseLock does, with our labels and owner", async () => {
    const world = createManualClock(Date.UTC(2026, 10, 22, 1, 2, 3, 45));
    const server = createLeaseServer();
    const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "lanyard", uid: "u" };
    const one = startReplica(world, server, "pod-a", {
      durations: { lease: 137_000, renewDeadline: 107_000, retryPeriod: 26_000 },
      labels: { app: "lanyard" },
      ownerReferences: () => [owner],
    });
    await world.advance(100);
    assert.equal(one.election.isLeader(), true);
    assert.deepEqual(server.lease, {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: {
        namespace: "concierge",
        name: "lanyard",
        labels: { app: "lanyard" },
        ownerReferences: [owner],
        resourceVersion: "1",
      },
      spec: {
        holderIdentity: "pod-a",
        leaseDurationSeconds: 137,
        acquireTime: "2026-11-22T01:02:03.065000Z",
        renewTime: "2026-11-22T01:02:03.065000Z",
        leaseTransitions: 0,
      },
    });
  });

  it("clears the flag before it releases, and the next one takes over at once", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    await world.advance(100);
    const term = one.election.signal();
    assert.equal(term.aborted, false);
    let whenReleased: boolean | undefined;
    const handle = server.handle.bind(server);
    server.handle = (request) => {
      const spec = (request.body as Lease | undefined)?.spec;
      if (spec?.holderIdentity === "") {
        whenReleased = one.election.isLeader();
      }
      return handle(request);
    };
    const two = startReplica(world, server, "pod-b");
    await world.advance(1500);
    assert.equal(two.election.isLeader(), false);
    const released = one.election.release();
    assert.equal(one.election.isLeader(), false, "cleared before the first await");
    assert.equal(term.aborted, true);
    await world.advance(100);
    await released;
    await one.ended;
    assert.equal(whenReleased, false);
    assert.equal(server.lease?.spec?.holderIdentity, "");
    assert.equal(server.lease?.spec?.leaseDurationSeconds, 1);
    assert.equal(server.lease?.spec?.leaseTransitions, 0);
    await world.advance(1000);
    assert.equal(two.election.isLeader(), true);
    assert.equal(server.lease?.spec?.leaseTransitions, 1);
    assert.deepEqual(one.events, [true, false]);
  });

  it("keeps the Lease and its acquire time while it renews, and unknown fields with it", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    await world.advance(100);
    const first = server.lease;
    assert.ok(first !== undefined);
    server.lease = { ...first, spec: { ...first.spec, strategy: "x" } as Lease["spec"] & object };
    server.lease = { ...server.lease, metadata: { ...first.metadata, resourceVersion: "touched" } };
    await world.advance(20_000);
    assert.equal(one.election.isLeader(), true);
    assert.deepEqual(one.events, [true], "a conflict is answered by reading again, not by giving up");
    assert.equal(server.lease?.spec?.acquireTime, first.spec?.acquireTime);
    assert.notEqual(server.lease?.spec?.renewTime, first.spec?.renewTime);
    assert.equal((server.lease?.spec as Record<string, unknown> | undefined)?.["strategy"], "x");
  });

  it("makes every renewal visible even if the wall clock stands still", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const still: Clock = { ...world, now: () => 1_000_000 };
    const one = startReplica(world, server, "pod-a", { clock: still });
    const two = startReplica(world, server, "pod-b");
    await world.advance(30_000);
    assert.equal(one.election.isLeader(), true);
    assert.deepEqual(two.events, []);
  });

  it("takes over within 165 s with the real durations, and not before the lease is over", async () => {
    for (const random of [0, 0.5, 0.999]) {
      const world = createManualClock();
      const server = createLeaseServer();
      const real = { durations: { lease: 137_000, renewDeadline: 107_000, retryPeriod: 26_000 } };
      const one = startReplica(world, server, "pod-a", real);
      await world.advance(100);
      const two = startReplica(world, server, "pod-b", { ...real, random: () => random });
      let renewals = server.requests.length;
      await world.advance(60_000);
      while (one.election.isLeader() && server.requests.at(-1)?.holder !== "pod-a") {
        await world.advance(10);
      }
      one.dead = true;
      const died = world.now();
      renewals = server.requests.length;
      await world.advance(136_900);
      assert.equal(two.election.isLeader(), false);
      assert.ok(server.requests.length > renewals);
      while (!two.election.isLeader()) {
        await world.advance(50);
        assert.ok(world.now() - died <= 165_000, "takeover within 165 s");
      }
    }
  });

  it("stops by itself at the renew deadline, counted from the start of the last good renewal, and comes back", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    await world.advance(100);
    one.network = "lost answer";
    const before = world.now();
    const term = one.election.signal();
    while (one.election.isLeader()) {
      await world.advance(10);
    }
    assert.equal(term.aborted, true);
    assert.ok(world.now() - before <= 3000);
    one.network = "ok";
    await world.advance(4000);
    assert.equal(one.election.isLeader(), true);
    assert.notEqual(one.election.signal(), term, "one signal per term");
    assert.equal(one.election.signal().aborted, false);
    assert.deepEqual(one.events, [true, false, true]);
  });

  it("counts a renewal from when it was sent, not from when its answer came", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    await world.advance(100);
    one.network = "late answer";
    const count = server.requests.length;
    while (server.requests.length === count) {
      await world.advance(10);
    }
    const sent = world.now() - 10;
    one.network = "error";
    await world.advance(2900);
    assert.equal(one.election.isLeader(), true);
    await world.advance(sent + 3000 - world.now());
    assert.equal(one.election.isLeader(), false);
  });

  it("ends the term in time when the wall clock was set back, and early when it was set forward", async () => {
    for (const skew of [-3_600_000, 3_600_000]) {
      const world = createManualClock();
      const server = createLeaseServer();
      const one = startReplica(world, server, "pod-a");
      await world.advance(100);
      one.network = "error";
      one.wallSkew = skew;
      await world.advance(3000);
      assert.deepEqual(one.events, [true, false]);
    }
  });

  it("does not lead after a freeze, even before its timers have run", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    await world.advance(100);
    one.frozen = true;
    await world.advance(20_000);
    let asked: boolean | undefined;
    one.thaw(() => {
      asked = one.election.isLeader();
    });
    assert.equal(asked, false);
  });

  it("waits out the term of a holder whose Lease was deleted", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    const two = startReplica(world, server, "pod-b");
    await world.advance(1500);
    one.network = "error";
    server.lease = undefined;
    await world.advance(1900);
    assert.deepEqual(two.events, []);
    await world.advance(6000);
    assert.equal(two.election.isLeader(), true);
  });

  it("stops leading at once when it reads another holder", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    await world.advance(100);
    const lease = server.lease;
    assert.ok(lease !== undefined);
    server.lease = {
      ...lease,
      metadata: { ...lease.metadata, resourceVersion: "other" },
      spec: { ...lease.spec, holderIdentity: "pod-z" },
    };
    await world.advance(1100);
    assert.equal(one.election.isLeader(), false);
    assert.equal(server.lease.spec?.holderIdentity, "pod-z");
  });

  it("ends in time when nothing answers its release, and does nothing when it never ran", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    await world.advance(100);
    one.network = "lost request";
    let ended = false;
    const released = one.election.release().then(() => {
      ended = true;
    });
    await world.advance(4900);
    assert.equal(ended, false);
    await world.advance(200);
    await released;
    const idle = createLeaderElection({
      client: {} as KubernetesClient,
      lease: { namespace: "concierge", name: "lanyard" },
      identity: "pod-c",
      clock: world,
      log: silentLogger,
    });
    await idle.release();
    assert.equal(idle.isLeader(), false);
    assert.equal(idle.signal().aborted, true);
  });

  it("is not stopped by a listener that throws", async () => {
    const world = createManualClock();
    const server = createLeaseServer();
    const one = startReplica(world, server, "pod-a");
    const seen: boolean[] = [];
    one.election.subscribe(() => {
      throw new Error("odd listener");
    });
    one.election.subscribe((isLeader) => seen.push(isLeader));
    await world.advance(3000);
    assert.deepEqual(seen, [true]);
    assert.equal(one.election.isLeader(), true);
  });

  it("refuses durations that could make two writers, and an empty identity", () => {
    const world = createManualClock();
    const make = (durations: typeof short, identity = "pod-a"): void => {
      createLeaderElection({
        client: {} as KubernetesClient,
        lease: { namespace: "concierge", name: "lanyard" },
        identity,
        durations,
        clock: world,
        log: silentLogger,
      });
    };
    assert.throws(() => make({ lease: 3000, renewDeadline: 3000, retryPeriod: 1000 }), TypeError);
    assert.throws(() => make({ lease: 5000, renewDeadline: 1000, retryPeriod: 1000 }), TypeError);
    assert.throws(() => make(short, ""), TypeError);
  });
});

describe("leader election, whatever happens", () => {
  const networks: readonly Network[] = [
    "ok",
    "lost request",
    "lost answer",
    "late request",
    "late answer",
    "error",
  ];
  const who = fc.nat(2);
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant("wait" as const), ticks: fc.integer({ min: 1, max: 40 }) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("network" as const),
        who,
        network: fc.constantFrom(...networks),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("freeze" as const), who }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("thaw" as const), who }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("set clock" as const),
        who,
        skew: fc.integer({ min: -3_600_000, max: 3_600_000 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("touch" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), who }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("release" as const), who }) },
  );

  it("never has two writers, and has one again once all is well", { timeout: 80_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 30 }), fc.integer(), async (steps, seed) => {
        const world = createManualClock();
        const server = createLeaseServer();
        let generation = 0;
        const randomOf = (index: number) => {
          let state = (seed ^ (index * 7919)) >>> 0;
          return () => {
            state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
            return state / 2 ** 32;
          };
        };
        const begin = (index: number): Replica =>
          startReplica(
            world,
            server,
            `pod-${index}-${generation++}`,
            { random: randomOf(index) },
            (index - 1) * 1_000_000,
          );
        const replicas = [begin(0), begin(1), begin(2)];
        const check = (): void => assert.ok(leaders(replicas).length <= 1, "two writers");
        const tick = async (ticks: number): Promise<void> => {
          for (let i = 0; i < ticks; i++) {
            await world.advance(100);
            check();
          }
        };
        for (const each of steps) {
          const replica = "who" in each ? replicas[each.who] : undefined;
          if (each.kind === "wait") {
            await tick(each.ticks);
          } else if (each.kind === "touch" && server.lease !== undefined) {
            server.lease = {
              ...server.lease,
              metadata: { ...server.lease.metadata, resourceVersion: `t${generation++}` },
            };
          } else if (replica !== undefined && each.kind === "network") {
            replica.network = each.network;
          } else if (replica !== undefined && each.kind === "freeze") {
            replica.frozen = true;
          } else if (replica?.frozen === true && each.kind === "thaw") {
            replica.thaw(check);
          } else if (replica !== undefined && each.kind === "set clock") {
            replica.wallSkew = each.skew;
          } else if (
            replica !== undefined &&
            "who" in each &&
            (each.kind === "crash" || each.kind === "release")
          ) {
            if (each.kind === "release" && !replica.frozen) {
              void replica.election.release();
              check();
              await tick(60);
            }
            replica.frozen = false;
            replica.dead = true;
            replicas[each.who] = begin(each.who);
          }
          check();
        }
        for (const replica of replicas) {
          replica.network = "ok";
          if (replica.frozen) {
            replica.thaw(check);
          }
        }
        await tick(130);
        assert.equal(leaders(replicas).length, 1, "one writer once all is well");
      }),
      { numRuns: 60 },
    );
  });
});
