import assert from "node:assert/strict";
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { type Clock, systemClock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import { type Logger, silentLogger } from "../telemetry/log.ts";
import { createFolderStore, type FolderStore, type FolderStoreOptions } from "./folder-store.ts";
import { configMaps, type KubernetesObject, secrets } from "./objects.ts";
import { describeResourceStore, type Sample, samples } from "./resource-store-conformance.ts";

interface Place {
  readonly root: string;
  readonly manifests: string;
  readonly state: string;
  readonly lines: { level: string; text: string }[];
  write(name: string, text: string): Promise<void>;
  open(changes?: Partial<FolderStoreOptions>): FolderStore;
}

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) {
    await end();
  }
});

function validate(object: KubernetesObject) {
  const text = (object as Sample).spec?.text;
  return {
    errors: text === "bad" ? ["spec.text: bad is not allowed"] : [],
    warnings: text === "odd" ? ["spec.text: odd is deprecated"] : [],
  };
}

async function createPlace(): Promise<Place> {
  const root = await mkdtemp(join(tmpdir(), "lanyard-folder-store-"));
  ends.push(() => rm(root, { recursive: true, force: true }));
  const place: Place = {
    root,
    manifests: join(root, "manifests"),
    state: join(root, "state"),
    lines: [],
    write: (name, text) => writeFile(join(root, "manifests", name), text, { mode: 0o600 }),
    open: (changes = {}) => {
      const log: Logger = {
        ...silentLogger,
        named: () => log,
        error: (message, error, fields) =>
          place.lines.push({
            level: "error",
            text: `${message}: ${String(error)} ${JSON.stringify(fields)}`,
          }),
        warning: (message, fields) =>
          place.lines.push({ level: "warning", text: `${message} ${JSON.stringify(fields)}` }),
      };
      const store = createFolderStore({
        manifestsFolder: place.manifests,
        stateFolder: place.state,
        resources: [secrets, configMaps, samples],
        validate,
        namespace: "concierge",
        clock: systemClock,
        log,
        ...changes,
      });
      ends.push(() => store.stop());
      return store;
    },
  };
  await mkdir(place.manifests, { mode: 0o700 });
  return place;
}

function sampleYaml(name: string, text: string): string {
  return `apiVersion: conformance.lanyard.test/v1\nkind: Sample\nmetadata:\n  name: ${name}\nspec:\n  text: ${text}\n`;
}

/** Resolves once the store's samples look as wanted. */
async function until(store: FolderStore, act: () => Promise<unknown>, test: () => boolean): Promise<void> {
  const done = Promise.withResolvers<void>();
  const disconnect = store.view(samples).subscribe(() => {
    if (test()) {
      done.resolve();
    }
  });
  const keepAlive = setTimeout(() => done.reject(new Error("the change was not seen")), 20_000);
  try {
    await act();
    if (!test()) {
      await done.promise;
    }
  } finally {
    clearTimeout(keepAlive);
    disconnect();
  }
}

async function textsOf(store: FolderStore): Promise<Record<string, string | undefined>> {
  return Object.fromEntries(
    store
      .view(samples)
      .list()
      .map(({ metadata, spec }) => [metadata.name, spec?.text]),
  );
}

