import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { readProtectedFile } from "./protected-file.ts";
import type { FileOwner, ProtectedText } from "./protected-file.ts";

export type CacheStoreName = "file" | "keyring" | "memory" | "none";

/** What the stores need of the process. */
export type StoreContext = Pick<
  CommandContext,
  "environment" | "platform" | "clock" | "log" | "signal" | "userId"
>;

/** Where the text of `credentials.yaml` or `sessions.yaml` is kept. */
export interface CacheStore {
  /** Whether other processes see it: then it is locked. */
  readonly shared: boolean;
  read(): Promise<ProtectedText>;
  /** Expects the lock. Throws `CacheWriteError`. */
  write(text: string): Promise<void>;
  /** Keeps what this program cannot read under another name, and answers that. Expects the lock. Throws `CacheWriteError`. */
  moveAside(mark: string): Promise<string>;
}

const NAMES: readonly string[] = ["file", "keyring", "memory", "none"] satisfies readonly CacheStoreName[];

/** `LANYARD_CREDENTIAL_STORE`. Throws `CommandError` (`cli.credential-store`). */
export function cacheStoreName(environment: StoreContext["environment"]): CacheStoreName {
  const name = environment["LANYARD_CREDENTIAL_STORE"] ?? "";
  if (name === "") {
    return "file";
  }
  if (!isStoreName(name)) {
    throw new CommandError(
      "cli.credential-store",
      `LANYARD_CREDENTIAL_STORE must be one of ${NAMES.join(", ")}`,
    );
  }
  return name;
}

/** Whether other processes take part, by lock files and a side file in the cache's folder. Throws like `cacheStoreName`. */
export function isSharedStore(environment: StoreContext["environment"]): boolean {
  const name = cacheStoreName(environment);
  return name === "file" || name === "keyring";
}

function isStoreName(name: string): name is CacheStoreName {
  return NAMES.includes(name);
}

/** The store for a cache that would be the file at `path`. Throws `CommandError` for a store that is not there. */
export async function openCacheStore(context: StoreContext, path: string): Promise<CacheStore> {
  switch (cacheStoreName(context.environment)) {
    case "file":
      return createFileStore(context, path);
    case "keyring": {
      const { createKeyringStore } = await import("./keyring-store.ts");
      return createKeyringStore(path);
    }
    case "memory":
      return createMemoryStore(path);
    default:
      return noStore;
  }
}

function createFileStore(context: StoreContext, path: string): CacheStore {
  const owner: FileOwner & Pick<StoreContext, "clock"> = {
    platform: context.platform,
    userId: context.userId,
    clock: context.clock,
  };
  return {
    shared: true,
    read: () => Promise.resolve(readProtectedFile(path, owner)),
    write: async (text) => {
      const { writeProtectedFile } = await import("./write-protected-file.ts");
      await writeProtectedFile(path, text, owner);
    },
    moveAside: async (mark) => {
      const { moveAside } = await import("./write-protected-file.ts");
      return moveAside(path, mark, owner);
    },
  };
}

/** Lives as long as the process. */
const memory = new Map<string, string>();

function createMemoryStore(path: string): CacheStore {
  return {
    shared: false,
    read: () => {
      const text = memory.get(path);
      return Promise.resolve(text === undefined ? { state: "absent" } : { state: "read", text });
    },
    write: (text) => {
      memory.set(path, text);
      return Promise.resolve();
    },
    moveAside: (mark) => {
      memory.delete(path);
      return Promise.resolve(mark);
    },
  };
}

const noStore: CacheStore = {
  shared: false,
  read: () => Promise.resolve({ state: "absent" }),
  write: () => Promise.resolve(),
  moveAside: (mark) => Promise.resolve(mark),
};
