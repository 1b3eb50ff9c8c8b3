/* S23 and contract cli.md 13.3 rule 10: what is wrong with a cache's files is told, and nothing in them is lost. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fileSystem from "node:fs";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { cachedCredential } from "./cached-credential.ts";
import { formatCacheDocument, parseCacheDocument } from "./cache-document.ts";
import { lookUp } from "./look-up.ts";
import { readProtectedFile } from "./protected-file.ts";
import type { FileSystem } from "./protected-file.ts";
import { storeIssued } from "./store-credential.ts";
import { supplyCredential } from "./supply-credential.ts";
import { createWorkstation, passTimeUntil } from "./testing/simulated-cluster.ts";
import type { Workstation } from "./testing/simulated-cluster.ts";
import { createFolder, writeProtectedFile } from "./write-protected-file.ts";
import { temporaryFolder } from "./testing/temporary-folder.ts";

/** A machine whose cache already holds a credential. */
async function stationWithCredential(): Promise<Workstation> {
  const station = createWorkstation();
  await supply(station);
  assert.ok(await cachedCredential(station.request));
  return station;
}

function supply(station: Workstation): ReturnType<typeof supplyCredential> {
  return passTimeUntil(station.clock, supplyCredential({ ...station.request, renew: station.cluster.renew }));
}

function shown(station: Workstation): readonly string[] {
  return station.log.lines
    .filter(({ level }) => level === "error")
    .map(({ message, values }) => `${message}: ${String(values?.["reason"])}`);
}

describe("unsafe files are neither read nor written, and it is said once (S23)", () => {
  for (const [name, spoil, remedy] of [
    [
      "a file that others can read",
      ({ file }: Workstation) => chmodSync(file, 0o644),
      /mode 0644\); run: chmod 600/,
    ],
    [
      "a file that the group can write",
      ({ file }: Workstation) => chmodSync(file, 0o620),
      /mode 0620\); run: chmod 600/,
    ],
    [
      "a folder that others can write to",
      ({ file }: Workstation) => chmodSync(dirname(file), 0o777),
      /mode 0777\); run: chmod go-w/,
    ],
    [
      "a folder that the group can write to",
      ({ file }: Workstation) => chmodSync(dirname(file), 0o770),
      /mode 0770\); run: chmod go-w/,
    ],
  ] as const) {
    test(name, async () => {
      const station = await stationWithCredential();
      const before = readFileSync(station.file, "utf8");
      spoil(station);
      const mode = statSync(station.file).mode;
      assert.equal(await cachedCredential(station.request), undefined);
      assert.deepEqual(shown(station), [], "a hit's path says nothing");
      assert.ok((await supply(station)).clientCertificateData);
      assert.equal(station.cluster.issues.length, 2);
      assert.equal(readFileSync(station.file, "utf8"), before);
      assert.equal(statSync(station.file).mode, mode);
      assert.equal(shown(station).length, 1);
      assert.match(shown(station)[0] ?? "", /^the credential cache is not used: /);
      assert.match(shown(station)[0] ?? "", remedy);
    });
  }

  test("a file of another owner", async () => {
    const station = await stationWithCredential();
    const before = readFileSync(station.file, "utf8");
    const context = { ...station.request.context, userId: 65_000 };
    // The folder is root's where the tests run as root, and then it is the file that is refused.
    const found = readProtectedFile(station.file, context);
    assert.equal(found.state, "refused");
    assert.match(found.state === "refused" ? found.reason : "", /belongs to another user/);
    const request = { ...station.request, context };
    assert.equal(await cachedCredential(request), undefined);
    await passTimeUntil(station.clock, supplyCredential({ ...request, renew: station.cluster.renew }));
    assert.equal(readFileSync(station.file, "utf8"), before);
    assert.equal(shown(station).length, 1);
  });

  test("a folder made here is 0700, its files are 0600", async () => {
    const { file } = await stationWithCredential();
    assert.equal(statSync(dirname(file)).mode & 0o777, 0o700);
    for (const name of [file, `${file}.lock`, `${file}.lanyard`]) {
      assert.equal(statSync(name).mode & 0o777, 0o600);
    }
    assert.equal(statSync(join(dirname(file), "lanyard-locks")).mode & 0o777, 0o700);
  });

  test("nothing is made in a folder that others can write to", async () => {
    const station = createWorkstation();
    mkdirSync(dirname(station.file));
    chmodSync(dirname(station.file), 0o777);
    await supply(station);
    assert.deepEqual(readdirSync(dirname(station.file)), []);
  });
});

