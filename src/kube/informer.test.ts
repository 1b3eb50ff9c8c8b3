import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";

import fc from "fast-check";

import { createManualClock, systemClock, type Clock } from "../clock.ts";
import { silentLogger, type Logger } from "../telemetry/log.ts";
import { createKubernetesClient } from "./client.ts";
import { createInformer, type Informer, type InformerMetrics } from "./informer.ts";
import type { KubernetesClient, WatchOptions } from "./kubernetes-client.ts";
import { configMaps, type ConfigMap, type ObjectKey } from "./objects.ts";
import { eventually } from "./testing/eventually.ts";
import { createTestApiServer, type TestApiServer } from "./testing/test-api-server.ts";

/** Real time, but no back-off takes longer than a few milliseconds. */
const hurriedClock: Clock = {
  ...systemClock,
  sleep: (milliseconds, signal) => systemClock.sleep(Math.min(milliseconds, 5), signal),
};

describe("an informer", () => {
  let server: TestApiServer;
  let client: KubernetesClient;
  let informer: Informer<ConfigMap>;
  let counted: string[];
  const metrics: InformerMetrics = {
    listed: (_, ok) => counted.push(ok ? "listed" : "list failed"),
    watchStarted: () => {},
    watchEnded: (_, reason) => counted.push(reason),
    seen: () => {},
    storeSize: () => {},
  };

  const begin = (clock: Clock, log: Logger = silentLogger): Informer<ConfigMap> => {
    informer = createInformer({
      client,
      resource: configMaps,
      scope: { namespace: "default" },
      clock,
      log,
      metrics,
    });
    informer.start();
    return informer;
  };
  const watching = (): Promise<void> => eventually("a watch", () => server.openWatches() === 1);
  const holds = (): Promise<void> => eventually("the server's content", () => equal(informer, server));

  beforeEach(async () => {
    counted = [];
    server = await createTestApiServer();
    client = createKubernetesClient({
      endpoint: { serverUrl: server.serverUrl, certificateAuthority: { text: server.caPem } },
      clock: systemClock,
      log: silentLogger,
      userAgent: "lanyard/test",
    });
  });
  afterEach(async () => {
    await informer.stop();
    await client.close();
    await server.close();
  });

  it("lists in pages of 500, then follows with bookmarks and a random time limit", async () => {
    for (let index = 0; index < 1201; index++) {
      server.put(`map-${index}`, "1");
    }
    const { list, hasSynced } = begin(systemClock);
    assert.equal(hasSynced(), false);
    await watching();
    assert.equal(hasSynced(), true);
    assert.equal(list().length, 1201);
    const lists = server.requests.filter(({ kind }) => kind === "list");
    assert.deepEqual(
      lists.map(({ url }) => url.searchParams.get("limit")),
      ["500", "500", "500"],
    );
    const watch = server.requests.find(({ kind }) => kind === "watch")!.url.searchParams;
    assert.equal(watch.get("allowWatchBookmarks"), "true");
    const seconds = Number(watch.get("timeoutSeconds"));
    assert.ok(seconds >= 300 && seconds <= 600, String(seconds));
    server.put("map-7", "2");
    server.remove("map-8");
    server.put("new", "1");
    await holds();
    assert.equal(server.requests.filter(({ kind }) => kind === "list").length, 3);
  });

  it("starts the list over when a page has expired, at last in one piece", async () => {
    for (let index = 0; index < 600; index++) {
      server.put(`map-${index}`, "1");
    }
    server.intercept((request) => {
      if (request.kind === "list" && !request.url.searchParams.has("continue")) {
        // What the continue token names is gone before it is used.
        setImmediate(() => server.put("restless", String(server.requests.length)));
      }
      return false;
    });
    begin(systemClock);
    await watching();
    await holds();
    assert.deepEqual(
      server.requests
        .filter(({ kind }) => kind === "list")
        .map(({ url }) => `${url.searchParams.get("limit")} ${url.searchParams.has("continue")}`),
      ["500 false", "500 true", "500 false", "500 true", "null false"],
    );
  });

  it("tells keys, after the view has changed, and survives a listener that throws", async () => {
    const errors: unknown[] = [];
    const log: Logger = { ...silentLogger, named: () => log, error: (_, error) => errors.push(error) };
    begin(systemClock, log);
    const told: string[] = [];
    informer.subscribe(() => {
      throw new Error("a listener's mistake");
    });
    const unsubscribe = informer.subscribe((key) => {
      told.push(`${key.name} ${informer.get(key)?.data?.["value"] ?? "gone"}`);
    });
    await watching();
    server.put("one", "1");
    server.put("one", "2");
    server.remove("one");
    await eventually("three keys", () => told.length === 3);
    assert.deepEqual(told, ["one 1", "one 2", "one gone"]);
    assert.equal(errors.length, 3);
    unsubscribe();
    server.put("two", "1");
    await holds();
    assert.equal(told.length, 3);
  });

  it("tells the rule that it lacks when it is forbidden to list or to watch, once for each", async () => {
    const told: unknown[] = [];
    const log: Logger = {
      ...silentLogger,
      named: () => log,
      warning: (_, fields) => told.push(fields?.["missing"]),
    };
    let allowed = 0;
    server.intercept((request, response) => {
      const refused = request.kind !== "list" || allowed === 0;
      if (refused) {
        const status = { kind: "Status", apiVersion: "v1", metadata: {}, reason: "Forbidden", code: 403 };
        const message = `cannot ${request.kind}`;
        response.writeHead(403, { "content-type": "application/json" });
        response.end(JSON.stringify({ ...status, message, details: { group: "", kind: "configmaps" } }));
      }
      return refused;
    });
    begin(hurriedClock, log);
    await eventually("refused lists", () => counted.filter((each) => each === "list failed").length > 3);
    allowed++;
    await eventually("refused watches", () => counted.filter((each) => each === "refused").length > 3);
    assert.deepEqual(
      told,
      ["list", "watch"].map(
        (verb) =>
          `permission: {apiGroups: [''], resources: [configmaps], verbs: [${verb}]} (Role in namespace default)`,
      ),
    );
    server.intercept(undefined);
    await watching();
  });

  it("goes on where it was after a reset, a cut frame and an end in order", async () => {
    begin(hurriedClock);
    for (const how of ["reset", "partial", "end"] as const) {
      await watching();
      server.put(how, "1");
      await holds();
      server.cutWatches(how);
      server.put(`${how} missed`, "1");
      await holds();
    }
    await watching();
    assert.deepEqual(counted.slice(0, 4), ["listed", "unreachable", "broken", "closed"]);
    assert.equal(server.requests.filter(({ kind }) => kind === "list").length, 1, "no list was needed");
  });

  it("lists anew after a 410 and tells what differs, and only that", async () => {
    server.put("same", "1");
    server.put("changed", "1");
    server.put("removed", "1");
    begin(hurriedClock);
    await watching();
    const told: ObjectKey[] = [];
    informer.subscribe((key) => told.push(key));
    const same = informer.get({ namespace: "default", name: "same" });
    server.intercept((request, response) => {
      if (request.kind === "watch") {
        response.destroy();
        return true;
      }
      return false;
    });
    server.cutWatches("reset");
    await eventually(
      "a refused watch",
      () => server.requests.filter(({ kind }) => kind === "watch").length > 1,
    );
    server.put("changed", "2");
    server.remove("removed");
    server.put("added", "1");
    server.forgetHistory();
    server.intercept(undefined);
    await watching();
    await holds();
    assert.deepEqual(told.map(({ name }) => name).toSorted(), ["added", "changed", "removed"]);
    assert.equal(informer.get({ namespace: "default", name: "same" }), same);
    assert.ok(counted.includes("expired"));
  });

  it("keeps what it has while the server is away, and waits 0.8 to 5 s between tries", async () => {
    server.put("one", "1");
    const sleeps: number[] = [];
    begin({
      ...systemClock,
      sleep: (milliseconds, signal) => {
        sleeps.push(milliseconds);
        return systemClock.sleep(1, signal);
      },
    });
    await watching();
    await server.stopListening();
    await eventually("tries", () => sleeps.length > 20);
    assert.equal(informer.list().length, 1);
    assert.equal(informer.hasSynced(), true);
    assert.ok(
      sleeps.every((milliseconds) => milliseconds >= 800 && milliseconds <= 5_000),
      String(sleeps),
    );
    assert.ok(sleeps.slice(2).every((milliseconds) => milliseconds >= 2_500));
    assert.ok(new Set(sleeps).size > 10, "there is jitter");
    server.put("two", "1");
    await server.listen();
    await holds();
  });

  it("honours Retry-After of a 429, on lists and on watches", async () => {
    const sleeps: number[] = [];
    let refusals = 0;
    server.intercept((request, response) => {
      const refused = refusals < 2 && request.kind === (refusals === 0 ? "list" : "watch");
      if (refused) {
        refusals++;
        response.writeHead(refusals === 1 ? 429 : 503, { "retry-after": "17" }).end();
      }
      return refused;
    });
    begin({
      ...systemClock,
      sleep: (milliseconds, signal) => {
        sleeps.push(milliseconds);
        return systemClock.sleep(1, signal);
      },
    });
    await watching();
    assert.equal(sleeps.length, 2);
    assert.ok(
      sleeps.every((milliseconds) => milliseconds >= 17_000 && milliseconds <= 18_000),
      String(sleeps),
    );
  });

  it("does not spin when the server ends every watch at once", async () => {
    const sleeps: number[] = [];
    server.intercept((request, response) => {
      if (request.kind === "watch") {
        response.writeHead(200).end();
        return true;
      }
      return false;
    });
    begin({
      ...systemClock,
      sleep: (milliseconds, signal) => {
        sleeps.push(milliseconds);
        return systemClock.sleep(1, signal);
      },
    });
    await eventually("five watches", () => counted.filter((reason) => reason === "closed").length >= 5);
    assert.ok(sleeps.length >= 4);
  });

  it("connects anew after three silent minutes, but not while bookmarks come", async () => {
    const clock = createManualClock();
    begin(clock);
    await watching();
    // Bookmarks at a fixed pace within the watch's own time limit.
    for (let minute = 0; minute < 2; minute++) {
      await clock.advance(120_000);
      const seen = counted.length;
      server.bookmark();
      server.put("beat", String(minute));
      await holds();
      assert.equal(counted.length, seen);
    }
    await clock.advance(181_000);
    await eventually("silence noticed", () => counted.includes("silent"));
    await eventually(
      "a second watch",
      () => server.requests.filter(({ kind }) => kind === "watch").length === 2,
    );
    assert.equal(server.requests.filter(({ kind }) => kind === "list").length, 1);
  });

  it("tells every key again each three minutes", async () => {
    server.put("one", "1");
    server.put("two", "1");
    const clock = createManualClock();
    begin(clock);
    await watching();
    const told: string[] = [];
    informer.subscribe(({ name }) => told.push(name));
    await clock.advance(180_000);
    assert.deepEqual(told, ["one", "two"]);
    await clock.advance(180_000);
    assert.equal(told.length, 4);
  });

  it("lists in full every ten hours or so", async () => {
    for (const [random, hours] of [
      // No multiples of the three minutes after which a silent watch ends.
      [0.005, 9.01],
      [0.77, 10.54],
    ] as const) {
      const clock = createManualClock();
      const start = clock.now();
      const lists: number[] = [];
      informer = createInformer({
        client: {
          list: () => {
            lists.push((clock.now() - start) / 3_600_000);
            return Promise.resolve({ resourceVersion: "1", continueToken: undefined, items: [] });
          },
          watch: async function* (_: unknown, { signal }: WatchOptions) {
            await new Promise((resolve) => signal?.addEventListener("abort", resolve, { once: true }));
            yield* [];
          },
        },
        resource: configMaps,
        clock,
        log: silentLogger,
        random: () => random,
      });
      informer.start();
      await clock.advance(11 * 3_600_000);
      assert.deepEqual(
        lists.map((at) => at.toFixed(3)),
        [0, hours].map((at) => at.toFixed(3)),
      );
      await informer.stop();
    }
  });

  it("stops without leaving a watch, a connection or a timer", async () => {
    begin(systemClock);
    await watching();
    await informer.stop();
    await eventually("no watch", () => server.openWatches() === 0);
    await client.close();
    await eventually("no connection", () => server.openConnections() === 0);
    await server.close();
    const leftovers = (): string[] =>
      process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name));
    await eventually("nothing left", () => leftovers().length === 0);
  });

  it("equals the server once all is quiet, whatever happened before", async () => {
    const name = fc.constantFrom("a", "b", "c", "d");
    const event = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant("put" as const), name, value: fc.string() }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("remove" as const), name }) },
      fc.record({
        do: fc.constant("cut" as const),
        how: fc.constantFrom("end", "reset", "partial" as const),
      }),
      fc.record({ do: fc.constantFrom("bookmark", "forget", "disconnect", "garbage", "pause" as const) }),
      fc.record({ do: fc.constant("refuse" as const), status: fc.constantFrom(410, 429, 500, 503) }),
    );
    begin(hurriedClock);
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 30 }), async (events) => {
        for (const each of events) {
          switch (each.do) {
            case "put":
              server.put(each.name, each.value);
              break;
            case "remove":
              server.remove(each.name);
              break;
            case "cut":
              server.cutWatches(each.how);
              break;
            case "bookmark":
              server.bookmark();
              break;
            case "forget":
              server.forgetHistory();
              break;
            case "disconnect":
              server.cutConnections();
              break;
            case "garbage":
              server.sendRaw(Buffer.from([0x7b, 0xc3, 0x0a]));
              break;
            case "refuse":
              server.intercept((_, response) => {
                server.intercept(undefined);
                response.writeHead(each.status).end();
                return true;
              });
              break;
            case "pause":
              await new Promise((resolve) => setTimeout(resolve, 3));
              break;
          }
        }
        await eventually("store equals server", () => equal(informer, server), 5_000);
      }),
      { numRuns: 60 },
    );
  });
});

function equal(informer: Informer<ConfigMap>, server: TestApiServer): boolean {
  const text = (objects: readonly ConfigMap[]): string =>
    JSON.stringify(
      objects
        .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
        .map(({ metadata, data }) => [metadata.name, metadata.uid, metadata.resourceVersion, data]),
    );
  return text(informer.list()) === text(server.objects());
}
