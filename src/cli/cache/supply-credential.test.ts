import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, test } from "node:test";
import { CommandError } from "../command-error.ts";
import { loadFileLocking } from "../file-lock/file-lock.ts";
import { cacheReport } from "./cache-report.ts";
import { flightLockPath } from "./cache-transaction.ts";
import { cachedCredential } from "./cached-credential.ts";
import { forgetAllCredentials, forgetCredential } from "./forget.ts";
import { parseSideFile, readSideFile, sideFilePath } from "./side-file.ts";
import { supplyCredential } from "./supply-credential.ts";
import { tokenCredential } from "./testing/credential.ts";
import { createWorkstation, passTimeUntil } from "./testing/simulated-cluster.ts";
import type { Workstation } from "./testing/simulated-cluster.ts";

function supply(
  station: Workstation,
  more: Partial<Parameters<typeof supplyCredential>[0]> = {},
): ReturnType<typeof supplyCredential> {
  return passTimeUntil(
    station.clock,
    supplyCredential({ ...station.request, execInfoGiven: false, renew: station.cluster.renew, ...more }),
  );
}

/** Seconds from now to the reported end. */
function ends(station: Workstation, credential: { readonly expirationTimestamp?: string }): number {
  return Math.round((Date.parse(credential.expirationTimestamp ?? "") - station.clock.now()) / 1000);
}

/** The same where it is rounded up from a fraction: the whole seconds that are left. */
function waits(station: Workstation, credential: { readonly expirationTimestamp?: string }): number {
  return Math.floor((Date.parse(credential.expirationTimestamp ?? "") - station.clock.now()) / 1000);
}

function decisions(station: Workstation): readonly unknown[] {
  return station.log.lines.map(({ values }) => values?.["decision"]);
}

describe("what is decided shows under PINNIPED_DEBUG (rule 11)", () => {
  test("a plain login says nothing of its own (contract cli.md 12), a hit the contract's line", async () => {
    const station = createWorkstation();
    await supply(station);
    assert.deepEqual(station.log.lines, []);
    const hit = await cachedCredential(station.request);
    assert.equal(ends(station, hit ?? {}), 200);
    assert.deepEqual(station.log.lines, [
      {
        level: "debug",
        message: "using cached cluster credential.",
        values: { decision: "fresh", secondsLeft: 290, clockOffsetSeconds: 0 },
      },
    ]);
  });

  test("early renewals, failed ones, and clocks that differ", async () => {
    const station = createWorkstation();
    await supply(station);
    await station.clock.advance(210_000);
    station.cluster.answers = "errors";
    assert.equal(waits(station, await supply(station)), 5);
    assert.equal(
      waits(station, (await cachedCredential(station.request)) ?? {}),
      5,
      "until it is tried again",
    );
    station.log.lines.splice(-1);
    await station.clock.advance(6_000);
    assert.equal(waits(station, await supply(station)), 10);
    await station.clock.advance(11_000);
    assert.equal(waits(station, await supply(station)), 20);
    await station.clock.advance(21_000);
    assert.equal(waits(station, await supply(station)), 20);
    assert.deepEqual(decisions(station), Array(4).fill(["renew early", "stale-if-error"]).flat());
    const failure = station.log.lines[1];
    assert.match(String(failure?.values?.["error"]), /connection refused/);
    assert.ok(Number(failure?.values?.["secondsLeft"]) > 0);
    await station.clock.advance(21_000);
    station.cluster.answers = "credentials";
    station.cluster.issuerOffset = 45_000;
    assert.equal(waits(station, await supply(station)), 200);
    const clocks = station.log.lines.find(({ message }) => message === "the clocks differ");
    assert.deepEqual(clocks?.values, {
      endpoint: "https://concierge.example.com",
      serverIsAheadBySeconds: 45,
    });
    assert.deepEqual(await cacheReport(station.request), {
      clockOffsets: [{ endpoint: "https://concierge.example.com", seconds: 45 }],
    });
  });
});