describe("what is not there, or not a file", () => {
  for (const [name, make] of [
    ["a directory in the file's place", (path: string) => mkdirSync(path)],
    [
      "a pipe in the file's place",
      (path: string) => assert.equal(spawnSync("mkfifo", ["-m", "600", path]).status, 0),
    ],
  ] as const) {
    test(name, async () => {
      const station = createWorkstation();
      mkdirSync(dirname(station.file), { mode: 0o700 });
      make(station.file);
      assert.equal(await cachedCredential(station.request), undefined);
      assert.ok(await supply(station));
      assert.match(shown(station)[0] ?? "", /is not a regular file; move it away/);
      assert.ok(existsSync(station.file));
    });
  }

  test(
    "a place where no folder can be made",
    { skip: process.platform !== "linux" && "there is no /proc" },
    async () => {
      const station = createWorkstation();
      const request = { ...station.request, file: "/proc/lanyard/pinniped/credentials.yaml" };
      const supplied = supplyCredential({ ...request, renew: station.cluster.renew });
      assert.ok((await passTimeUntil(station.clock, supplied)).clientCertificateData);
    },
  );

  test("a folder where a file is, a file where the folder should be", async () => {
    const station = createWorkstation();
    writeFileSync(dirname(station.file), "something");
    assert.equal(await cachedCredential(station.request), undefined);
    assert.ok(await supply(station));
    assert.equal(readFileSync(dirname(station.file), "utf8"), "something");
  });
});

describe("links", () => {
  test("a file that is a link stays one; what it leads to is replaced", async () => {
    const station = createWorkstation();
    const elsewhere = temporaryFolder();
    mkdirSync(dirname(station.file), { mode: 0o700 });
    symlinkSync(join(elsewhere, "real.yaml"), station.file);
    await supply(station);
    assert.ok(await cachedCredential(station.request), "a link to nothing is replaced by a file");
    const other = createWorkstation();
    mkdirSync(dirname(other.file), { mode: 0o700 });
    writeFileSync(join(elsewhere, "real.yaml"), formatCacheDocument("CredentialCache", [], {}), {
      mode: 0o600,
    });
    symlinkSync(join(elsewhere, "real.yaml"), other.file);
    await supply(other);
    assert.ok(fileSystem.lstatSync(other.file).isSymbolicLink());
    assert.match(readFileSync(join(elsewhere, "real.yaml"), "utf8"), /CredentialCache/);
    assert.ok(await cachedCredential(other.request));
  });

  test("a link is no way around S23", async () => {
    const station = createWorkstation();
    const elsewhere = temporaryFolder();
    const target = join(elsewhere, "real.yaml");
    const text = formatCacheDocument("CredentialCache", [], {});
    mkdirSync(dirname(station.file), { mode: 0o700 });
    writeFileSync(target, text, { mode: 0o644 });
    symlinkSync(target, station.file);
    await supply(station);
    assert.match(shown(station)[0] ?? "", /mode 0644/);
    chmodSync(target, 0o600);
    chmodSync(elsewhere, 0o777);
    await supply(station);
    assert.match(shown(station)[1] ?? "", /can be written to by others/);
    assert.equal(readFileSync(target, "utf8"), text);
  });

  test("a linked folder is judged by where it leads", async () => {
    const station = createWorkstation();
    const elsewhere = temporaryFolder();
    symlinkSync(elsewhere, dirname(station.file));
    await supply(station);
    assert.ok(await cachedCredential(station.request));
    chmodSync(elsewhere, 0o707);
    assert.equal(await cachedCredential(station.request), undefined);
  });
});

