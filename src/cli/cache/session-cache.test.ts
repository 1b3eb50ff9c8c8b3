import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { SessionCache, SessionKey, SessionTokens } from "../oidc/session.ts";
import { createSessionCache } from "./session-cache.ts";
import { createMemoryLog, createWorkstation, passTimeUntil } from "./testing/simulated-cluster.ts";
import { temporaryFolder } from "./testing/temporary-folder.ts";

const KEY: SessionKey = {
  issuer: "https://issuer.example.com",
  clientID: "pinniped-cli",
  scopes: ["groups", "openid"],
  redirect_uri: "http://localhost:0/callback",
};
const HOUR = 3_600_000;

interface Station {
  readonly clock: ReturnType<typeof createWorkstation>["clock"];
  readonly log: ReturnType<typeof createMemoryLog>;
  readonly file: string;
  readonly sessions: SessionCache;
  /** Seconds from now as RFC 3339. */
  after(seconds: number): string;
}

function createStation(options: { readonly debug?: boolean; readonly store?: string } = {}): Station {
  const { clock, log, file, request } = createWorkstation();
  const sessionFile = join(dirname(file), "sessions.yaml");
  const environment = options.store === undefined ? {} : { LANYARD_CREDENTIAL_STORE: options.store };
  return {
    clock,
    log,
    file: sessionFile,
    sessions: createSessionCache({
      context: { ...request.context, environment },
      file: sessionFile,
      debug: options.debug ?? false,
    }),
    after: (seconds) => `${new Date(clock.now() + seconds * 1000).toISOString().slice(0, 19)}Z`,
  };
}

function tokens({ after }: Station): SessionTokens {
  return {
    access: { token: "access", type: "bearer", expiryTimestamp: after(120) },
    id: {
      token: "id",
      expiryTimestamp: after(7200),
      claims: { sub: "ann", groups: ["a"], iat: 1_700_000_000 },
    },
    refresh: { token: "refresh" },
  };
}

