import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultCacheFolder } from "./cache-folder.ts";
import { createKeyringStore } from "./keyring-store.ts";
import type { OpenKeyringEntry } from "./keyring-store.ts";

/** A keyring as on Windows: 2,560 bytes of UTF-16 for one secret. */
function createKeyring(): { readonly held: Map<string, string>; readonly open: OpenKeyringEntry } {
  const held = new Map<string, string>();
  return {
    held,
    open: (service, account) => ({
      getPassword: () => held.get(`${service} ${account}`) ?? null,
      setPassword: (password) => {
        assert.ok(password.length * 2 <= 2_560);
        held.set(`${service} ${account}`, password);
      },
      deletePassword: () => held.delete(`${service} ${account}`),
    }),
  };
}

describe("the keyring", () => {
  test("keeps texts of any length, shorter ones after longer ones", async () => {
    const { open } = createKeyring();
    const store = await createKeyringStore("/home/ann/credentials.yaml", open);
    assert.deepEqual(await store.read(), { state: "absent" });
    for (const text of ["x".repeat(9_999), "short", "é".repeat(1_200)]) {
      await store.write(text);
      assert.deepEqual(await store.read(), { state: "read", text });
    }
  });

  test("half of a text is none", async () => {
    const { held, open } = createKeyring();
    const store = await createKeyringStore("/c", open);
    await store.write("a".repeat(2_000));
    const [[name, part] = assert.fail()] = [...held].filter(([each]) => each.endsWith("#2"));
    held.set(name, part.replace(/^./, "_"));
    assert.deepEqual(await store.read(), { state: "absent" });
  });

  test("whoever reads while another process writes, at any of its steps, gets the old text or the new one", async () => {
    const { held, open } = createKeyring();
    const store = await createKeyringStore("/c", open);
    await store.write("first".repeat(1_000));
    for (let step = 1; step < 60; step++) {
      const before = await store.read();
      const text = `${step} `.repeat(1_000);
      // The reader is overtaken: before its n-th look the other process writes all of a new text.
      let looks = 0;
      const overtaken = await createKeyringStore("/c", (service, account) => ({
        ...open(service, account),
        getPassword: () => {
          if (++looks === step) {
            void store.write(text);
          }
          return open(service, account).getPassword();
        },
      }));
      const found = await overtaken.read();
      assert.ok(found.state === "read", `absent at look ${step}`);
      assert.ok(before.state === "read" && [before.text, text].includes(found.text));
      if (looks < step) {
        break;
      }
    }
    assert.ok(held.size > 0);
  });

  test("a writer that is killed at any of its steps loses nothing", async () => {
    const { open } = createKeyring();
    const store = await createKeyringStore("/c", open);
    await store.write("first".repeat(1_000));
    let interrupted = 0;
    for (let step = 1; step < 40; step++) {
      const before = await store.read();
      const text = `${step} `.repeat(1_000 - step * 20);
      let left = step;
      const dying = await createKeyringStore("/c", (service, account) => {
        const entry = open(service, account);
        const unlessDead = <T>(call: () => T): T => {
          if (left-- <= 0) {
            interrupted += 1;
            throw new Error("killed");
          }
          return call();
        };
        return {
          getPassword: () => unlessDead(entry.getPassword),
          setPassword: (password) => unlessDead(() => entry.setPassword(password)),
          deletePassword: () => unlessDead(entry.deletePassword),
        };
      });
      await dying.write(text).catch(() => undefined);
      const found = await store.read();
      assert.ok(found.state === "read", `nothing is left after step ${step}`);
      assert.ok(before.state === "read" && [before.text, text].includes(found.text));
    }
    assert.ok(interrupted > 5, String(interrupted));
  });

  test("what was forgotten or moved aside does not stay in parts that nobody reads", async () => {
    const { held, open } = createKeyring();
    const store = await createKeyringStore("/c", open);
    await store.write("secret".repeat(2_000));
    await store.write("secret".repeat(1_500));
    await store.write("nothing");
    assert.deepEqual(
      [...held.values()].filter((part) => part.includes("secret")),
      [],
    );
    await store.write("secret".repeat(1_000));
    await store.moveAside("corrupt");
    assert.deepEqual(
      [...held].filter(([name, part]) => name.startsWith("lanyard /c#") && part !== ""),
      [],
    );
  });

  test("what cannot be read is kept under another name", async () => {
    const { held, open } = createKeyring();
    const store = await createKeyringStore("/c", open);
    await store.write("something else");
    const name = await store.moveAside("corrupt");
    assert.deepEqual(await store.read(), { state: "absent" });
    assert.deepEqual(await (await createKeyringStore(name, open)).read(), {
      state: "read",
      text: "something else",
    });
    assert.ok(held.size > 2);
  });

  test("a keyring that does not answer is refused with its reason, and loses nothing", async () => {
    const store = await createKeyringStore("/c", () => ({
      getPassword: () => {
        throw new Error("no secret service");
      },
      setPassword: () => {
        throw new Error("no secret service");
      },
      deletePassword: () => false,
    }));
    assert.deepEqual(await store.read(), {
      state: "refused",
      reason: "the keyring does not answer: no secret service",
    });
    await assert.rejects(store.write("x"), { code: "cache.write", message: /no secret service/ });
  });
});

test("the default folder is the existing CLI's (contract cli.md 1)", () => {
  const folder = (
    platform: NodeJS.Platform,
    homeFolder: string | undefined,
    configured?: string,
  ): string | undefined =>
    defaultCacheFolder({ platform, homeFolder, environment: { XDG_CONFIG_HOME: configured } });
  assert.equal(folder("linux", "/home/ann"), "/home/ann/.config/pinniped");
  assert.equal(folder("linux", "/home/ann", ""), "/home/ann/.config/pinniped");
  assert.equal(folder("darwin", "/Users/ann", "/xdg"), "/xdg/pinniped");
  assert.equal(folder("win32", "C:\\Users\\ann"), "C:\\Users\\ann\\.config\\pinniped");
  assert.equal(folder("linux", undefined), undefined);
});