describe("files that cannot be understood are moved aside, never reset (rule 10)", () => {
  for (const [name, text] of [
    ["neither JSON nor YAML", "{ token: [ secret-token"],
    [
      "cut off",
      '{"apiVersion":"config.supervisor.pinniped.dev/v1alpha1","kind":"CredentialCache","credentials":[{"key"',
    ],
    [
      "of a newer version",
      "apiVersion: config.supervisor.pinniped.dev/v1\nkind: CredentialCache\ncredentials: []\n",
    ],
    [
      "of another kind",
      "apiVersion: config.supervisor.pinniped.dev/v1alpha1\nkind: SessionCache\nsessions: []\n",
    ],
    [
      "with an entry of another form",
      '{"apiVersion":"config.supervisor.pinniped.dev/v1alpha1","kind":"CredentialCache","credentials":[7]}',
    ],
    ["a YAML bomb", `a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n`],
  ] as const) {
    test(name, async () => {
      const station = createWorkstation();
      const folder = dirname(station.file);
      mkdirSync(folder, { mode: 0o700 });
      writeFileSync(station.file, text, { mode: 0o600 });
      assert.equal(await cachedCredential(station.request), undefined);
      assert.equal(readFileSync(station.file, "utf8"), text, "a lookup changes nothing");
      await supply(station);
      assert.ok(await cachedCredential(station.request));
      const aside = readdirSync(folder).filter((file) =>
        /^credentials\.yaml\.(corrupt|other-version)-/.test(file),
      );
      assert.equal(aside.length, 1);
      assert.equal(readFileSync(join(folder, aside[0] ?? ""), "utf8"), text);
      const told = station.log.lines.filter(
        ({ level, values }) => level === "debug" && values?.["error"] !== undefined,
      );
      assert.equal(told.length, 1);
      assert.match(String(told[0]?.values?.["error"]), /^failed to read cache, resetting: .* moved to /);
      assert.doesNotMatch(JSON.stringify(station.log.lines), /secret-token/);
    });
  }

  test("fields that this program does not know stay", async () => {
    const station = createWorkstation();
    mkdirSync(dirname(station.file), { mode: 0o700 });
    const end = new Date(station.clock.now() + 3_600_000).toISOString();
    const entry = {
      key: "other",
      creationTimestamp: end,
      lastUsedTimestamp: end,
      credential: { expirationTimestamp: end, future: 1 },
      more: true,
    };
    writeFileSync(
      station.file,
      JSON.stringify({
        apiVersion: "config.supervisor.pinniped.dev/v1alpha1",
        kind: "CredentialCache",
        credentials: [entry],
        extra: { a: 1 },
      }),
      { mode: 0o600 },
    );
    await supply(station);
    const stored = JSON.parse(readFileSync(station.file, "utf8")) as {
      credentials: { key: string }[];
      extra: unknown;
    };
    assert.deepEqual(stored.extra, { a: 1 });
    assert.deepEqual(
      stored.credentials.find(({ key }) => key === "other"),
      entry,
    );
    assert.deepEqual(
      stored.credentials.map(({ key }) => key),
      [station.request.key, "other"],
      "sorted by creation",
    );
  });
});