describe("sessions.yaml (contract cli.md 6)", () => {
  test("what was put is found again, and has the contract's form", async () => {
    const station = createStation();
    assert.equal(await station.sessions.get(KEY), undefined);
    assert.equal(existsSync(dirname(station.file)), false, "a lookup makes nothing");
    await station.sessions.put({ ...KEY, upstream_provider_name: "corp" }, tokens(station));
    assert.deepEqual(await station.sessions.get({ ...KEY, upstream_provider_name: "corp" }), tokens(station));
    const time = station.after(0);
    assert.deepEqual(JSON.parse(readFileSync(station.file, "utf8")), {
      apiVersion: "config.supervisor.pinniped.dev/v1alpha1",
      kind: "SessionCache",
      sessions: [
        {
          creationTimestamp: time,
          key: { ...KEY, upstream_provider_name: "corp" },
          lastUsedTimestamp: time,
          tokens: tokens(station),
        },
      ],
    });
  });

  test("each field of the key counts; an empty provider is none", async () => {
    const station = createStation();
    await station.sessions.put({ ...KEY, upstream_provider_name: "" }, tokens(station));
    assert.ok(await station.sessions.get(KEY));
    for (const other of [
      { issuer: "https://issuer.example.com/" },
      { clientID: "other" },
      { scopes: ["groups"] },
      { scopes: ["openid", "groups"] },
      { redirect_uri: "http://localhost:1/callback" },
      { upstream_provider_name: "corp" },
    ]) {
      assert.equal(await station.sessions.get({ ...KEY, ...other }), undefined, JSON.stringify(other));
    }
  });

  test("what has expired goes, what is empty too; without any token there is no entry", async () => {
    const station = createStation();
    const { clock, sessions } = station;
    await sessions.put(KEY, tokens(station));
    await clock.advance(121_000);
    assert.deepEqual(Object.keys((await sessions.get(KEY)) ?? {}), ["refresh", "id"]);
    await clock.advance(2 * HOUR);
    assert.deepEqual(await sessions.get(KEY), { refresh: { token: "refresh" } });
    await sessions.put(KEY, { access: { token: "a", expiryTimestamp: null }, refresh: { token: "" } });
    assert.equal(await sessions.get(KEY), undefined);
    assert.deepEqual((JSON.parse(readFileSync(station.file, "utf8")) as { sessions: unknown }).sessions, []);
  });

  test("90 days without use end a session; a lookup is a use", async () => {
    const station = createStation();
    const { clock, sessions } = station;
    await sessions.put(KEY, { refresh: { token: "refresh" } });
    await clock.advance(89 * 24 * HOUR);
    assert.ok(await sessions.get(KEY));
    await clock.advance(89 * 24 * HOUR);
    assert.ok(await sessions.get(KEY));
    await clock.advance(91 * 24 * HOUR);
    assert.equal(await sessions.get(KEY), undefined);
  });

  test("reads what the existing CLI and its tests write, and keeps what it does not know", async () => {
    const station = createStation();
    mkdirSync(dirname(station.file), { mode: 0o700 });
    writeFileSync(
      station.file,
      `apiVersion: config.supervisor.pinniped.dev/v1alpha1
kind: SessionCache
sessions:
- creationTimestamp: "2026-04-30T12:00:00Z"
  key:
    clientID: pinniped-cli
    issuer: https://issuer.example.com
    redirect_uri: http://localhost:0/callback
    scopes:
    - groups
    - openid
  lastUsedTimestamp: "2026-05-01T11:00:00Z"
  future: 1
  tokens:
    id:
      claims:
        aud: pinniped-cli
        exp: 1777647600
        username: ann
      expiryTimestamp: "2026-05-01T15:00:00Z"
      token: id
    refresh:
      token: refresh
`,
      { mode: 0o600 },
    );
    assert.deepEqual(await station.sessions.get(KEY), {
      refresh: { token: "refresh" },
      id: {
        token: "id",
        expiryTimestamp: "2026-05-01T15:00:00Z",
        claims: { aud: "pinniped-cli", exp: 1_777_647_600, username: "ann" },
      },
    });
    const [entry] = (
      JSON.parse(readFileSync(station.file, "utf8")) as { sessions: Record<string, unknown>[] }
    ).sessions;
    assert.equal(entry?.["future"], 1);
    assert.equal(entry?.["creationTimestamp"], "2026-04-30T12:00:00Z");
    assert.equal(entry?.["lastUsedTimestamp"], station.after(0));
    await station.sessions.put(KEY, { refresh: { token: "next" } });
    assert.equal(
      (JSON.parse(readFileSync(station.file, "utf8")) as { sessions: Record<string, unknown>[] })
        .sessions[0]?.["creationTimestamp"],
      "2026-04-30T12:00:00Z",
    );
  });

  test("removes one, lists all", async () => {
    const station = createStation();
    const other = { ...KEY, issuer: "https://other.example.com" };
    await station.sessions.put(KEY, tokens(station));
    await station.sessions.put(other, tokens(station));
    assert.deepEqual(
      (await station.sessions.list()).map(({ key }) => key),
      [KEY, other],
    );
    await station.sessions.remove(KEY);
    assert.deepEqual(
      (await station.sessions.list()).map(({ key }) => key),
      [other],
    );
    await station.sessions.remove(KEY);
  });
});

