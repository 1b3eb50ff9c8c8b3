/* The acceptance cases of contract cli.md 13.6; cases 5 and 6 with real programs and hours are among the integration tests. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createManualClock, systemClock } from "../../clock.ts";
import { createSessionCache } from "./session-cache.ts";
import { storeIssued } from "./store-credential.ts";
import { certificateCredential } from "./testing/credential.ts";
import { killDuringStore } from "./testing/kill-during-store.ts";
import {
  createExistingPlugin,
  createMemoryLog,
  createWorkstation,
  passTimeUntil,
} from "./testing/simulated-cluster.ts";
import type { SimulatedClient, Workstation } from "./testing/simulated-cluster.ts";
import { temporaryFolder } from "./testing/temporary-folder.ts";

const MINUTE = 60_000;

/** One request a second through one client; when the application saw a 401, in seconds from the start. */
async function requestEachSecond(
  { clock }: Workstation,
  client: SimulatedClient,
  seconds: number,
): Promise<readonly number[]> {
  const failures: number[] = [];
  for (let second = 0; second < seconds; second++) {
    if ((await passTimeUntil(clock, client.request())) === 401) {
      failures.push(second);
    }
    await clock.advance(1000);
  }
  return failures;
}

test("case 1: verifier 5 s ahead, one request per second for 15 minutes: no 401", async () => {
  for (const issuerOffset of [0, 5_000]) {
    const station = createWorkstation();
    Object.assign(station.cluster, { verifierOffset: 5_000, issuerOffset });
    assert.deepEqual(await requestEachSecond(station, station.client(), 900), []);
    assert.ok(station.cluster.issues.slice(1).every(({ interactive }) => !interactive));

    const existing = createWorkstation();
    Object.assign(existing.cluster, { verifierOffset: 5_000, issuerOffset, reportedLead: 45_000 });
    const client = existing.client(createExistingPlugin(existing));
    assert.deepEqual(await requestEachSecond(existing, client, 900), [], "the existing CLI, early reporting");
  }
  const without = createWorkstation();
  without.cluster.verifierOffset = 5_000;
  const failures = await requestEachSecond(without, without.client(createExistingPlugin(without)), 900);
  assert.ok(failures.length >= 8, "the model shows the trouble that the rules are for");
});

test("case 2: verifier 60 s ahead: no 401; 180 s ahead: one 401 per certificate at most", async () => {
  const station = createWorkstation();
  station.cluster.verifierOffset = MINUTE;
  assert.deepEqual(await requestEachSecond(station, station.client(), 900), []);

  const far = createWorkstation();
  far.cluster.verifierOffset = 3 * MINUTE;
  const failures = await requestEachSecond(far, far.client(), 900);
  assert.ok(failures.length > 0 && failures.length <= far.cluster.issues.length, String(failures));
  for (const [index, failure] of failures.entries()) {
    assert.ok(failure - (failures[index - 1] ?? -100) >= 60, "each is a burst of one");
  }
});

test("case 3: Concierge down for 60 s from renewAt: no failed request, no prompt, a plugin run in 5 s at most", async () => {
  for (const answers of ["errors", "nothing"] as const) {
    const station = createWorkstation();
    const { cluster, clock } = station;
    const client = station.client();
    assert.deepEqual(await requestEachSecond(station, client, 199), []);
    cluster.answers = answers;
    const down = clock.now();
    const before = client.runs.length;
    while (clock.now() < down + MINUTE) {
      assert.deepEqual(await requestEachSecond(station, client, 1), []);
    }
    cluster.answers = "credentials";
    assert.deepEqual(await requestEachSecond(station, client, 300), []);
    const runs = client.runs.slice(before).filter((at) => at < down + MINUTE);
    assert.ok(runs.length >= 2);
    for (const [index, at] of runs.entries()) {
      assert.ok(index === 0 || at - (runs[index - 1] ?? 0) >= 5_000, String(runs));
    }
    assert.ok(cluster.calls.slice(1).every(({ interactive }) => !interactive));
    assert.ok(
      station.log.lines.every(({ level }) => level === "debug"),
      "nothing on stderr",
    );
  }
});

