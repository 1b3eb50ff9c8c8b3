import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { type ConditionFinding, formatTime, mergeConditions } from "./conditions.ts";
import type { Condition } from "./objects.ts";

const now = Date.UTC(2026, 10, 22, 10, 11, 12, 987);
const earlier = "2026-01-02T03:04:05Z";

function finding(type: string, status: Condition["status"] = "True", message = "fine"): ConditionFinding {
  return { type, status, reason: status === "True" ? "Success" : "NotReady", message };
}

function condition(type: string, changes: Partial<Condition> = {}): Condition {
  return { ...finding(type), observedGeneration: 1, lastTransitionTime: earlier, ...changes };
}

describe("mergeConditions", () => {
  it("starts an empty list sorted by type, in whole seconds", () => {
    const merged = mergeConditions({
      existing: undefined,
      findings: [finding("Ready"), finding("AuthenticatorValid")],
      observedGeneration: 7,
      now,
    });
    assert.equal(merged.changed, true);
    assert.deepEqual(merged.conditions, [
      condition("AuthenticatorValid", { observedGeneration: 7, lastTransitionTime: "2026-11-22T10:11:12Z" }),
      condition("Ready", { observedGeneration: 7, lastTransitionTime: "2026-11-22T10:11:12Z" }),
    ]);
  });

  it("keeps the time while the status value stays, whatever else changes", () => {
    const merged = mergeConditions({
      existing: [condition("Ready", { message: "before" })],
      findings: [finding("Ready")],
      observedGeneration: 2,
      now,
    });
    assert.deepEqual(merged, { changed: true, conditions: [condition("Ready", { observedGeneration: 2 })] });
  });

  it("sets the time when the status value changes, or when the old one is no time", () => {
    for (const before of [
      condition("Ready", { status: "False" }),
      condition("Ready", { lastTransitionTime: "" }),
    ]) {
      const merged = mergeConditions({
        existing: [before],
        findings: [finding("Ready")],
        observedGeneration: 1,
        now,
      });
      assert.equal(merged.conditions[0]?.lastTransitionTime, "2026-11-22T10:11:12Z");
    }
  });

  it("leaves conditions of others byte for byte, and removes ours only when declared", () => {
    const foreign = { ...condition("Zebra", { observedGeneration: 1 }), extra: "kept" };
    const old = condition("ClaimExpressionsValid");
    const undeclared = mergeConditions({
      existing: [old, foreign],
      findings: [finding("Ready")],
      observedGeneration: 5,
      now,
    });
    assert.deepEqual(
      undeclared.conditions.map(({ type }) => type),
      ["ClaimExpressionsValid", "Ready", "Zebra"],
    );
    assert.equal(undeclared.conditions[2], foreign);
    const declared = mergeConditions({
      existing: [old, foreign],
      findings: [finding("Ready")],
      observedGeneration: 5,
      now,
      ownTypes: ["Ready", "ClaimExpressionsValid"],
    });
    assert.deepEqual(
      declared.conditions.map(({ type }) => type),
      ["Ready", "Zebra"],
    );
  });

  it("repairs a wrong order and a doubled type", () => {
    const existing = [condition("Ready"), condition("Ready"), condition("A")];
    const merged = mergeConditions({
      existing,
      findings: [finding("Ready"), finding("A")],
      observedGeneration: 1,
      now,
    });
    assert.deepEqual(merged, { changed: true, conditions: [condition("A"), condition("Ready")] });
  });

  it("refuses two findings of one type", () => {
    assert.throws(
      () =>
        mergeConditions({ existing: [], findings: [finding("A"), finding("A")], observedGeneration: 1, now }),
      TypeError,
    );
  });

  it("changes nothing the second time, whatever it started from", () => {
    const types = fc.constantFrom("A", "B", "C", "D", "Ready");
    const statuses = fc.constantFrom<Condition["status"]>("True", "False", "Unknown");
    const findings = fc.uniqueArray(
      fc.record({ type: types, status: statuses, reason: fc.string(), message: fc.string() }),
      { selector: ({ type }) => type },
    );
    const existing = fc.array(
      fc.record({
        type: types,
        status: statuses,
        reason: fc.string(),
        message: fc.string(),
        observedGeneration: fc.nat(3),
        lastTransitionTime: fc.constantFrom(earlier, "not a time"),
      }),
    );
    fc.assert(
      fc.property(existing, findings, (before, after) => {
        const first = mergeConditions({ existing: before, findings: after, observedGeneration: 3, now });
        const second = mergeConditions({
          existing: first.conditions,
          findings: after,
          observedGeneration: 3,
          now: now + 60_000,
        });
        assert.deepEqual(second, { conditions: first.conditions, changed: false });
      }),
    );
  });
});

describe("formatTime", () => {
  it("cuts to whole seconds", () => {
    assert.equal(formatTime(now), "2026-11-22T10:11:12Z");
  });
});
