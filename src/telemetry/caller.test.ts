import assert from "node:assert/strict";
import { test } from "node:test";
import { formatFrame } from "./caller.ts";

const frames: Readonly<Record<string, string>> = {
  "    at reconcile (file:///app/src/kube/x.ts:12:5)": "kube/x.ts:12$reconcile",
  "    at file:///app/src/kube/x.ts:12:5": "kube/x.ts:12$anonymous",
  "    at async run (file:///app/dist/kube/x.js:1:2)": "kube/x.ts:1$run",
  "    at Object.debug [as log] (/app/x.ts:1:2)": "app/x.ts:1$debug",
  "    at new Thing (C:\\app\\src\\x.ts:7:2)": "src/x.ts:7$Thing",
  "    at Object.<anonymous> (/app/x.ts:1:2)": "app/x.ts:1$anonymous",
  nonsense: "unknown",
};
for (const [frame, expected] of Object.entries(frames)) {
  test(`caller of ${JSON.stringify(frame)}`, () => assert.equal(formatFrame(frame), expected));
}