describe("early renewal (rules 4 to 6)", () => {
  test("has 10 s, then the old one goes out", async () => {
    const station = createWorkstation();
    await supply(station);
    await station.clock.advance(205_000);
    station.cluster.answers = "nothing";
    const start = station.clock.now();
    const credential = await supply(station);
    assert.ok(station.clock.now() - start <= 10_200);
    assert.equal(waits(station, credential), 5);
    assert.deepEqual(
      station.cluster.calls.map(({ interactive }) => interactive),
      [true, false],
    );
  });

  test("one that does not listen to its signal does not hold up the client either", async () => {
    const station = createWorkstation();
    await supply(station);
    await station.clock.advance(205_000);
    const start = station.clock.now();
    await supply(station, { renew: () => new Promise(() => undefined) });
    assert.ok(station.clock.now() - start <= 10_200);
  });

  test("one that begins late ends while the old one can still be handed out", async () => {
    const station = createWorkstation();
    await supply(station);
    await station.clock.advance(285_000);
    const asked: boolean[] = [];
    const silent = {
      renew: (options: { readonly interactive: boolean }) => {
        asked.push(options.interactive);
        return new Promise<never>(() => undefined);
      },
    };
    const credential = await supply(station, silent);
    assert.deepEqual(asked, [false]);
    assert.equal(waits(station, credential), 2);
    await station.clock.advance(2_000);
    assert.ok(waits(station, await supply(station)) >= 199, "and when it is over, a login follows");
  });

  test("while somebody else renews, the old one goes out at once", async () => {
    const station = createWorkstation();
    await supply(station);
    await station.clock.advance(210_000);
    const locking = await loadFileLocking(process.platform);
    const lock = locking.tryLock(flightLockPath(station.file, station.request.key));
    const start = station.clock.now();
    assert.equal(waits(station, await supply(station)), 5);
    assert.ok(station.clock.now() - start < 200);
    assert.equal(station.cluster.calls.length, 1);
    lock?.release();
  });

  test("when it is over, errors of a login are passed on", async () => {
    const station = createWorkstation();
    await supply(station);
    await station.clock.advance(289_000);
    station.cluster.answers = "errors";
    await assert.rejects(supply(station), CommandError);
    assert.deepEqual(station.cluster.calls.at(-1)?.interactive, true);
  });

  test("who waits for another one's login takes what it stored, before the other lets go", async () => {
    const station = createWorkstation();
    await supply(station);
    await station.clock.advance(300_000);
    const locking = await loadFileLocking(process.platform);
    const lock = locking.tryLock(flightLockPath(station.file, station.request.key));
    const waiting = supplyCredential({
      ...station.request,
      renew: () => Promise.reject(new Error("not asked")),
    });
    waiting.catch(() => undefined);
    await station.clock.advance(5_000);
    const { storeIssued } = await import("./store-credential.ts");
    await storeIssued(
      station.request,
      await station.cluster.renew({ interactive: true, signal: new AbortController().signal }),
      undefined,
    );
    assert.equal(ends(station, await passTimeUntil(station.clock, waiting)), 200);
    lock?.release();
  });

  test("an interrupt ends the wait", async () => {
    const station = createWorkstation();
    const stop = new AbortController();
    const request = { ...station.request, context: { ...station.request.context, signal: stop.signal } };
    await supply(station);
    await station.clock.advance(300_000);
    const lock = (await loadFileLocking(process.platform)).tryLock(
      flightLockPath(station.file, station.request.key),
    );
    const waiting = supplyCredential({ ...request, renew: station.cluster.renew });
    stop.abort(new Error("interrupted"));
    await assert.rejects(passTimeUntil(station.clock, waiting), /interrupted/);
    lock?.release();
  });
});

