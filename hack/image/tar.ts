import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";

/** One member of an archive. Modes are the permission bits. */
export type TarEntry = {
  /** Without a leading slash; folders without a trailing one. */
  readonly path: string;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
} & (
  | { readonly type: "directory" }
  | { readonly type: "symlink"; readonly target: string }
  | { readonly type: "file"; readonly content: Buffer }
  /** Read while the archive is written. */
  | { readonly type: "file"; readonly source: string }
);

/** What was written. */
export interface TarSummary {
  /** SHA-256 of all bytes, lower-case hex. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

const block = 512;
const typeFlags = { file: "0", symlink: "2", directory: "5" } as const;

/**
 * Writes a POSIX.1-2001 archive (ustar, with pax headers for long paths) whose bytes depend on nothing but the
 * entries: sorted by path, every time zero, no user names.
 */
export function writeTar(path: string, entries: readonly TarEntry[]): TarSummary {
  const output = openSync(path, "w", 0o644);
  const hash = createHash("sha256");
  let size = 0;
  const write = (bytes: Buffer): void => {
    hash.update(bytes);
    for (let done = 0; done < bytes.length;) done += writeSync(output, bytes, done);
    size += bytes.length;
  };
  const pad = (): void => {
    if (size % block !== 0) write(Buffer.alloc(block - (size % block)));
  };
  try {
    for (const entry of sorted(entries)) {
      const length = entryLength(entry);
      for (const bytes of headers(entry, length)) write(bytes);
      if (entry.type === "file" && "content" in entry) write(entry.content);
      else if (entry.type === "file") copyFile(entry.source, length, write);
      pad();
    }
    write(Buffer.alloc(2 * block));
    return { sha256: hash.digest("hex"), size };
  } finally {
    closeSync(output);
  }
}

/** By bytes, not by locale, so that every machine writes the same order; a folder comes before what is in it. */
function sorted(entries: readonly TarEntry[]): TarEntry[] {
  return entries.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

function entryLength(entry: TarEntry): number {
  if (entry.type !== "file") return 0;
  return "content" in entry ? entry.content.length : statSync(entry.source).size;
}

function copyFile(source: string, length: number, write: (bytes: Buffer) => void): void {
  const input = openSync(source, "r");
  try {
    const buffer = Buffer.alloc(1 << 20);
    let left = length;
    while (left > 0) {
      const read = readSync(input, buffer, 0, Math.min(buffer.length, left), null);
      if (read === 0) throw new Error(`${source} became shorter while it was read`);
      write(buffer.subarray(0, read));
      left -= read;
    }
  } finally {
    closeSync(input);
  }
}

/** The header of an entry, after a pax header when a name does not fit into ustar's 100 bytes. */
function headers(entry: TarEntry, length: number): Buffer[] {
  const name = entry.type === "directory" ? `${entry.path}/` : entry.path;
  const target = entry.type === "symlink" ? entry.target : "";
  const records = [
    ...(Buffer.byteLength(name) > 100 ? [paxRecord("path", name)] : []),
    ...(Buffer.byteLength(target) > 100 ? [paxRecord("linkpath", target)] : []),
  ];
  const own = header(name, target, typeFlags[entry.type], entry, length);
  if (records.length === 0) return [own];
  const body = Buffer.concat(records);
  const padding = Buffer.alloc((block - (body.length % block)) % block);
  return [header("pax", "", "x", { mode: 0o644 }, body.length), body, padding, own];
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

function header(
  name: string,
  target: string,
  typeFlag: string,
  owner: { readonly mode: number; readonly uid?: number; readonly gid?: number },
  length: number,
): Buffer {
  const bytes = Buffer.alloc(block);
  const octal = (value: number, width: number): string => value.toString(8).padStart(width - 1, "0") + "\0";
  Buffer.from(name).copy(bytes, 0, 0, 100);
  bytes.write(octal(owner.mode, 8), 100);
  bytes.write(octal(owner.uid ?? 0, 8), 108);
  bytes.write(octal(owner.gid ?? 0, 8), 116);
  bytes.write(octal(length, 12), 124);
  bytes.write(octal(0, 12), 136);
  bytes.fill(0x20, 148, 156);
  bytes.write(typeFlag, 156);
  Buffer.from(target).copy(bytes, 157, 0, 100);
  bytes.write("ustar\x0000", 257);
  let sum = 0;
  for (const byte of bytes) sum += byte;
  bytes.write(sum.toString(8).padStart(6, "0") + "\0 ", 148);
  return bytes;
}
