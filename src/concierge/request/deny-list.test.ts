import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDeniedLogin, deniesTokens, isDenied, parseDenyList } from "./deny-list.ts";

const HASH = "a".repeat(64);
const FOR_EVER = Number.POSITIVE_INFINITY;

describe("S15: entries are parsed one by one", () => {
  const rows: readonly (readonly [string, readonly unknown[], readonly string[]])[] = [
    ["", [], []],
    ["[]", [], []],
    ["- user: alice\n  until: 2030-01-01T00:00:00Z", [{ user: "alice", until: Date.UTC(2030, 0, 1) }], []],
    [
      '[{"user":"alice","until":"2030-01-01T00:00:00+01:00"}]',
      [{ user: "alice", until: Date.UTC(2029, 11, 31, 23) }],
      [],
    ],
    ["- user: alice # laptop stolen\n  comment: ticket 7", [{ user: "alice", until: FOR_EVER }], []],
    [`- credentialID: X509SHA256=${HASH}`, [{ credentialID: `X509SHA256=${HASH}`, until: FOR_EVER }], []],
    ["- credentialID: JTI=x", [{ credentialID: "JTI=x", until: FOR_EVER }], []],
    [`- tokenID: ${HASH.toUpperCase()}`, [{ tokenID: HASH, until: FOR_EVER }], []],
    [`- {user: a, tokenID: ${HASH}}`, [{ user: "a", tokenID: HASH, until: FOR_EVER }], []],
    [
      "- user: alice\n  until: tomorrow\n- user: bob",
      [{ user: "bob", until: FOR_EVER }],
      ["entry 1 has an until that is not an RFC 3339 time"],
    ],
    [
      "- user: alice\n  tokenID: x",
      [{ user: "alice", until: FOR_EVER }],
      ["entry 1 has a tokenID that is not the hex SHA-256 of a token"],
    ],
    [
      "- user: alice\n  reason: x",
      [{ user: "alice", until: FOR_EVER }],
      ["entry 1 has a field that is not known"],
    ],
    [
      "- usr: alice",
      [],
      ["entry 1 has a field that is not known", "entry 1 names neither user nor credentialID nor tokenID"],
    ],
    [
      "- 7\n- user: 7\n- user: bob",
      [{ user: "bob", until: FOR_EVER }],
      [
        "entry 1 is not a mapping",
        "entry 2 has a user that is not a text",
        "entry 2 names neither user nor credentialID nor tokenID",
      ],
    ],
    [
      "- credentialID: SHA=1",
      [],
      [
        "entry 1 has a credentialID that is neither X509SHA256= with 64 lower-case hex digits nor JTI=",
        "entry 1 names neither user nor credentialID nor tokenID",
      ],
    ],
    [
      "- user: {a\n- user: bob\n  until: 2030-01-01T00:00:00Z\n",
      [{ user: "bob", until: Date.UTC(2030, 0, 1) }],
      ["entry 1 is not YAML"],
    ],
    ["- user: a\n  user: b\n- user: c", [{ user: "c", until: FOR_EVER }], ["entry 1 is not YAML"]],
    ["- user: &x a\n- user: *x", [{ user: "a", until: FOR_EVER }], ["entry 2 is not YAML"]],
    ["user: alice", [], ["the list is not a YAML or JSON list"]],
    ["[{user: alice}", [], ["the list is not a YAML or JSON list"]],
    ["- {user: __proto__}", [{ user: "__proto__", until: FOR_EVER }], []],
  ];
  for (const [text, entries, problems] of rows) {
    test(JSON.stringify(text), () => {
      const parsed = parseDenyList(text);
      assert.deepEqual(parsed.entries, entries);
      assert.deepEqual(parsed.problems, problems);
    });
  }

  test("more than 10,000 entries are named", () => {
    const { entries, problems } = parseDenyList("- user: a\n".repeat(10_001));
    assert.equal(entries.length, 10_000);
    assert.deepEqual(problems, ["the entries after the first 10000 are not enforced"]);
  });
});

test("S15: a hit is by user, credential or token, exactly, until its end", () => {
  const list = parseDenyList(
    `- {user: alice, until: 2030-01-01T00:00:00Z}\n- {user: alice, until: 2029-01-01T00:00:00Z}\n- credentialID: JTI=1\n- tokenID: ${HASH}`,
  );
  const end = Date.UTC(2030, 0, 1);
  assert.equal(isDenied(list, { username: "alice" }, end - 1), true);
  assert.equal(isDenied(list, { username: "alice" }, end), false);
  assert.equal(isDenied(list, { username: "Alice" }, 0), false);
  assert.equal(isDenied(list, { username: "bob", credentialIDs: ["x", "JTI=1"] }, end), true);
  assert.equal(isDenied(list, { tokenIDs: [HASH] }, end), true);
  assert.equal(isDenied(list, { credentialIDs: [HASH], tokenIDs: ["JTI=1"] }, 0), false);
  assert.equal(deniesTokens(list), true);
  assert.equal(deniesTokens(parseDenyList("- user: a")), false);
});

test("S15: before the first read everybody is denied", () => {
  const denyList = { current: undefined as ReturnType<typeof parseDenyList> | undefined };
  const check = createDeniedLogin({ denyList, clock: { now: () => 0 } });
  assert.equal(check({ username: "bob" }), true);
  denyList.current = parseDenyList(`- tokenID: ${HASH}`);
  assert.equal(check({ username: "bob" }), false);
  assert.equal(check({ username: "bob", tokenID: HASH }), true);
});
