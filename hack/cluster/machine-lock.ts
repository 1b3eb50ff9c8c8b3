import { createServer, connect } from "node:net";
import type { Server } from "node:net";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

/** Held until `release`, or until the process ends in whatever way. */
export interface MachineLock {
  release(): Promise<void>;
}

function socketName(name: string): string {
  return `\0lanyard-${process.getuid?.() ?? 0}-${name}`;
}

function listen(server: Server, name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(socketName(name), () => resolve(true));
  });
}

/**
 * Takes a lock that every process of this user on this machine sees, or answers undefined when another holds it.
 *
 * The lock is a listening socket in Linux's abstract namespace: the kernel takes it back when its holder dies, so
 * there is no stale lock to break and no file to leave behind.
 */
export async function tryLock(name: string): Promise<MachineLock | undefined> {
  const server = createServer((socket) => socket.on("error", () => socket.destroy()));
  if (!(await listen(server, name))) return undefined;
  server.unref();
  const waiting = new Set<{ destroy(): unknown }>();
  server.on("connection", (socket) => {
    socket.unref();
    waiting.add(socket);
    socket.on("close", () => waiting.delete(socket));
  });
  return {
    async release() {
      for (const socket of waiting) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Waits for the lock; `waiting` is called once when another process holds it. */
export async function lock(name: string, waiting?: () => void): Promise<MachineLock> {
  for (let first = true; ; first = false) {
    const held = await tryLock(name);
    if (held) return held;
    if (first) waiting?.();
    await holderGone(name);
  }
}

/** Ends when the holder of the lock releases it or dies. */
async function holderGone(name: string): Promise<void> {
  const socket = connect(socketName(name));
  await new Promise<void>((resolve) => {
    socket.on("error", () => resolve());
    socket.on("close", () => resolve());
  });
  // Several waiters wake at once; a short random pause keeps them from spinning.
  await delay(10 + Math.random() * 40);
}
