import assert from "node:assert/strict";
import { test } from "node:test";
import { decideReuse, isExchangeNeeded } from "./session-reuse.ts";
import type { SessionTokens } from "./session.ts";

const NOW = Date.UTC(2026, 0, 1, 12);
const at = (secondsFromNow: number): string => new Date(NOW + secondsFromNow * 1000).toISOString();

function idToken(
  left: number,
  life?: number,
  audience: unknown = "pinniped-cli",
): NonNullable<SessionTokens["id"]> {
  const issued = life === undefined ? {} : { iat: (NOW + (left - life) * 1000) / 1000 };
  return { token: "t", expiryTimestamp: at(left), claims: { aud: audience, ...issued } };
}

const idRows: readonly [left: number, life: number | undefined, usable: boolean][] = [
  // Long-lived: the ten minutes of contract 4.3.
  [601, 3600, true],
  [600, 3600, false],
  [601, undefined, true],
  [600, undefined, false],
  // Half of a shorter life (contract 13.3 rule 9).
  [301, 600, true],
  [300, 600, false],
  [61, 120, true],
  [60, 120, false],
  [-1, 3600, false],
];
for (const [left, life, usable] of idRows) {
  test(`an ID token of ${life ?? "unknown"} s with ${left} s left is ${usable ? "used" : "not used"}`, () => {
    const decision = decideReuse({ id: idToken(left, life) }, undefined, NOW);
    assert.deepEqual(
      decision,
      usable ? { exchangeNeeded: false, usable: "id_token" } : { exchangeNeeded: false },
    );
  });
}

const accessRows: readonly [expiry: string | null, usable: boolean][] = [
  [at(11), true],
  [at(10), false],
  [at(-5), false],
  [null, false],
  ["no time", false],
];
for (const [expiryTimestamp, usable] of accessRows) {
  test(`an access token that ends at ${expiryTimestamp} is ${usable ? "exchanged" : "not exchanged"}`, () => {
    const tokens = { access: { token: "a", expiryTimestamp }, id: idToken(3000, 3600) };
    assert.deepEqual(
      decideReuse(tokens, "prod", NOW),
      usable ? { exchangeNeeded: true, usable: "access_token" } : { exchangeNeeded: true },
    );
  });
}

test("an exchange is needed unless aud is exactly the text asked for", () => {
  const withAudience = (audience: unknown): SessionTokens => ({ id: idToken(3000, 3600, audience) });
  assert.equal(isExchangeNeeded(withAudience("prod"), "prod"), false);
  assert.equal(isExchangeNeeded(withAudience(["prod"]), "prod"), true);
  assert.equal(isExchangeNeeded(withAudience("other"), "prod"), true);
  assert.equal(isExchangeNeeded({ id: null }, "prod"), true);
  assert.equal(isExchangeNeeded(undefined, "prod"), true);
  assert.equal(isExchangeNeeded(withAudience("other"), undefined), false);
  assert.equal(isExchangeNeeded(withAudience("other"), ""), false);
});

test("claims that the file does not have come from the token", () => {
  const token = `h.${Buffer.from(JSON.stringify({ aud: "prod", iat: NOW / 1000 - 60 })).toString("base64url")}.s`;
  const tokens = { id: { token, expiryTimestamp: at(61) } };
  assert.deepEqual(decideReuse(tokens, "prod", NOW), { exchangeNeeded: false, usable: "id_token" });
  assert.deepEqual(decideReuse({ id: { token, expiryTimestamp: at(60) } }, "prod", NOW), {
    exchangeNeeded: false,
  });
  assert.deepEqual(decideReuse({ id: { token: "garbage", expiryTimestamp: at(60) } }, "prod", NOW), {
    exchangeNeeded: true,
  });
});