describe("the side file (rule 3)", () => {
  test("losing it, or anything wrong with it, is harmless", async () => {
    const station = createWorkstation();
    await supply(station);
    const before = await cachedCredential(station.request);
    assert.equal(statSync(sideFilePath(station.file)).mode & 0o777, 0o600);
    unlinkSync(sideFilePath(station.file));
    assert.deepEqual(await cachedCredential(station.request), before);
    for (const text of [
      "{",
      "[]",
      '{"version":2}',
      '{"version":1,"histories":{"00ff":{"failures":"x"}},"clockOffsets":7,"bypassedAt":{"__proto__":1}}',
    ]) {
      writeFileSync(sideFilePath(station.file), text, { mode: 0o600 });
      assert.deepEqual(await cachedCredential(station.request), before);
      assert.deepEqual(parseSideFile(text), { histories: {}, bypassedAt: {}, clockOffsets: {} });
    }
    await station.clock.advance(210_000);
    assert.equal(ends(station, await supply(station)), 200);
    assert.equal(Object.keys(readSideFile(station.file, station.request.context).histories).length, 1);
  });

  test("holds no part of a key or certificate that could be used", async () => {
    const station = createWorkstation();
    const { clientKeyData = "", clientCertificateData = "" } = await supply(station);
    const text = readFileSync(sideFilePath(station.file), "utf8");
    assert.ok(!text.includes("PRIVATE") && !text.includes(clientKeyData.slice(30, 40)));
    assert.ok(!text.includes(clientCertificateData.split("\n")[1]?.slice(0, 20) ?? "-"));
  });

  test("the last five answers of an endpoint count, and none from before the clock was set", async () => {
    const station = createWorkstation();
    const reported: number[] = [];
    for (const offset of [9_000, 3_000, 3_000, 3_000, 3_000, 3_000, -400_000]) {
      station.cluster.issuerOffset = offset;
      reported.push(waits(station, await supply(station)));
      await station.clock.advance(300_000);
    }
    // What a replica that is 3 s ahead issues ends 6 s earlier for one that is 9 s ahead.
    assert.deepEqual(reported, [200, 194, 194, 194, 194, 200, 200]);
  });
});

describe("without a cache", () => {
  test("nothing is read or written", async () => {
    for (const station of [createWorkstation({ LANYARD_CREDENTIAL_STORE: "none" }), createWorkstation()]) {
      const disabled = station.request.context.environment["LANYARD_CREDENTIAL_STORE"] === undefined;
      const file = disabled ? "" : station.file;
      assert.equal(await cachedCredential({ ...station.request, file }), undefined);
      assert.equal(ends(station, await supply(station, { file })), 200);
      assert.equal(existsSync(dirname(station.file)), false);
    }
  });

  test("in memory it lasts as long as the process, and makes no file", async () => {
    const station = createWorkstation({ LANYARD_CREDENTIAL_STORE: "memory" });
    await supply(station);
    assert.ok(await cachedCredential(station.request));
    assert.deepEqual(existsSync(dirname(station.file)) ? readdirSync(dirname(station.file)) : [], []);
  });

  test("a credential without an end is handed out and not kept", async () => {
    const station = createWorkstation();
    const credential = { token: "opaque" };
    const renew = (): ReturnType<typeof station.cluster.renew> =>
      Promise.resolve({ credential, fromConcierge: true });
    assert.deepEqual(await supply(station, { renew }), credential);
    assert.equal(existsSync(station.file), false);
  });
});

test("an ID token's reported end comes from the token alone", async () => {
  const station = createWorkstation();
  const now = Math.floor(station.clock.now() / 1000) * 1000;
  const credential = tokenCredential(now, now + 120_000);
  await station.clock.advance(31_234);
  const supplied = await supply(station, {
    fromConcierge: false,
    renew: () =>
      Promise.resolve({ credential, fromConcierge: false, clockOffset: 40_000, endpoint: "https://issuer" }),
  });
  assert.equal(Date.parse(supplied.expirationTimestamp ?? "") - now, 74_000);
});

test("logout forgets one credential, or all with what is remembered of them", async () => {
  const station = createWorkstation();
  for (const key of ["aa", "bb"]) {
    await supply(station, { key });
  }
  assert.equal(await forgetCredential({ ...station.request, key: "aa" }), true);
  assert.equal(await forgetCredential({ ...station.request, key: "aa" }), false);
  assert.ok(await cachedCredential({ ...station.request, key: "bb" }));
  assert.equal(await forgetAllCredentials(station.request), 1);
  assert.equal(existsSync(sideFilePath(station.file)), false);
  assert.equal(await cachedCredential({ ...station.request, key: "bb" }), undefined);
});

test("doctor hears what is wrong with a cache", async () => {
  const station = createWorkstation();
  await supply(station);
  writeFileSync(station.file, "secret: [", { mode: 0o600 });
  const { problem } = await cacheReport(station.request);
  assert.equal(problem, `${station.file} is neither JSON nor YAML; the next login moves it aside`);
});