describe("files that cannot be locked or written", () => {
  test("the lock held by somebody else for 10 s: the credential is handed out, nothing is stored, the debug log tells", async () => {
    const station = createWorkstation();
    mkdirSync(dirname(station.file), { mode: 0o700 });
    const holder = spawn("flock", [`${station.file}.lock`, "sh", "-c", "echo locked; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    const start = station.clock.now();
    assert.ok((await supply(station)).clientCertificateData);
    assert.ok(station.clock.now() - start >= 10_000);
    assert.equal(existsSync(station.file), false);
    assert.ok(
      station.log.lines.some(
        ({ level, values }) =>
          level === "debug" && String(values?.["error"]).startsWith("could not lock cache file: "),
      ),
    );
    const gone = once(holder, "close");
    holder.stdin.end("\n");
    await gone;
  });

  test("a hit needs no lock", async () => {
    const station = await stationWithCredential();
    const before = readdirSync(dirname(station.file));
    const holder = spawn("flock", [`${station.file}.lock`, "sh", "-c", "echo locked; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    assert.ok(await cachedCredential(station.request));
    assert.deepEqual(readdirSync(dirname(station.file)), before);
    const gone = once(holder, "close");
    holder.stdin.end("\n");
    await gone;
  });

  test("folders that another process makes just before: they are taken", () => {
    const folder = join(temporaryFolder(), ".config", "pinniped");
    const overtaken: string[] = [];
    const fileSystemOfMany: FileSystem = {
      ...fileSystem,
      mkdirSync: ((path: string, mode: number) => {
        if (existsSync(dirname(path)) && !existsSync(path)) {
          fileSystem.mkdirSync(path, mode);
          overtaken.push(basename(path));
        }
        return fileSystem.mkdirSync(path, mode);
      }) as FileSystem["mkdirSync"],
    };
    createFolder(folder, { platform: "linux", userId: process.getuid?.(), fileSystem: fileSystemOfMany });
    assert.deepEqual(overtaken, [".config", "pinniped"]);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
  });

  for (const code of ["EROFS", "EACCES", "ENOSPC", "EIO"]) {
    test(`${code}: what was there stays, nothing half-written is left`, async () => {
      const folder = temporaryFolder();
      const file = join(folder, "credentials.yaml");
      const owner = { platform: "linux", userId: process.getuid?.(), clock: createManualClock() } as const;
      await writeProtectedFile(file, "first", owner);
      for (const call of ["openSync", "writeFileSync", "fsyncSync", "renameSync"] as const) {
        const faulty: FileSystem = {
          ...fileSystem,
          [call]: () => {
            throw Object.assign(new Error(code), { code });
          },
        };
        await assert.rejects(writeProtectedFile(file, "second", { ...owner, fileSystem: faulty }), {
          code: "cache.write",
          message: `${file} cannot be written (${code})`,
        });
        assert.equal(readFileSync(file, "utf8"), "first");
        assert.deepEqual(readdirSync(folder), ["credentials.yaml"]);
      }
    });
  }

  test("a file that cannot be read is neither taken for empty nor replaced", () => {
    const file = join(temporaryFolder(), "credentials.yaml");
    const refusing: FileSystem = {
      ...fileSystem,
      openSync: () => {
        throw Object.assign(new Error("EACCES"), { code: "EACCES" });
      },
    };
    assert.deepEqual(
      readProtectedFile(file, { platform: "linux", userId: process.getuid?.(), fileSystem: refusing }),
      {
        state: "refused",
        reason: `${file} cannot be read (EACCES)`,
      },
    );
  });

  test("Windows: a file that somebody reads is replaced a little later", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "credentials.yaml");
    const clock = createManualClock();
    let refusals = 5;
    const windows: FileSystem = {
      ...fileSystem,
      renameSync: (from, to) => {
        if (refusals-- > 0) {
          throw Object.assign(new Error("EPERM"), { code: refusals % 2 === 0 ? "EPERM" : "EBUSY" });
        }
        fileSystem.renameSync(from, to);
      },
    };
    await passTimeUntil(
      clock,
      writeProtectedFile(file, "text", { platform: "win32", clock, fileSystem: windows }),
    );
    assert.equal(readFileSync(file, "utf8"), "text");
    refusals = 100;
    await assert.rejects(
      passTimeUntil(
        clock,
        writeProtectedFile(file, "other", { platform: "win32", clock, fileSystem: windows }),
      ),
      { code: "cache.write" },
    );
    assert.equal(readFileSync(file, "utf8"), "text");
    assert.deepEqual(readdirSync(folder), ["credentials.yaml"]);
  });

  test("interrupted after any of its calls, 1000 times: the file holds the old text or the new one, leftovers are removed", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "credentials.yaml");
    const owner = { platform: "linux", userId: process.getuid?.(), clock: createManualClock() } as const;
    await writeProtectedFile(file, "text 0", owner);
    let previous = "text 0";
    let interrupted = 0;
    for (let run = 1; run <= 1000; run++) {
      let left = run % 16;
      // As if the process were gone: from then on no call does anything.
      const killed =
        <A extends unknown[], R>(call: (...args: A) => R): ((...args: A) => R) =>
        (...args) => {
          if (left-- <= 0) {
            throw Object.assign(new Error("killed"), { code: "KILLED" });
          }
          return call(...args);
        };
      const dying = Object.fromEntries(
        Object.entries(fileSystem).map(([name, call]) => [
          name,
          typeof call === "function" && name.endsWith("Sync") ? killed(call as never) : call,
        ]),
      ) as unknown as FileSystem;
      try {
        await writeProtectedFile(file, `text ${run}`, { ...owner, fileSystem: dying });
      } catch {
        interrupted += 1;
      }
      const found = readProtectedFile(file, owner);
      assert.ok(found.state === "read" && (found.text === previous || found.text === `text ${run}`));
      previous = found.text;
      assert.ok(readdirSync(folder).length <= 2);
    }
    assert.ok(interrupted > 400, String(interrupted));
    await writeProtectedFile(file, "last", owner);
    assert.deepEqual(readdirSync(folder), ["credentials.yaml"]);
  });
});