async function eventual(test: () => boolean): Promise<void> {
  while (!test()) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describeResourceStore("the folder store", async () => {
  const root = await mkdtemp(join(tmpdir(), "lanyard-folder-store-"));
  await mkdir(join(root, "manifests"), { mode: 0o700 });
  const store = createFolderStore({
    manifestsFolder: join(root, "manifests"),
    stateFolder: join(root, "state"),
    resources: [secrets, configMaps, samples],
    validate,
    namespace: "concierge",
    clock: systemClock,
    log: silentLogger,
  });
  await store.start();
  return {
    store,
    namespace: "concierge",
    stop: async () => {
      await store.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
});

describe("manifests", () => {
  it("are read from YAML of several documents and from JSON, namespaced where they name no namespace", async () => {
    const place = await createPlace();
    await place.write(
      "all.yaml",
      `---\n---\n${sampleYaml("one", "1a")}---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, labels: {a: b}}\nstringData: {password: hunter2}\n`,
    );
    await place.write(
      "map.json",
      JSON.stringify({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "c", namespace: "other", uid: "forged" },
        data: { k: "v" },
      }),
    );
    await place.write("notes.txt", "not a manifest");
    await place.write(".hidden.yaml", "also not: [");
    const store = place.open();
    await store.start();
    await store.waitForSync();
    assert.deepEqual(await textsOf(store), { one: "1a" });
    const secret = await store.get(secrets, { namespace: "concierge", name: "s" });
    assert.deepEqual(secret.data, { password: Buffer.from("hunter2").toString("base64") });
    assert.equal(secret.type, "Opaque");
    assert.equal("stringData" in secret, false);
    const map = await store.get(configMaps, { namespace: "other", name: "c" });
    assert.notEqual(map.metadata.uid, "forged");
    assert.deepEqual(place.lines, []);
    const saved = await Promise.all((await filesBelow(place.state)).map((file) => readFile(file, "utf8")));
    assert.ok(!saved.join().includes("aHVudGVyMg"), "a manifest's Secret is not copied");
  });

  it("keep uid, generation, status and resourceVersion over a restart, and count changes made meanwhile", async () => {
    const place = await createPlace();
    await place.write("one.yaml", sampleYaml("one", "first"));
    const first = place.open();
    await first.start();
    const before = await first.get(samples, { name: "one" });
    const withStatus = await first.updateStatus(samples, { ...before, status: { text: "seen" } });
    await first.stop();

    const second = place.open();
    await second.start();
    assert.deepEqual(await second.get(samples, { name: "one" }), withStatus);
    await second.stop();

    await place.write("one.yaml", sampleYaml("one", "second"));
    const third = place.open();
    await third.start();
    const after = await third.get(samples, { name: "one" });
    assert.equal(after.metadata.uid, before.metadata.uid);
    assert.equal(after.metadata.generation, 2);
    assert.deepEqual(after.status, { text: "seen" });
    assert.notEqual(after.metadata.resourceVersion, withStatus.metadata.resourceVersion);
  });

  it("are never written, and their objects take a status only", async () => {
    const place = await createPlace();
    const text = sampleYaml("one", "first");
    await place.write("one.yaml", text);
    const store = place.open();
    await store.start();
    const object = await store.get(samples, { name: "one" });
    await store.updateStatus(samples, { ...object, status: { text: "seen" } });
    const current = await store.get(samples, { name: "one" });
    const message =
      /^samples\.conformance\.lanyard\.test "one" is forbidden: it is defined by the manifest one\.yaml/;
    await assert.rejects(store.update(samples, { ...current, spec: { text: "mine" } }), {
      httpStatus: 403,
      message,
    });
    await assert.rejects(store.delete(samples, { name: "one" }), { httpStatus: 403, message });
    assert.equal(await readFile(join(place.manifests, "one.yaml"), "utf8"), text);
    assert.deepEqual(await readdir(place.manifests), ["one.yaml"]);
  });

  it("are watched: written, replaced by rename, removed and put back, deleted", async () => {
    const place = await createPlace();
    const store = place.open();
    await store.start();
    const view = store.view(samples);
    await until(
      store,
      () => place.write("a.yaml", sampleYaml("a", "first")),
      () => view.list().length === 1,
    );
    const uid = view.get({ name: "a" })?.metadata.uid;
    await until(
      store,
      async () => {
        await place.write("a.yaml~", sampleYaml("a", "second"));
        await rename(join(place.manifests, "a.yaml~"), join(place.manifests, "a.yaml"));
      },
      () => view.get({ name: "a" })?.spec?.text === "second",
    );
    assert.equal(view.get({ name: "a" })?.metadata.generation, 2);
    await until(
      store,
      async () => {
        await rm(join(place.manifests, "a.yaml"));
        await place.write("a.yaml", sampleYaml("a", "third"));
      },
      () => view.get({ name: "a" })?.spec?.text === "third",
    );
    assert.equal(view.get({ name: "a" })?.metadata.uid, uid, "replaced, not deleted");
    await until(
      store,
      () => rm(join(place.manifests, "a.yaml")),
      () => view.list().length === 0,
    );
    assert.deepEqual(await filesBelow(place.state), []);
  });

  it("are read periodically where nothing tells of changes", async () => {
    const place = await createPlace();
    const due: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      schedule: (_milliseconds, callback) => {
        due.push(callback);
        return () => {};
      },
    };
    const store = place.open({ clock, watch: false });
    await store.start();
    await until(
      store,
      async () => {
        await place.write("a.yaml", sampleYaml("a", "first"));
        due.shift()?.();
        await eventual(() => due.length > 0);
        assert.deepEqual(store.view(samples).list(), [], "a file is judged once it has stayed the same");
        due.shift()?.();
      },
      () => store.view(samples).list().length === 1,
    );
  });

  it("may move between files without the object being replaced", async () => {
    const place = await createPlace();
    await place.write("b.yaml", sampleYaml("x", "first"));
    const store = place.open();
    await store.start();
    const { uid } = (await store.get(samples, { name: "x" })).metadata;
    await until(
      store,
      () =>
        rename(join(place.manifests, "b.yaml"), join(place.manifests, "a.yaml")).then(() =>
          place.write("z.yaml", sampleYaml("z", "z")),
        ),
      () => store.view(samples).list().length === 2,
    );
    assert.equal((await store.get(samples, { name: "x" })).metadata.uid, uid);
    assert.deepEqual(place.lines, []);
  });

  it("that are broken are named with document and reason, and their last good content stays", async () => {
    const place = await createPlace();
    await place.write("a.yaml", sampleYaml("a", "first"));
    const store = place.open();
    await store.start();
    const broken: [text: string, reason: RegExp][] = [
      [
        `${sampleYaml("a", "second")}---\n${sampleYaml("b", "bad")}`,
        /document 2: Sample b: spec\.text: bad is not allowed/,
      ],
      [`${sampleYaml("a", "second")}---\nkind: [`, /document 2: /],
      [
        `${sampleYaml("a", "second")}---\n${sampleYaml("a", "third")}`,
        /document 2: Sample a is defined in document 1/,
      ],
      [
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
        /document 1: kind Deployment of apps\/v1 is not used/,
      ],
      ["just text", /document 1: not a Kubernetes object/],
      [sampleYaml("../a", "second"), /document 1: metadata\.name of a Sample/],
      [
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: 'topsecret!'}\n",
        /data\.k is not base64/,
      ],
    ];
    for (const [index, [text, reason]] of broken.entries()) {
      place.lines.length = 0;
      await until(
        store,
        async () => {
          await place.write("a.yaml", text);
          await place.write("marker.yaml", sampleYaml("marker", `m${index}`));
        },
        () => store.view(samples).get({ name: "marker" })?.spec?.text === `m${index}`,
      );
      assert.equal(store.view(samples).get({ name: "a" })?.spec?.text, "first");
      assert.equal(store.view(samples).get({ name: "b" }), undefined);
      assert.equal(place.lines.length, 1, JSON.stringify(place.lines));
      assert.match(place.lines[0]?.text ?? "", reason);
      assert.match(place.lines[0]?.text ?? "", /manifests\/a\.yaml/);
      assert.ok(!place.lines[0]?.text.includes("topsecret"));
    }
    await until(
      store,
      () => place.write("a.yaml", sampleYaml("a", "repaired")),
      () => store.view(samples).get({ name: "a" })?.spec?.text === "repaired",
    );
  });

  it("that are broken at the start do not cost their objects' identity", async () => {
    const place = await createPlace();
    await place.write("a.yaml", sampleYaml("a", "first"));
    const first = place.open();
    await first.start();
    const { uid } = (await first.get(samples, { name: "a" })).metadata;
    await first.stop();
    await place.write("a.yaml", "kind: [");
    const second = place.open();
    await second.start();
    assert.equal(place.lines.length, 1);
    assert.deepEqual(second.view(samples).list(), []);
    await until(
      second,
      () => place.write("a.yaml", sampleYaml("a", "first")),
      () => second.view(samples).list().length === 1,
    );
    assert.equal((await second.get(samples, { name: "a" })).metadata.uid, uid);
  });

  it("pass warnings on", async () => {
    const place = await createPlace();
    await place.write("a.yaml", sampleYaml("a", "odd"));
    await place.open().start();
    assert.match(place.lines[0]?.text ?? "", /odd is deprecated/);
  });

  it("that define one object twice stop the start, and later the second one is not used", async () => {
    const place = await createPlace();
    await place.write("a.yaml", sampleYaml("x", "first"));
    await place.write("b.yaml", sampleYaml("x", "second"));
    await assert.rejects(place.open().start(), (error) => {
      assert.ok(error instanceof LanyardError);
      assert.equal(error.code, "manifest.duplicate");
      assert.match(
        error.message,
        /^Sample x is defined in both .*a\.yaml and .*b\.yaml; remove one of them$|^Sample x is defined in both .*b\.yaml and .*a\.yaml; remove one of them$/,
      );
      return true;
    });
    await rm(join(place.manifests, "b.yaml"));
    const store = place.open();
    await store.start();
    await until(
      store,
      async () => {
        await place.write("0.yaml", sampleYaml("x", "second"));
        await place.write("marker.yaml", sampleYaml("marker", "m"));
      },
      () => store.view(samples).get({ name: "marker" }) !== undefined,
    );
    assert.equal(store.view(samples).get({ name: "x" })?.spec?.text, "first");
    assert.match(place.lines[0]?.text ?? "", /Sample x is defined in both/);
    await until(
      store,
      () => rm(join(place.manifests, "a.yaml")),
      () => store.view(samples).get({ name: "x" })?.spec?.text === "second",
    );
  });
});