/** Runs plugin processes at the same time; what each printed. */
async function runPlugins(folder: string, keys: readonly string[]): Promise<readonly string[]> {
  return Promise.all(
    keys.map(
      (key) =>
        new Promise<string>((resolve, reject) => {
          const script = join(import.meta.dirname, "testing", "login-process.ts");
          const child = spawn(process.execPath, [script, folder, key], { stdio: ["ignore", "pipe", "pipe"] });
          let output = "";
          let complaints = "";
          child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
          child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
          child.on("close", (code) =>
            code === 0 && complaints === "" ? resolve(output) : reject(new Error(`${code} ${complaints}`)),
          );
        }),
    ),
  );
}

test("case 4: 20 processes at renewAt with one session: 1 refresh, 1 exchange per cluster, 20 credentials", async () => {
  const folder = join(temporaryFolder(), "pinniped");
  mkdirSync(folder, { mode: 0o700 });
  const start = systemClock.now() - 210_000;
  const clock = createManualClock(start);
  const context = { ...createWorkstation().request.context, clock };
  for (const key of ["aa", "bb"]) {
    const credential = certificateCredential(start - 5 * MINUTE, start + 5 * MINUTE);
    await storeIssued(
      { context, file: join(folder, "credentials.yaml"), key, fromConcierge: true, execInfoGiven: false },
      {
        credential,
        fromConcierge: true,
        clockOffset: 0,
        issuedAt: start,
        endpoint: "https://concierge.example.com",
      },
      undefined,
    );
  }
  await createSessionCache({ context, file: join(folder, "sessions.yaml"), debug: true }).put(
    {
      issuer: "https://issuer.example.com",
      clientID: "pinniped-cli",
      scopes: ["openid"],
      redirect_uri: "http://localhost:0/callback",
    },
    { refresh: { token: "first" } },
  );
  const keys = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? "aa" : "bb"));
  const printed = await runPlugins(folder, keys);
  assert.equal(printed.length, 20);
  for (const text of printed) {
    const { clientCertificateData, expirationTimestamp } = JSON.parse(text) as Record<string, string>;
    assert.ok(clientCertificateData);
    assert.ok(Date.parse(expirationTimestamp ?? "") > systemClock.now() - 60_000);
  }
  const calls = readFileSync(join(folder, "calls"), "utf8").trimEnd().split("\n");
  assert.deepEqual(calls.toSorted(), ["exchange aa", "exchange bb", "refresh first"]);
});

test("20 processes with an empty cache: one login, one exchange, 20 equal credentials", async () => {
  const folder = join(temporaryFolder(), "pinniped");
  mkdirSync(folder, { mode: 0o700 });
  const printed = await runPlugins(
    folder,
    Array.from({ length: 20 }, () => "aa"),
  );
  const [first, ...others] = printed.map((text) => JSON.parse(text) as unknown);
  assert.equal(others.length, 19);
  for (const other of others) {
    assert.deepEqual(other, first);
  }
  const calls = readFileSync(join(folder, "calls"), "utf8").trimEnd().split("\n");
  assert.deepEqual(calls, ["interactive", "refresh nothing", "exchange aa"]);
});

test("case 5: an hour in steady state: no more than 2 plugin runs per certificate", async () => {
  for (const [issuerOffset, reportedLead] of [
    [0, 0],
    [7_000, 45_000],
    [-7_000, 45_000],
    [400_000, 0],
    [-400_000, 0],
  ] as const) {
    const station = createWorkstation();
    Object.assign(station.cluster, { issuerOffset, verifierOffset: issuerOffset, reportedLead });
    const clients = [station.client(), station.client(), station.client()];
    for (let second = 0; second < 3600; second++) {
      for (const client of clients) {
        assert.equal(await passTimeUntil(station.clock, client.request()), 200);
      }
      await station.clock.advance(1000);
    }
    const { issues } = station.cluster;
    assert.ok(issues.length <= 3600 / 190 + 1, `${issues.length} certificates`);
    for (const { runs } of clients) {
      assert.ok(runs.length <= issues.length * 2, `${runs.length} runs for ${issues.length} certificates`);
    }
  }
});