describe("the document", () => {
  test("what the existing CLI writes is read, with PEM blocks, nulls and quoted times", async () => {
    const yaml = `apiVersion: config.supervisor.pinniped.dev/v1alpha1
credentials:
- creationTimestamp: "2026-05-01T12:00:00Z"
  credential:
    clientCertificateData: |
      -----BEGIN CERTIFICATE-----
      AAAA
      -----END CERTIFICATE-----
    clientKeyData: |
      -----BEGIN PRIVATE KEY-----
      BBBB
      -----END PRIVATE KEY-----
    expirationTimestamp: "2026-05-01T12:05:00Z"
  key: 260ff4f45bf8c8807aed7857af9be01bbcfc129fc9797f8e42d3a6dabdb4acc5
  lastUsedTimestamp: null
kind: CredentialCache
`;
    const document = await parseCacheDocument(yaml, "CredentialCache");
    assert.equal(document.state, "usable");
    const [entry] = document.state === "usable" ? document.entries : [];
    assert.deepEqual(entry?.["credential"], {
      clientCertificateData: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      clientKeyData: "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n",
      expirationTimestamp: "2026-05-01T12:05:00Z",
    });
    assert.equal(entry?.creationTimestamp, "2026-05-01T12:00:00Z");
  });

  test("what is written is JSON and YAML, whatever characters are in it", async () => {
    const time = "2026-05-01T12:00:00Z";
    const strange = "\u0000\u007f\u0085\u009f\u2028\u2029\ufeff\uffff😀\ud800 </é";
    const text = formatCacheDocument(
      "CredentialCache",
      [{ key: strange, creationTimestamp: time, lastUsedTimestamp: time }],
      {},
    );
    const { parse } = await import("yaml");
    assert.deepEqual(parse(text), JSON.parse(text));
    assert.equal(
      (JSON.parse(text) as { credentials: { key: string }[] }).credentials[0]?.key,
      strange.toWellFormed(),
    );
    assert.doesNotMatch(text, /[\u007f-\u009f\u2028\u2029\ufeff\uffff]/);
  });

  test("storing sets the creation time anew, in whole seconds", async () => {
    const station = await stationWithCredential();
    await station.clock.advance(60_000);
    const issued = await station.cluster.renew({ interactive: false, signal: new AbortController().signal });
    await storeIssued(station.request, issued, undefined);
    const { credentials } = JSON.parse(readFileSync(station.file, "utf8")) as {
      credentials: { creationTimestamp: string }[];
    };
    assert.deepEqual(
      credentials.map(({ creationTimestamp }) => creationTimestamp),
      ["2026-05-01T12:01:00Z"],
    );
    assert.equal((await lookUp(station.request)).decision.state, "fresh");
    assert.equal(basename(station.file), "credentials.yaml");
  });
});
