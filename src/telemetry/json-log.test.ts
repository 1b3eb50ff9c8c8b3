import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../clock.ts";
import { createAuditLog } from "./audit-log.ts";
import { createJsonLines } from "./json-lines.ts";
import { createJsonLog } from "./json-log.ts";
import type { LogLevel } from "./log.ts";

function createWorld(
  level: LogLevel = "all",
  logUsernamesAndGroups = false,
  now = Date.UTC(2026, 0, 1, 2, 3, 4, 5),
) {
  const written: string[] = [];
  const clock = { ...createManualClock(), now: () => now };
  const lines = createJsonLines({ clock, destination: { write: (line) => written.push(line) } });
  const take = (): string => written.splice(0).join("");
  return {
    take,
    written,
    log: createJsonLog({ lines, level }),
    audit: createAuditLog({ lines, logUsernamesAndGroups }),
  };
}

/** Line numbers of this file are not worth asserting. */
function withoutLine(line: string): string {
  return line.replace(/json-log\.test\.ts:\d+/, "json-log.test.ts:0");
}

test("lines have the contract's keys in its order, byte for byte", () => {
  const { log, take } = createWorld();
  log.info("hello", { n: 1, list: ["a"], quoted: 'a"b\n' });
  assert.equal(
    withoutLine(take()),
    '{"level":"info","timestamp":"2026-01-01T02:03:04.005000Z","caller":"telemetry/json-log.test.ts:0$anonymous","message":"hello","n":1,"list":["a"],"quoted":"a\\"b\\n"}\n',
  );
  log.named("my-controller").warning("careful", { why: "so" });
  assert.equal(
    withoutLine(take()),
    '{"level":"info","timestamp":"2026-01-01T02:03:04.005000Z","logger":"my-controller","caller":"telemetry/json-log.test.ts:0$anonymous","message":"careful","warning":true,"why":"so"}\n',
  );
  log.debug("[graceful-termination] shutdown event", { name: "ShutdownInitiated" });
  assert.ok(take().includes('"message":"[graceful-termination] shutdown event","name":"ShutdownInitiated"'));
});

test("an error line has the error's text, and its stack at trace", () => {
  const { log, take } = createWorld("info");
  log.error("failed", new Error("boom"), { step: 3 });
  assert.match(take(), /^\{"level":"error",.*"message":"failed","step":3,"error":"boom"\}\n$/);
  const traced = createWorld("trace");
  traced.log.error("failed", new Error("boom"));
  assert.match((JSON.parse(traced.take()) as { stacktrace: string }).stacktrace, /Error: boom\n\s+at /);
});

test("the caller names folder, file, line and function", () => {
  const { log, take } = createWorld();
  function somebody(): void {
    log.info("x");
  }
  somebody();
  assert.match(
    (JSON.parse(take()) as { caller: string }).caller,
    /^telemetry\/json-log\.test\.ts:\d+\$somebody$/,
  );
});

test("microseconds come from a clock that has them", () => {
  const { log, take } = createWorld("all", false, Date.UTC(2026, 0, 1) + 0.25);
  log.info("x");
  assert.match(take(), /"timestamp":"2026-01-01T00:00:00\.000250Z"/);
});

const shown: Readonly<Record<LogLevel, string>> = {
  "": "error warning audit",
  info: "error warning info audit",
  debug: "error warning info debug audit",
  trace: "error warning info debug trace audit",
  all: "error warning info debug trace audit",
};
for (const [level, expected] of Object.entries(shown)) {
  test(`log level ${JSON.stringify(level)} shows: ${expected}`, () => {
    const { log, audit, written } = createWorld(level as LogLevel);
    log.error("error", new Error("e"));
    log.warning("warning");
    log.info("info");
    log.debug("debug");
    log.trace("trace");
    audit.record({ message: "audit", auditID: "1" });
    const messages = written.map((line) => (JSON.parse(line) as { message: string }).message);
    assert.equal(messages.join(" "), expected);
  });
}

test("a line is valid JSON whatever is in it, and no key is there twice", () => {
  const { log, take } = createWorld();
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;
  log.info("m\u2028\ud800", {
    circular,
    big: 1n,
    nan: Number.NaN,
    error: "mine",
    message: "mine",
    level: "mine",
    f: () => {},
    date: new Date(0),
    nested: { a: undefined, e: new Error("in") },
    cause: new Error("out"),
  });
  const line = take();
  const parsed = JSON.parse(line) as Record<string, unknown>;
  assert.equal(line.match(/"message":/g)?.length, 1);
  assert.equal(parsed["error_"], "mine");
  assert.equal(parsed["level"], "info");
  assert.equal(parsed["cause"], "out");
  assert.equal(line.split("\n").length, 2);
});

test("audit lines have the contract's keys in its order and no logger", () => {
  const { audit, take } = createWorld("", true);
  audit.record({
    message: "TokenCredentialRequest Authenticated User",
    auditID: "a".repeat(70),
    personalInfo: { username: "ann", groups: ["x", "y"] },
    fields: { authenticator: { apiGroup: "g", kind: "k", name: "n" }, err: "e" },
  });
  assert.equal(
    withoutLine(take()),
    `{"level":"info","timestamp":"2026-01-01T02:03:04.005000Z","caller":"telemetry/json-log.test.ts:0$anonymous","message":"TokenCredentialRequest Authenticated User","auditEvent":true,"auditID":"${"a".repeat(64)}","personalInfo":{"username":"ann","groups":["x","y"]},"authenticator":{"apiGroup":"g","kind":"k","name":"n"},"err":"e"}\n`,
  );
});

test("personal values are redacted by shape", () => {
  const record = (show: boolean): unknown => {
    const { audit, take } = createWorld("", show);
    audit.record({
      message: "m",
      auditID: "1",
      personalInfo: { username: "ann", groups: ["x", "y"], none: [], extra: { a: ["1"] } },
    });
    return (JSON.parse(take()) as { personalInfo: unknown }).personalInfo;
  };
  assert.deepEqual(record(false), {
    username: "redacted",
    groups: ["redacted 2 values"],
    none: ["redacted 0 values"],
    extra: { redacted: "redacted 1 keys" },
  });
  assert.deepEqual(record(true), { username: "ann", groups: ["x", "y"], none: [], extra: { a: ["1"] } });
  const { audit, take } = createWorld("", true);
  audit.record({ message: "m", auditID: "1", personalInfo: { groups: undefined, extra: null } });
  assert.ok(take().includes('"personalInfo":{"groups":[],"extra":{}}'));
});

test("tokens and private keys are cut out of every line", () => {
  const { log, audit, take } = createWorld();
  const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl-_";
  const pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIsecret+/=\n-----END EC PRIVATE KEY-----\n";
  const base64 = Buffer.from(pem).toString("base64");
  log.error(`bad token ${jwt}`, new Error(`oops ${pem}`), {
    cut: pem.slice(0, 45),
    nested: { deep: [`"${pem}"`] },
    base64,
    header: "Authorization: Bearer abcdefgh12345678",
  });
  audit.record({ message: "m", auditID: "1", fields: { err: jwt } });
  const text = take();
  for (const secret of ["eyJ", "MHcCAQ", "BEGIN", "LS0t", "abcdefgh12345678"]) {
    assert.ok(!text.includes(secret), `${secret} in ${text}`);
  }
  for (const line of text.trimEnd().split("\n")) {
    JSON.parse(line);
  }
  assert.match(text, /bad token \[redacted token\]/);
});
