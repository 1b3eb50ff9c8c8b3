import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BYPASS_INTERVAL, decide, issueReport, retryTime } from "./decision.ts";
import type { Decision, DecisionInput } from "./decision.ts";
import type { ParentProcess } from "./parent-process.ts";
import { EMPTY_SIDE_FILE, fingerprintOf } from "./side-file.ts";
import type { CredentialHistory } from "./side-file.ts";
import { certificateCredential } from "./testing/credential.ts";

const ISSUED = Date.UTC(2026, 4, 1, 12);
const credential = certificateCredential(ISSUED - 300_000, ISSUED + 300_000);

function input(seconds: number, more: Partial<DecisionInput> = {}): DecisionInput {
  const now = ISSUED + seconds * 1000;
  return {
    key: "key",
    credential,
    createdAt: ISSUED,
    side: EMPTY_SIDE_FILE,
    fromConcierge: true,
    endpoint: undefined,
    overlap: undefined,
    now,
    askedAt: now,
    parent: undefined,
    ...more,
  };
}

/** State and seconds from the issue to the reported end. */
function judged(decision: Decision): readonly (string | number | boolean)[] {
  if (decision.state === "dead") {
    return ["dead"];
  }
  const report = (decision.report - ISSUED) / 1000;
  return decision.state === "fresh" ? [decision.state, report, decision.record] : [decision.state, report];
}

function withHistory(history: Partial<CredentialHistory>, bypassedAt?: number): Partial<DecisionInput> {
  return {
    side: {
      ...EMPTY_SIDE_FILE,
      histories: {
        key: {
          fingerprint: fingerprintOf(credential),
          storedAt: ISSUED + 500,
          failures: 0,
          retryAt: 0,
          handedTo: [],
          ...history,
        },
      },
      bypassedAt: bypassedAt === undefined ? {} : { key: bypassedAt },
    },
  };
}

function client(more: Partial<ParentProcess> = {}): ParentProcess {
  return {
    processId: 7,
    start: "100",
    startedAt: ISSUED + 60_000,
    ranPlugin: true,
    ...more,
  };
}

describe("states by time (rules 1 and 2)", () => {
  test("fresh until renewAt, renewable until hardExp, dead after it", () => {
    assert.deepEqual(judged(decide(input(0))), ["fresh", 200, false]);
    assert.deepEqual(judged(decide(input(198))), ["fresh", 200, false]);
    assert.deepEqual(judged(decide(input(200))), ["renewable", 205]);
    assert.deepEqual(judged(decide(input(288))), ["renewable", 290]);
    assert.deepEqual(judged(decide(input(288.1))), ["dead"]);
    assert.deepEqual(judged(decide(input(0, { credential: undefined }))), ["dead"]);
    assert.deepEqual(judged(decide(input(0, { credential: { token: "no end" } }))), ["dead"]);
  });

  test("what is reported is 2 s away at least, at every moment and with every skew", () => {
    for (let seconds = 0; seconds < 320; seconds += 0.37) {
      for (const offset of [0, 2_999, -3_001, 77_777]) {
        const decision = decide(
          input(seconds, {
            endpoint: "https://a",
            side: { ...EMPTY_SIDE_FILE, clockOffsets: { "https://a": [offset] } },
          }),
        );
        if (decision.state !== "dead") {
          assert.ok(decision.report >= ISSUED + seconds * 1000 + 2_000, `${seconds} s: ${decision.state}`);
          assert.equal(decision.report % 1000, 0);
        }
      }
    }
    assert.equal(issueReport({ hardExpiry: 0, renewAt: 0, clockOffset: 0 }, ISSUED + 1), ISSUED + 3_000);
  });

  test("the greatest of an endpoint's offsets counts", () => {
    const side = { ...EMPTY_SIDE_FILE, clockOffsets: { "https://a": [3_000, 9_000, -4_000] } };
    assert.deepEqual(judged(decide(input(0, { side, endpoint: "https://a" }))), ["fresh", 191, false]);
    assert.deepEqual(judged(decide(input(0, { side, endpoint: "https://b" }))), ["fresh", 200, false]);
  });

  test("after an hour it is renewed, and used on while that fails", () => {
    const long = certificateCredential(ISSUED - 300_000, ISSUED + 8 * 3_600_000);
    assert.deepEqual(judged(decide(input(3_600, { credential: long }))).slice(0, 1), ["fresh"]);
    assert.deepEqual(judged(decide(input(3_601, { credential: long }))), ["renewable", 3_606]);
    const fingerprint = fingerprintOf(long);
    const tried = withHistory({ fingerprint, failures: 1, retryAt: ISSUED + 3_606_000 });
    assert.deepEqual(judged(decide(input(3_603, { ...tried, credential: long }))), ["stale", 3_606]);
    assert.deepEqual(judged(decide(input(3_607, { ...tried, credential: long }))).slice(0, 1), ["fresh"]);
  });
});

