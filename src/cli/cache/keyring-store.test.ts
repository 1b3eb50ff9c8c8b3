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
    const [before] = [...held].filter(([name]) => name.endsWith("#2"));
    await store.write("b".repeat(2_000));
    held.set(...(before ?? ["", ""]));
    assert.deepEqual(await store.read(), { state: "absent" });
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