describe("errors of the session cache", () => {
  test("--debug-session-cache shows them always, PINNIPED_DEBUG as well", async () => {
    for (const debug of [true, false]) {
      const station = createStation({ debug });
      mkdirSync(dirname(station.file), { mode: 0o700 });
      writeFileSync(station.file, "secret: [", { mode: 0o600 });
      assert.equal(await station.sessions.get(KEY), undefined);
      await station.sessions.put(KEY, tokens(station));
      assert.ok(await station.sessions.get(KEY));
      const [line, ...more] = station.log.lines;
      assert.deepEqual(more, []);
      assert.equal(line?.level, debug ? "error" : "debug");
      assert.equal(line?.message, "error during session cache operation");
      assert.match(
        String(line?.values?.["error"]),
        /^failed to read cache, resetting: sessions\.yaml is neither JSON nor YAML; it was moved to /,
      );
      assert.ok(readdirSync(dirname(station.file)).some((name) => name.startsWith("sessions.yaml.corrupt-")));
    }
  });

  test("what cannot be written back is not used: a refresh token works once", async () => {
    const station = createStation({ debug: true });
    await station.sessions.put(KEY, tokens(station));
    await station.clock.advance(5_000);
    // It can be read through this link, but what is behind it may not be replaced (S23).
    const elsewhere = temporaryFolder();
    renameSync(station.file, join(elsewhere, "sessions.yaml"));
    symlinkSync(join(elsewhere, "sessions.yaml"), station.file);
    chmodSync(elsewhere, 0o777);
    assert.equal(await station.sessions.get(KEY), undefined);
    assert.match(String(station.log.lines[0]?.values?.["error"]), /can be written to by others/);
    chmodSync(elsewhere, 0o700);
    assert.ok(await station.sessions.get(KEY));
  });

  test("a lock that cannot be had is a miss, with the contract's text", async () => {
    const station = createStation({ debug: true });
    await station.sessions.put(KEY, tokens(station));
    const { loadFileLocking } = await import("../file-lock/file-lock.ts");
    const lock = (await loadFileLocking(process.platform)).tryLock(`${station.file}.lock`);
    assert.equal(await passTimeUntil(station.clock, station.sessions.get(KEY), 500), undefined);
    assert.match(String(station.log.lines[0]?.values?.["error"]), /^could not lock session file: /);
    lock?.release();
  });
});

test("one process at a time works on a session, others on theirs", async () => {
  const station = createStation();
  const order: string[] = [];
  const { signal } = new AbortController();
  let finish = (): void => undefined;
  const first = station.sessions.exclusively(KEY, signal, async () => {
    order.push("first begins");
    await new Promise<void>((resolve) => (finish = resolve));
    order.push("first ends");
  });
  while (order.length === 0) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const second = station.sessions.exclusively(KEY, signal, () => Promise.resolve(order.push("second")));
  await station.sessions.exclusively({ ...KEY, clientID: "other" }, signal, () =>
    Promise.resolve(order.push("other")),
  );
  await station.clock.advance(300);
  finish();
  await first;
  await passTimeUntil(station.clock, second);
  assert.deepEqual(order, ["first begins", "other", "first ends", "second"]);

  const stop = new AbortController();
  const blocked = station.sessions.exclusively(
    KEY,
    signal,
    () => new Promise<void>((resolve) => (finish = resolve)),
  );
  const given = station.sessions.exclusively(KEY, stop.signal, () => Promise.resolve());
  stop.abort(new Error("enough"));
  await assert.rejects(passTimeUntil(station.clock, given), /enough/);
  finish();
  await blocked;
});

describe("other stores", () => {
  test("memory keeps for this process, and makes no file; none keeps nothing", async () => {
    const memory = createStation({ store: "memory" });
    await memory.sessions.put(KEY, tokens(memory));
    assert.deepEqual(await memory.sessions.get(KEY), tokens(memory));
    assert.equal(
      await memory.sessions.exclusively(KEY, new AbortController().signal, () => Promise.resolve(7)),
      7,
    );
    const none = createStation({ store: "none" });
    await none.sessions.put(KEY, tokens(none));
    assert.equal(await none.sessions.get(KEY), undefined);
    assert.equal(existsSync(dirname(memory.file)) || existsSync(dirname(none.file)), false);
  });

  test("a store that does not exist is an error that names the four", async () => {
    const station = createStation({ store: "vault" });
    await assert.rejects(station.sessions.get(KEY), {
      code: "cli.credential-store",
      message: "LANYARD_CREDENTIAL_STORE must be one of file, keyring, memory, none",
    });
  });
});

test("without a path nothing is kept and nothing is written, not even a lock", async () => {
  const { request } = createWorkstation();
  const sessions = createSessionCache({ context: request.context, file: "", debug: false });
  await sessions.put(KEY, { refresh: { token: "r" } });
  assert.equal(await sessions.get(KEY), undefined);
  assert.equal(await sessions.exclusively(KEY, new AbortController().signal, async () => "done"), "done");
  assert.ok(!existsSync("lanyard-locks"));
});
