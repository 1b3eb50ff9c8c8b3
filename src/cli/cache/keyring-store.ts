import { messageOf } from "../../errors.ts";
import { CommandError } from "../command-error.ts";
import type { CacheStore } from "./cache-store.ts";
import { CacheWriteError } from "./write-protected-file.ts";

/** One secret of the operating system's keyring. */
export interface KeyringEntry {
  /** null: there is none. */
  getPassword(): string | null;
  setPassword(password: string): void;
  /** False: there was none. */
  deletePassword(): boolean;
}
export type OpenKeyringEntry = (service: string, account: string) => KeyringEntry;

const SERVICE = "lanyard";
/** Windows takes 2,560 bytes of UTF-16 for one secret. */
const PART_LENGTH = 1_200;

/** What the account named by a cache's path says of its parts. */
interface Header {
  readonly count: number;
  /** All parts of one text start with it. */
  readonly mark: string;
  /** Which of two sets of accounts holds them. */
  readonly slot: "#" | "#b";
}

/** Reads are many and unlocked, writes few: whoever meets two in a row had bad luck. */
const READ_ATTEMPTS = 3;

/**
 * The operating system's keyring: macOS Keychain, Windows Credential Manager, the Secret Service of a Linux desktop. A cache is
 * longer than one secret may be, so it is kept in parts. The account named by the file's path says how many there are, in which of
 * two sets of accounts, and with which mark they start: a new text goes into the set that is not in use, so that whoever reads
 * meanwhile without the lock, or after a writer was killed, finds a whole one. Throws `CommandError` (`cli.keyring`) where the binding
 * is not installed.
 */
export async function createKeyringStore(path: string, open?: OpenKeyringEntry): Promise<CacheStore> {
  const entry = open ?? (await loadKeyring());
  const headerOf = (account: string): Header | undefined => {
    const [count = "", mark = "", slot] = (entry(SERVICE, account).getPassword() ?? "").split(" ");
    return mark === "" ? undefined : { count: Number(count), mark, slot: slot === "b" ? "#b" : "#" };
  };
  const textOf = ({ count, mark, slot }: Header): string | undefined => {
    let text = "";
    for (let part = 1; part <= count; part++) {
      const held = entry(SERVICE, `${path}${slot}${part}`).getPassword();
      if (held?.startsWith(mark) !== true) {
        return undefined;
      }
      text += held.slice(mark.length);
    }
    return text;
  };
  const read = (): string | undefined => {
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const header = headerOf(path);
      const text = header === undefined ? undefined : textOf(header);
      if (header === undefined || text !== undefined) {
        return text;
      }
      // Replaced while it was read: the header names another set by now.
    }
    return undefined;
  };
  const write = (account: string, text: string): void => {
    const before = headerOf(account);
    const slot = before?.slot === "#" ? "#b" : "#";
    const mark = Math.random().toString(36).slice(2, 10).padEnd(8, "0");
    const count = Math.ceil(text.length / PART_LENGTH);
    for (let part = 1; part <= count; part++) {
      const held = text.slice((part - 1) * PART_LENGTH, part * PART_LENGTH);
      entry(SERVICE, `${account}${slot}${part}`).setPassword(mark + held);
    }
    entry(SERVICE, account).setPassword(`${count} ${mark}${slot === "#b" ? " b" : ""}`);
    // What was forgotten must not stay in the keyring.
    forgetParts(account, slot, count + 1);
    forgetParts(account, slot === "#" ? "#b" : "#", 1);
  };
  const forgetParts = (account: string, slot: Header["slot"], first: number): void => {
    for (let part = first; entry(SERVICE, `${account}${slot}${part}`).getPassword() !== null; part++) {
      entry(SERVICE, `${account}${slot}${part}`).deletePassword();
    }
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
        forgetParts(path, "#", 1);
        forgetParts(path, "#b", 1);
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
