import { messageOf } from "../../errors.ts";
import { CommandError } from "../command-error.ts";
import type { CacheStore } from "./cache-store.ts";
import { CacheWriteError } from "./write-protected-file.ts";

/** One secret of the operating system's keyring. */
export interface KeyringEntry {
  /** null: there is none. */
  getPassword(): string | null;
  setPassword(password: string): void;
}
export type OpenKeyringEntry = (service: string, account: string) => KeyringEntry;

const SERVICE = "lanyard";
/** Windows takes 2,560 bytes of UTF-16 for one secret. */
const PART_LENGTH = 1_200;

/**
 * The operating system's keyring: macOS Keychain, Windows Credential Manager, the Secret Service of a Linux desktop. A cache is
 * longer than one secret may be, so it is kept in parts: the account named by the file's path holds their number and a mark that all
 * parts of one text start with. Throws `CommandError` (`cli.keyring`) where the binding is not installed.
 */
export async function createKeyringStore(path: string, open?: OpenKeyringEntry): Promise<CacheStore> {
  const entry = open ?? (await loadKeyring());
  const read = (): string | undefined => {
    const [count = "", mark = ""] = (entry(SERVICE, path).getPassword() ?? "").split(" ");
    if (mark === "") {
      return undefined;
    }
    let text = "";
    for (let part = 1; part <= Number(count); part++) {
      const held = entry(SERVICE, `${path}#${part}`).getPassword();
      if (held?.startsWith(mark) !== true) {
        // Half of another text: its writer was interrupted, so there is nothing whole to be had.
        return undefined;
      }
      text += held.slice(mark.length);
    }
    return text;
  };
  const write = (account: string, text: string): void => {
    const mark = Math.random().toString(36).slice(2, 10).padEnd(8, "0");
    const count = Math.ceil(text.length / PART_LENGTH);
    for (let part = 1; part <= count; part++) {
      const held = text.slice((part - 1) * PART_LENGTH, part * PART_LENGTH);
      entry(SERVICE, `${account}#${part}`).setPassword(mark + held);
    }
    entry(SERVICE, account).setPassword(`${count} ${mark}`);
  };
  return {
    shared: true,
    read: () => {
      try {
        const text = read();
        return Promise.resolve(text === undefined ? { state: "absent" } : { state: "read", text });
      } catch (error) {
        return Promise.resolve({
          state: "refused",
          reason: `the keyring does not answer: ${messageOf(error)}`,
        });
      }
    },
    write: (text) => {
      try {
        write(path, text);
        return Promise.resolve();
      } catch (error) {
        return Promise.reject(keyringError(error));
      }
    },
    moveAside: (mark) => {
      const account = `${path}.${mark}`;
      try {
        write(account, read() ?? "");
        entry(SERVICE, path).setPassword("0");
        return Promise.resolve(account);
      } catch (error) {
        return Promise.reject(keyringError(error));
      }
    },
  };
}

function keyringError(error: unknown): CacheWriteError {
  return new CacheWriteError("cache.write", `the keyring takes nothing: ${messageOf(error)}`, error);
}

async function loadKeyring(): Promise<OpenKeyringEntry> {
  try {
    const { Entry } = await import("@napi-rs/keyring");
    return (service, account) => new Entry(service, account);
  } catch (error) {
    throw new CommandError(
      "cli.keyring",
      "LANYARD_CREDENTIAL_STORE=keyring needs the npm package @napi-rs/keyring, which is not installed beside this program; install it, or choose another store",
      error,
    );
  }
}