test("case 7: kill -9 during store, up to 1000 times in 40 s: the file is always readable, no entry of others is lost", async (t) => {
  const { kills, stores, leftovers } = await killDuringStore(temporaryFolder(), {
    kills: 1000,
    limit: 40_000,
  });
  t.diagnostic(`${kills} kills during ${stores} stores`);
  assert.ok(kills >= 20);
  assert.ok(leftovers.length <= 2, "what killed processes leave behind does not add up");
});

test("case 8: CA replaced on the server: recovery within 10 s, without a manual step", async () => {
  // A client whose first credential came from another process's hit: nothing was written about it.
  const station = createWorkstation();
  const { clock, cluster } = station;
  assert.equal(await station.client().request(), 200);
  await clock.advance(5_000);
  const k9s = station.client();
  assert.deepEqual(await requestEachSecond(station, k9s, 20), []);
  assert.equal(cluster.issues.length, 1);
  cluster.authority = "second";
  assert.deepEqual(await requestEachSecond(station, k9s, 30), [0]);
  assert.equal(cluster.issues.length, 2);

  // One that had its credential from an issue, and one that took over another one's renewal.
  const other = station.client();
  assert.deepEqual(await requestEachSecond(station, other, 220), []);
  assert.deepEqual(await requestEachSecond(station, k9s, 20), []);
  for (const [index, client] of [other, k9s].entries()) {
    cluster.authority = `third ${index}`;
    const failures = await requestEachSecond(station, client, 30);
    assert.ok(failures.length > 0 && failures.every((second) => second < 10), String(failures));
  }

  // One kubectl after the other: each is a new process.
  cluster.authority = "fourth";
  const results: number[] = [];
  for (let second = 0; second < 10; second++) {
    await clock.advance(1000);
    results.push(await passTimeUntil(clock, station.client().request()));
  }
  assert.deepEqual(results.slice(1), Array(9).fill(200));
  assert.ok(cluster.issues.slice(1).every(({ interactive }) => !interactive));
});

test("15 minutes of one kubectl get a second, 60 s lifetime, clock of the client 6 s off: no failure", async () => {
  for (const offset of [-6_000, 0, 6_000]) {
    const station = createWorkstation();
    Object.assign(station.cluster, {
      lifetime: MINUTE,
      issuerOffset: offset,
      verifierOffset: offset,
      reportedLead: 9_000,
    });
    for (let second = 0; second < 900; second++) {
      assert.equal(await passTimeUntil(station.clock, station.client().request()), 200, `second ${second}`);
      await station.clock.advance(1000);
    }
    assert.ok(station.cluster.issues.length <= 900 / 30 + 1, `${station.cluster.issues.length} certificates`);
  }
});

test("two logins with one session and caches of their own print equal credentials (contract cli.md 12)", async () => {
  const { token } = await import("./testing/credential.ts").then(({ tokenCredential }) =>
    tokenCredential(systemClock.now(), systemClock.now() + 2 * MINUTE),
  );
  const printed: string[] = [];
  for (const elapsed of [0, 3_217, 40_000]) {
    const station = createWorkstation();
    await station.clock.advance(systemClock.now() - station.clock.now() + elapsed);
    const end = new Date(Math.floor(systemClock.now() / 1000) * 1000 + 2 * MINUTE).toISOString();
    const credential = { token: token ?? "", expirationTimestamp: end };
    const { supplyCredential } = await import("./supply-credential.ts");
    const supplied = await supplyCredential({
      ...station.request,
      fromConcierge: false,
      renew: () => Promise.resolve({ credential, fromConcierge: false }),
    });
    printed.push(supplied.expirationTimestamp ?? "");
  }
  assert.equal(new Set(printed).size, 1);
  assert.ok(createMemoryLog().lines.length === 0);
});
