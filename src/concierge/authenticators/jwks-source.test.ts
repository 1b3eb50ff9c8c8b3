import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJWK, generateKeyPair } from "jose";
import { createScriptedHttp } from "../../../test/oidc/scripted-http.ts";
import { createManualClock } from "../../clock.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createJwksSource } from "./jwks-source.ts";
import type { JwksSourceOptions } from "./jwks-source.ts";

const url = new URL("https://issuer.example/jwks");
const key = { ...(await exportJWK((await generateKeyPair("ES256")).publicKey)), kid: "one" };
const { signal } = new AbortController();
const MINUTE = 60_000;

function setUp(options: Partial<JwksSourceOptions> = {}) {
  const http = createScriptedHttp();
  const clock = createManualClock();
  http.answer(url.href, { json: { keys: [key] } });
  const source = createJwksSource({ url, http, clock, log: silentLogger, ...options });
  const kids = () =>
    source
      .current()
      ?.jwks()
      .keys.map((jwk) => jwk.kid);
  return { http, clock, source, kids };
}

test("keys are fetched every 5 minutes, a good answer replaces them at once, an empty one too", async () => {
  const { http, clock, source, kids } = setUp();
  assert.equal(source.current(), undefined);
  await source.start(signal);
  assert.deepEqual(kids(), ["one"]);
  http.answer(url.href, { json: { keys: [] } });
  await clock.advance(5 * MINUTE - 1);
  assert.equal(http.requests.length, 1);
  assert.deepEqual(kids(), ["one"]);
  await clock.advance(1);
  assert.equal(http.requests.length, 2);
  assert.deepEqual(kids(), []);
  await clock.advance(50 * MINUTE);
  assert.equal(http.requests.length, 12);
});

test("only a failed fetch keeps the old keys, for a day", async () => {
  for (const bad of [
    { failure: "connection refused" },
    { status: 503, text: "later" },
    { status: 200, text: "{" },
    { json: { keys: ["x"] } },
    { json: { keys: {} } },
    { json: {} },
    { json: { keys: Array.from({ length: 101 }, () => key) } },
  ]) {
    const { http, clock, source, kids } = setUp();
    await source.start(signal);
    http.answer(url.href, bad);
    await clock.advance(86_400_000);
    assert.deepEqual(kids(), ["one"]);
    assert.equal(source.ageSeconds(), 86_400);
    await clock.advance(1);
    assert.equal(source.current(), undefined, JSON.stringify(bad).slice(0, 60));
    http.answer(url.href, { json: { keys: [key] } });
    await clock.advance(5 * MINUTE);
    assert.deepEqual(kids(), ["one"]);
    source.close();
  }
});

test("the time that old keys stay can be changed, 0 means for ever", async () => {
  for (const [maximumStaleSeconds, kept] of [
    [600, false],
    [0, true],
  ] as const) {
    const { http, clock, source } = setUp({ maximumStaleSeconds });
    await source.start(signal);
    http.answer(url.href, { failure: "down" });
    await clock.advance(10 * 86_400_000);
    assert.equal(source.current() !== undefined, kept);
    source.close();
  }
});

test("a token may cause one fetch in 30 seconds, failed ones count", async () => {
  const { http, clock, source } = setUp();
  await source.start(signal);
  http.answer(url.href, { failure: "down" });
  await assert.rejects(source.refreshAfter(source.current(), signal), /oidc: get keys failed Get .*: down/);
  for (let second = 0; second < 29; second++) {
    await clock.advance(1000);
    assert.equal(await source.refreshAfter(source.current(), signal), false);
  }
  assert.equal(http.requests.length, 2);
  await clock.advance(1000);
  http.answer(url.href, { json: { keys: [key] } });
  assert.equal(await source.refreshAfter(source.current(), signal), true);
  assert.equal(http.requests.length, 3);
});

test("callers share one fetch, and leave it without ending it", async () => {
  const { http, source } = setUp();
  await source.start(signal);
  const { promise, resolve } = Promise.withResolvers<void>();
  http.answer(url.href, async () => {
    await promise;
    return { json: { keys: [] } };
  });
  const seen = source.current();
  const leaver = new AbortController();
  const calls = Array.from({ length: 50 }, () => source.refreshAfter(seen, signal));
  const left = source.refreshAfter(seen, leaver.signal);
  leaver.abort(new Error("gone"));
  await assert.rejects(left, /gone/);
  resolve();
  assert.deepEqual(new Set(await Promise.all(calls)), new Set([true]));
  assert.equal(http.requests.length, 2);
});

test("the first fetch must succeed, its faults have the contract's texts (4.4)", async () => {
  const { http, source } = setUp();
  http.answer(url.href, { status: 500, text: "oops" });
  await assert.rejects(source.start(signal), { message: "oidc: get keys failed: 500 Failed oops" });
  http.answer(url.href, { json: [] });
  await assert.rejects(source.start(signal), /^JwksError: oidc: failed to decode keys: /);
});

test("shared secrets in the set are left out", async () => {
  const { http, source, kids } = setUp();
  http.answer(url.href, { json: { keys: [{ kty: "oct", k: "AAAA", kid: "two" }, key] } });
  await source.start(signal);
  assert.deepEqual(kids(), ["one"]);
});

test("a closed source fetches no more", async () => {
  const { http, clock, source } = setUp();
  await source.start(signal);
  source.close();
  await clock.advance(60 * MINUTE);
  assert.equal(await source.refreshAfter(source.current(), signal), false);
  assert.equal(http.requests.length, 1);
});
