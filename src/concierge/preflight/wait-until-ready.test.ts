import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import { KubernetesApiError } from "../../kube/api-error.ts";
import { type LogFields, silentLogger } from "../../telemetry/log.ts";
import type { Obstacle } from "./obstacles.ts";
import { type Findings, waitUntilReady } from "./wait-until-ready.ts";

const obstacle = (name: string): Obstacle => ({ name, text: `thing ${name}`, remedy: "bring it" });
const unreachable = new LanyardError({ code: "kubernetes.unreachable", message: "cannot reach it" });

/** Looks that find one after the other what the list holds; an error is thrown. The last one stays. */
function createWorld(looks: readonly (Findings<string> | Error)[]) {
  const clock = createManualClock();
  const start = clock.now();
  const warnings: LogFields[] = [];
  const infos: string[] = [];
  const announced: (readonly string[])[] = [];
  const lookedAt: number[] = [];
  const result = waitUntilReady<string>({
    look: () => {
      const found = looks[Math.min(lookedAt.length, looks.length - 1)];
      lookedAt.push((clock.now() - start) / 1000);
      return found === undefined || found instanceof Error ? Promise.reject(found) : Promise.resolve(found);
    },
    announce: (obstacles) => void announced.push(obstacles.map(({ name }) => name)),
    clock,
    log: {
      ...silentLogger,
      warning: (_, fields) => warnings.push(fields ?? {}),
      info: (message) => infos.push(message),
    },
  });
  // Looked at below; a rejection before that is nobody's mistake.
  result.catch(() => {});
  return { clock, warnings, infos, announced, lookedAt, result };
}

const missing = (...names: readonly string[]): Findings<string> => ({ obstacles: names.map(obstacle) });
const ready: Findings<string> = { obstacles: [], found: "the owners" };

test("when nothing is missing it neither waits nor says anything", async () => {
  const world = createWorld([ready]);
  assert.equal(await world.result, "the owners");
  assert.deepEqual([world.warnings, world.infos, world.announced], [[], [], []]);
});

test("looks after 1, 2, 4, 8 and then every 15 s, and says once what is missing", async () => {
  const world = createWorld([missing("a", "b")]);
  await world.clock.advance(60_000);
  assert.deepEqual(world.lookedAt, [0, 1, 3, 7, 15, 30, 45, 60]);
  assert.deepEqual(world.warnings, [{ missing: ["thing a", "thing b"], remedy: "bring it" }]);
  assert.deepEqual(world.announced, [["a", "b"]]);
});

test("says it again when it changes, looks sooner then, and goes on by itself", async () => {
  const world = createWorld([
    missing("a", "b"),
    missing("a", "b"),
    missing("a", "b"),
    missing("b"),
    missing("b"),
    ready,
  ]);
  await world.clock.advance(60_000);
  assert.equal(await world.result, "the owners");
  assert.deepEqual(world.lookedAt, [0, 1, 3, 7, 8, 10]);
  assert.deepEqual(world.announced, [["a", "b"], ["b"]]);
  assert.deepEqual(
    world.warnings.map((fields) => fields["missing"]),
    [["thing a", "thing b"], ["thing b"]],
  );
  assert.deepEqual(world.infos, ["nothing is missing any more, starting"]);
});

test("an API server that does not answer ends the first look only", async () => {
  await assert.rejects(createWorld([unreachable]).result, unreachable);
  const world = createWorld([missing("a"), unreachable, unreachable, ready]);
  await world.clock.advance(60_000);
  assert.equal(await world.result, "the owners");
  assert.deepEqual(world.announced, [["a"], ["kube-apiserver"]]);
});

test("what waiting does not heal ends it whenever it comes", async () => {
  const status = { kind: "Status", apiVersion: "v1", metadata: {}, reason: "NotFound", code: 404 } as const;
  const gone = new LanyardError({
    code: "installation.owner.unresolved",
    message: "cannot read Pod a/b",
    cause: new KubernetesApiError(status),
  });
  for (const error of [gone, new TypeError("a mistake")]) {
    const world = createWorld([missing("a"), error]);
    await world.clock.advance(10_000);
    await assert.rejects(world.result, error);
  }
});
