import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { createJsonLines } from "../../telemetry/json-lines.ts";
import { createJsonLog } from "../../telemetry/json-log.ts";
import { installShutdown } from "./shutdown.ts";
import type { ShutdownStep } from "./shutdown.ts";

function createWorld(steps: readonly ShutdownStep[]) {
  const clock = createManualClock();
  const events: string[] = [];
  const output: string[] = [];
  const lines = createJsonLines({ clock, destination: { write: (line) => output.push(line) } });
  const emitter = new EventEmitter();
  const process = Object.assign(emitter, { exit: (code: number) => events.push(`exit ${code}`) });
  const log = createJsonLog({ lines, level: "debug" });
  const shutdown = installShutdown({ steps, clock, log, process });
  return { clock, events, output, process, shutdown };
}

test("steps run in order, after readiness has gone, with the contract's lines", async () => {
  const events: string[] = [];
  const step = (name: string): ShutdownStep => ({
    name,
    limitMilliseconds: 5000,
    stop: async () => {
      await Promise.resolve();
      events.push(`${name}, ready ${!world.shutdown.signal.aborted}`);
    },
    ...(name === "controllers"
      ? { finishedMessage: "fetch-impersonation-proxy-tokens start hook's background goroutine has finished" }
      : {}),
  });
  const world = createWorld([step("controllers"), step("lease"), step("api")]);
  world.process.emit("SIGTERM", "SIGTERM");
  await world.clock.advance(0);
  assert.deepEqual(events, ["controllers, ready false", "lease, ready false", "api, ready false"]);
  assert.deepEqual(world.events, ["exit 0"]);
  assert.match(
    world.output[0] ?? "",
    /"level":"debug".*"message":"\[graceful-termination\] shutdown event","name":"ShutdownInitiated","reason":"SIGTERM"/,
  );
  assert.match(
    world.output[1] ?? "",
    /"message":"fetch-impersonation-proxy-tokens start hook's background goroutine has finished"\}/,
  );
  assert.match(world.output.at(-1) ?? "", /"message":"\[graceful-termination\] apiserver is exiting"\}/);
  await world.shutdown.start("again");
  assert.equal(events.length, 3);
});

test("a step that hangs or fails does not keep the others from running", async () => {
  const done: string[] = [];
  const world = createWorld([
    {
      name: "hangs",
      limitMilliseconds: 3000,
      stop: (signal) => new Promise(() => signal.addEventListener("abort", () => done.push("aborted"))),
    },
    { name: "fails", limitMilliseconds: 3000, stop: () => Promise.reject(new Error("no")) },
    { name: "works", limitMilliseconds: 3000, stop: () => void done.push("works") },
  ]);
  world.process.emit("SIGINT", "SIGINT");
  await world.clock.advance(2999);
  assert.deepEqual(done, []);
  await world.clock.advance(1);
  assert.deepEqual(done, ["aborted", "works"]);
  assert.deepEqual(world.events, ["exit 0"]);
  assert.match(world.output.join(""), /shutdown step takes too long.*"step":"hangs"/);
  assert.match(world.output.join(""), /shutdown step failed.*"step":"fails","error":"no"/);
});

test("the second signal exits at once", async () => {
  const world = createWorld([{ name: "hangs", limitMilliseconds: 9000, stop: () => new Promise(() => {}) }]);
  world.process.emit("SIGTERM", "SIGTERM");
  await world.clock.advance(1);
  assert.deepEqual(world.events, []);
  world.process.emit("SIGINT", "SIGINT");
  assert.deepEqual(world.events, ["exit 1"]);
});

test("steps that could take 20 s are a mistake, and listeners come off again", () => {
  const step = { name: "slow", limitMilliseconds: 10_000, stop: () => {} };
  assert.throws(() => createWorld([step, step]), TypeError);
  const { process, shutdown } = createWorld([]);
  assert.equal(process.listenerCount("SIGTERM"), 1);
  shutdown.dispose();
  assert.deepEqual(process.eventNames(), []);
});

const folder = mkdtempSync(join(tmpdir(), "shutdown-"));
after(() => rmSync(folder, { recursive: true }));
const program = join(folder, "program.ts");
const module = (path: string): string => JSON.stringify(join(import.meta.dirname, path));
writeFileSync(
  program,
  `import { systemClock } from ${module("../../clock.ts")};
import { createJsonLines } from ${module("../../telemetry/json-lines.ts")};
import { createJsonLog } from ${module("../../telemetry/json-log.ts")};
import { installShutdown } from ${module("shutdown.ts")};
const log = createJsonLog({ lines: createJsonLines({ clock: systemClock }), level: "debug" });
const timer = setInterval(() => {}, 1000);
installShutdown({ clock: systemClock, log, process, steps: [
  { name: "one", limitMilliseconds: 1000, stop: () => log.info("one stopped") },
] });
if (process.argv[2] === "throw") setTimeout(() => { throw new Error("boom"); });
if (process.argv[2] === "reject") void Promise.reject(new Error("boom"));
console.log("up");
`,
);

for (const kind of ["throw", "reject"]) {
  test(`a real process: an error that nobody caught (${kind}) is one line and exit 1`, async () => {
    const child = spawn(process.execPath, [program, kind], { stdio: ["ignore", "ignore", "pipe"] });
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
    assert.equal(code, 1);
    assert.match(stderr, /^\{"level":"error",.*"message":"unexpected error, exiting","error":"boom"\}\n$/);
  });
}

test("a real process leaves in order on SIGTERM, and its log is whole", async () => {
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "pipe"] });
  const stderr = text(child.stderr);
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
  const messages = (await stderr)
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { message: string }).message);
  assert.deepEqual(messages, [
    "[graceful-termination] shutdown event",
    "one stopped",
    "[graceful-termination] apiserver is exiting",
  ]);
});
