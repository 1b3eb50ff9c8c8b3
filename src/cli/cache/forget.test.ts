import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import { loadFileLocking } from "../file-lock/file-lock.ts";
import { forgetAllCredentials, forgetCredential } from "./forget.ts";
import { lookUp } from "./look-up.ts";
import { sideFilePath } from "./side-file.ts";
import { supplyCredential } from "./supply-credential.ts";
import { createWorkstation, passTimeUntil } from "./testing/simulated-cluster.ts";

test("a logout waits for who is just getting a credential, so that it does not come back", async () => {
  const station = createWorkstation();
  const { clock, cluster, request } = station;
  let begun = (): void => undefined;
  const hasBegun = new Promise<void>((resolve) => (begun = resolve));
  let finish = (): void => undefined;
  const mayFinish = new Promise<void>((resolve) => (finish = resolve));
  const login = supplyCredential({
    ...request,
    renew: async (options) => {
      begun();
      await mayFinish;
      return cluster.renew(options);
    },
  });
  await hasBegun;
  const logout = forgetCredential(request);
  await clock.advance(300);
  finish();
  assert.ok((await passTimeUntil(clock, login)).clientCertificateData);
  assert.equal(await passTimeUntil(clock, logout), true);
  assert.equal((await lookUp(request)).credential, undefined);
});

test("somebody who takes longer than that is not waited for", async () => {
  const station = createWorkstation();
  const { clock, request, cluster } = station;
  let begun = (): void => undefined;
  const hasBegun = new Promise<void>((resolve) => (begun = resolve));
  let finish = (): void => undefined;
  const login = supplyCredential({
    ...request,
    renew: async (options) => {
      begun();
      await new Promise<void>((resolve) => (finish = resolve));
      return cluster.renew(options);
    },
  });
  await hasBegun;
  const start = clock.now();
  assert.equal(await passTimeUntil(clock, forgetCredential(request)), false);
  assert.ok(clock.now() - start >= 10_000 && clock.now() - start < 15_000);
  finish();
  await passTimeUntil(clock, login);
});

test("a logout where nothing ever was makes no lock", async () => {
  const { request, file } = createWorkstation();
  assert.equal(await forgetCredential(request), false);
  assert.ok(!existsSync(dirname(file)) || !readdirSync(dirname(file)).includes("lanyard-locks"));
});

test("what stands beside the credentials goes only together with them", async () => {
  const station = createWorkstation();
  const { clock, cluster, request, file } = station;
  await passTimeUntil(clock, supplyCredential({ ...request, renew: cluster.renew }));
  const lock = (await loadFileLocking(process.platform)).tryLock(`${file}.lock`);
  assert.ok(lock !== undefined);
  assert.equal(await passTimeUntil(clock, forgetAllCredentials(request), 500), 0);
  assert.ok(existsSync(sideFilePath(file)), "somebody else is writing it");
  lock.release();
  assert.equal(await passTimeUntil(clock, forgetAllCredentials(request)), 1);
  assert.ok(!existsSync(sideFilePath(file)));
});
