import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Identity } from "./identity.ts";
import { reservedIdentityRule } from "./reserved-identities.ts";
import type { ReservedIdentityOptions } from "./reserved-identities.ts";

const check = (identity: Partial<Identity>, options: ReservedIdentityOptions = {}): string | undefined =>
  reservedIdentityRule({ username: "jane", groups: [], extra: {}, ...identity }, options).rule;

test("reserved usernames are refused", () => {
  for (const username of [
    "system:foo",
    "system:serviceaccount:a:b",
    "system:authenticated",
    "kubeadm:x",
    "eks:x",
    "kubernetes-admin",
    "kubernetes-super-admin",
    "system:masters",
    "corp:x",
  ]) {
    assert.notEqual(check({ username }, { additionalPrefixes: ["corp:"] }), undefined, username);
  }
  for (const username of ["jane", "systems", "my-system:x", "kubernetes-admin2", "corp:x"]) {
    assert.equal(check({ username }), undefined, username);
  }
});

test("reserved groups are refused, the automatic one is dropped", () => {
  assert.equal(check({ groups: ["ops", "system:foo"] }), 'group has the reserved prefix "system:"');
  const identity: Identity = { username: "jane", groups: ["a", "system:authenticated", "b"], extra: {} };
  assert.deepEqual(reservedIdentityRule(identity, {}), { identity: { ...identity, groups: ["a", "b"] } });
});

test("the owner allows names one by one, exactly", () => {
  const options = { allowedUsernames: ["system:foo", "kubernetes-admin"], allowedGroups: ["eks:ops"] };
  assert.equal(check({ username: "system:foo", groups: ["eks:ops"] }, options), undefined);
  assert.equal(check({ username: "kubernetes-admin" }, options), undefined);
  assert.notEqual(check({ username: "system:foo2" }, options), undefined);
  assert.notEqual(check({ username: "system:fo" }, options), undefined);
  assert.notEqual(check({ groups: ["system:foo"] }, options), undefined);
  assert.notEqual(check({ username: "eks:ops" }, options), undefined);
  assert.notEqual(check({ username: "system:bar" }, { allowedUsernames: ["system:*"] }), undefined);
});

test("some names cannot be allowed", () => {
  const names = [
    "system:masters",
    "system:nodes",
    "system:node:a",
    "system:kube-scheduler",
    "system:anonymous",
    "system:unauthenticated",
  ];
  for (const name of names) {
    const options = { allowedUsernames: [name], allowedGroups: [name] };
    assert.equal(check({ username: name }, options), "username is never allowed");
    assert.equal(check({ groups: [name] }, options), "group is never allowed");
  }
  const aggregator = { allowedUsernames: ["aggregator"], neverAllowedUsernames: ["aggregator"] };
  assert.equal(check({ username: "aggregator" }, aggregator), "username is never allowed");
  assert.equal(check({ username: "Aggregator" }, aggregator), "username is never allowed (look-alike)");
});

test("look-alikes are refused too, without naming them", () => {
  const variants = ["SYSTEM:masters", "\u200bsystem:masters", "sys\u00adtem:masters", "ſystem:masters"];
  variants.push(
    "ｓｙｓｔｅｍ：masters",
    "system\u00a0:masters",
    "system:\u2060masters",
    "\ufeffsystem:masters",
  );
  for (const name of variants) {
    assert.equal(
      check({ groups: [name] }, { allowedGroups: [name] }),
      "group is never allowed (look-alike)",
      name,
    );
  }
  assert.equal(check({ username: "System:foo" }), 'username has the reserved prefix "system:" (look-alike)');
  assert.equal(check({ username: "\u212aubernetes-Admin" }), "username is reserved (look-alike)");
  assert.equal(check({ username: "System:foo" }, { allowedUsernames: ["System:foo"] }), undefined);
  assert.notEqual(check({ groups: ["system:authenticated\u200b"] }), undefined);
});

test("no invisible character hides a reserved name", () => {
  const invisible = fc.constantFrom(
    "\u200b",
    "\u200d",
    "\u2060",
    "\u00ad",
    "\ufeff",
    " ",
    "\u3000",
    "\ufe0f",
  );
  fc.assert(
    fc.property(fc.nat(14), invisible, fc.boolean(), (position, character, upper) => {
      const name = `${"system:masters".slice(0, position)}${character}${"system:masters".slice(position)}`;
      assert.notEqual(check({ groups: [upper ? name.toUpperCase() : name] }), undefined);
    }),
  );
});

test("the lists in force at each login count, even when one is changed in place", () => {
  const allowedGroups = ["system:a"];
  const options = { allowedGroups, neverAllowedUsernames: ["front-proxy-client"] };
  assert.equal(check({ groups: ["system:a"] }, options), undefined);
  allowedGroups[0] = "system:b";
  assert.notEqual(check({ groups: ["system:a"] }, options), undefined);
  assert.equal(check({ groups: ["system:b"] }, options), undefined);
  assert.notEqual(check({ username: "front-proxy-client" }, options), undefined);
  assert.equal(check({ username: "front-proxy-client" }, { allowedGroups }), undefined);
  const additionalPrefixes = ["a:"];
  assert.notEqual(check({ username: "a:x" }, { additionalPrefixes }), undefined);
  additionalPrefixes[0] = "b:";
  assert.equal(check({ username: "a:x" }, { additionalPrefixes }), undefined);
  assert.notEqual(check({ username: "b:x" }, { additionalPrefixes }), undefined);
});