describe("after a failed renewal (rule 5)", () => {
  test("the old one goes out until the next attempt, then another attempt is due", () => {
    const history = { failures: 1, retryAt: ISSUED + 215_000 };
    assert.deepEqual(judged(decide(input(211, withHistory(history)))), ["stale", 215]);
    assert.deepEqual(judged(decide(input(214, withHistory(history)))), ["stale", 216]);
    assert.deepEqual(judged(decide(input(215, withHistory(history)))), ["renewable", 220]);
    assert.deepEqual(judged(decide(input(280, withHistory({ failures: 3, retryAt: ISSUED + 299_000 })))), [
      "stale",
      290,
    ]);
  });

  test("attempts are 5, 10 and 20 s apart", () => {
    assert.deepEqual(
      [1, 2, 3, 9].map((failures) => retryTime(0, failures)),
      [5_000, 10_000, 20_000, 20_000],
    );
  });

  test("failures of another credential do not count", () => {
    assert.deepEqual(
      judged(
        decide(input(211, withHistory({ failures: 1, retryAt: ISSUED + 215_000, fingerprint: "other" }))),
      ),
      ["renewable", 216],
    );
  });
});

describe("a suspected 401 (rule 7)", () => {
  const given = { processId: 7, start: "100", at: ISSUED + 61_000, until: ISSUED + 200_000 };

  test("who was given it and asks before its end was refused; once in 10 s", () => {
    const recorded = withHistory({ handedTo: [given] });
    assert.deepEqual(judged(decide(input(70, { ...recorded, parent: client() }))), ["suspected", 75]);
    const just = withHistory({ handedTo: [given] }, ISSUED + 70_001 - BYPASS_INTERVAL);
    assert.deepEqual(judged(decide(input(70, { ...just, parent: client() }))), ["fresh", 200, false]);
  });

  test("another process with the same number, another start, and a person are not suspected", () => {
    const recorded = withHistory({ handedTo: [given] });
    const fresh = ["fresh", 200, false];
    assert.deepEqual(
      judged(decide(input(70, { ...recorded, parent: client({ start: "200", ranPlugin: false }) }))),
      fresh,
    );
    assert.deepEqual(
      judged(decide(input(70, { ...recorded, parent: client({ processId: 8, ranPlugin: false }) }))),
      fresh,
    );
    assert.deepEqual(judged(decide(input(70, recorded))), fresh);
  });

  test("nor is who was told an end that is over, or asked before it was handed out", () => {
    const over = withHistory({ handedTo: [{ ...given, until: ISSUED + 69_000 }] });
    assert.deepEqual(judged(decide(input(70, { ...over, parent: client({ ranPlugin: false }) }))), [
      "fresh",
      200,
      false,
    ]);
    const recorded = withHistory({ handedTo: [given] });
    assert.deepEqual(judged(decide(input(70, { ...recorded, askedAt: ISSUED + 60_500, parent: client() }))), [
      "fresh",
      200,
      false,
    ]);
  });

  test("unrecorded, as it had a hit: it has run the plugin before", () => {
    const recorded = withHistory({});
    assert.deepEqual(judged(decide(input(70, { ...recorded, parent: client() }))), ["suspected", 75]);
    assert.deepEqual(judged(decide(input(70, { ...recorded, parent: client({ ranPlugin: false }) }))), [
      "fresh",
      200,
      false,
    ]);
    assert.deepEqual(judged(decide(input(70, { ...recorded, parent: client({ ranPlugin: undefined }) }))), [
      "fresh",
      200,
      false,
    ]);
  });

  test("who is older than the credential comes for it once, on record", () => {
    const recorded = withHistory({});
    assert.deepEqual(judged(decide(input(70, { ...recorded, parent: client({ startedAt: ISSUED - 1 }) }))), [
      "fresh",
      200,
      true,
    ]);
  });
});