describe("the state folder", () => {
  it("keeps what controllers create over a restart, in 0600 files in 0700 folders", async () => {
    const place = await createPlace();
    const first = place.open();
    await first.start();
    const created = await first.create(secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "signer" },
      data: { key: "c2VjcmV0" },
    });
    assert.equal(created.metadata.namespace, "concierge");
    assert.ok(Object.isFrozen(created.data), "shared objects cannot be changed");
    await first.stop();
    for (const entry of await readdir(place.state, { recursive: true })) {
      const stats = await stat(join(place.state, entry));
      assert.equal(stats.mode & 0o777, stats.isDirectory() ? 0o700 : 0o600, entry);
    }
    assert.equal((await stat(place.state)).mode & 0o777, 0o700);
    assert.deepEqual(await readdir(place.manifests), []);
    const second = place.open();
    await second.start();
    assert.deepEqual(await second.get(secrets, { namespace: "concierge", name: "signer" }), created);
    const file = (await filesBelow(place.state))[0] ?? "";
    await writeFile(join(file, "..", ".left.tmp"), "half", { mode: 0o600 });
    await second.delete(secrets, { namespace: "concierge", name: "signer" });
    await second.stop();
    const third = place.open();
    await third.start();
    assert.deepEqual(await filesBelow(place.state), [], "deleted for good, and no half-written file left");
  });

  it("refuses names that lead out of it", async () => {
    const place = await createPlace();
    const store = place.open();
    await store.start();
    for (const metadata of [{ name: "../../x" }, { name: "x", namespace: "../x" }, { name: "" }]) {
      const secret = { apiVersion: "v1", kind: "Secret", metadata };
      await assert.rejects(store.create(secrets, secret), { httpStatus: 422 });
    }
    assert.deepEqual(await filesBelow(place.root), []);
  });

  it("takes names of 253 characters", async () => {
    const place = await createPlace();
    const name = `${"a".repeat(63)}.`.repeat(4).slice(0, 253).replace(/\.$/, "b");
    const first = place.open();
    await first.start();
    await first.create(secrets, { apiVersion: "v1", kind: "Secret", metadata: { name } });
    await first.stop();
    const second = place.open();
    await second.start();
    assert.equal((await second.get(secrets, { namespace: "concierge", name })).metadata.name, name);
  });

  it("keeps memory as it was when a write fails", async () => {
    const place = await createPlace();
    const store = place.open();
    await store.start();
    await rm(place.state, { recursive: true });
    await writeFile(place.state, "in the way");
    await assert.rejects(
      store.create(secrets, { apiVersion: "v1", kind: "Secret", metadata: { name: "s" } }),
    );
    assert.deepEqual(store.view(secrets).list(), []);
  });

  it("refuses invalid objects and stops the start on a damaged file", async () => {
    const place = await createPlace();
    const store = place.open();
    await store.start();
    await assert.rejects(
      store.create(samples, {
        apiVersion: "conformance.lanyard.test/v1",
        kind: "Sample",
        metadata: { name: "s" },
        spec: { text: "bad" },
      }),
      {
        httpStatus: 422,
        message: 'Sample.conformance.lanyard.test "s" is invalid: spec.text: bad is not allowed',
      },
    );
    await store.create(secrets, { apiVersion: "v1", kind: "Secret", metadata: { name: "s" } });
    await store.stop();
    await writeFile((await filesBelow(place.state))[0] ?? "", "{", { mode: 0o600 });
    await assert.rejects(place.open().start(), { code: "state.invalid" });
  });

  it("is not written before the start, nor after the stop", async () => {
    const place = await createPlace();
    const store = place.open();
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "s" } };
    await assert.rejects(store.create(secrets, secret), { code: "store.stopped" });
    await store.start();
    await store.stop();
    await assert.rejects(store.create(secrets, secret), { code: "store.stopped" });
  });
});

