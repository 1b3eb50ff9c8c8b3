import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { authenticatorKey } from "./authenticator.ts";

test("no two references share a key, whatever their parts hold", () => {
  const part = fc.string({ unit: fc.constantFrom("a", "1", "2", ",", ":", "\0"), maxLength: 6 });
  const reference = fc.record({ apiGroup: part, kind: part, name: part });
  fc.assert(
    fc.property(reference, reference, (a, b) => {
      const same = a.apiGroup === b.apiGroup && a.kind === b.kind && a.name === b.name;
      assert.equal(authenticatorKey(a) === authenticatorKey(b), same);
    }),
    {
      examples: [
        [
          { apiGroup: "a", kind: "b", name: "c" },
          { apiGroup: "ab", kind: "", name: "c" },
        ],
      ],
    },
  );
});