describe("S22: unsafe folders stop the start", () => {
  const cases: [name: string, spoil: (place: Place) => Promise<void>, message: RegExp, rootOnly?: boolean][] =
    [
      [
        "manifests folder missing",
        (p) => rm(p.manifests, { recursive: true }),
        /manifests cannot be read; create it/,
      ],
      [
        "manifests folder writable by others",
        (p) => chmod(p.manifests, 0o777),
        /manifests is writable by others \(mode 0777\); run: chmod go-w/,
      ],
      [
        "manifests folder writable by the group",
        (p) => chmod(p.manifests, 0o770),
        /manifests is writable by others/,
      ],
      [
        "manifest writable by others",
        (p) => chmod(join(p.manifests, "a.yaml"), 0o666),
        /a\.yaml is writable by others/,
      ],
      [
        "manifest a symlink",
        async (p) => {
          await rename(join(p.manifests, "a.yaml"), join(p.root, "a.yaml"));
          await symlink(join(p.root, "a.yaml"), join(p.manifests, "a.yaml"));
        },
        /a\.yaml is a symlink; put the file/,
      ],
      [
        "manifests folder a symlink",
        async (p) => {
          await rename(p.manifests, join(p.root, "real"));
          await symlink(join(p.root, "real"), p.manifests);
        },
        /manifests is a symlink/,
      ],
      ["state folder writable by others", (p) => chmod(p.state, 0o777), /state is writable by others/],
      [
        "state folder a symlink",
        async (p) => {
          await rename(p.state, join(p.root, "real"));
          await symlink(join(p.root, "real"), p.state);
        },
        /state is a symlink/,
      ],
      [
        "state file writable by others",
        async (p) => chmod((await filesBelow(p.state))[0] ?? "", 0o606),
        /s\.json is writable by others/,
      ],
      [
        "state file a symlink",
        async (p) => {
          const file = (await filesBelow(p.state))[0] ?? "";
          await rename(file, join(p.root, "real"));
          await symlink(join(p.root, "real"), file);
        },
        /s\.json is a symlink/,
      ],
      [
        "manifest of another user",
        (p) => chown(join(p.manifests, "a.yaml"), 4711, 0),
        /a\.yaml belongs to user 4711, not to user 0; run: chown 0/,
        true,
      ],
      ["state folder of another user", (p) => chown(p.state, 4711, 0), /state belongs to user 4711/, true],
    ];
  for (const [name, spoil, message, rootOnly = false] of cases) {
    if (rootOnly && process.getuid?.() !== 0) {
      continue;
    }
    it(name, async () => {
      const place = await createPlace();
      const first = place.open();
      await first.start();
      await first.create(secrets, { apiVersion: "v1", kind: "Secret", metadata: { name: "s" } });
      await first.stop();
      await place.write("a.yaml", sampleYaml("a", "first"));
      await spoil(place);
      const store = place.open();
      await assert.rejects(store.start(), (error) => {
        assert.ok(error instanceof LanyardError);
        assert.equal(error.code, "folder.unsafe");
        assert.match(error.message, message);
        assert.ok(!error.message.includes("\n"));
        return true;
      });
      await assert.rejects(store.waitForSync(), { code: "folder.unsafe" });
    });
  }

  it("belonging to another user is told from the process's own user id", async () => {
    const place = await createPlace();
    const store = place.open({ userId: (process.getuid?.() ?? 0) + 1 });
    await assert.rejects(store.start(), /belongs to user/);
  });

  it("a manifest that becomes unsafe later is not read", async () => {
    const place = await createPlace();
    await place.write("a.yaml", sampleYaml("a", "first"));
    const store = place.open();
    await store.start();
    await until(
      store,
      async () => {
        await writeFile(join(place.manifests, "a.yaml"), sampleYaml("a", "forged"));
        await chmod(join(place.manifests, "a.yaml"), 0o666);
        await place.write("marker.yaml", sampleYaml("marker", "m"));
      },
      () => store.view(samples).get({ name: "marker" }) !== undefined,
    );
    assert.equal(store.view(samples).get({ name: "a" })?.spec?.text, "first");
    assert.match(place.lines[0]?.text ?? "", /writable by others/);
  });
});
