import { SHA256_MODULE } from "./sha256-module.ts";

/*
 * Here because `node:crypto` takes 5 to 10 ms to load, a third of what a whole cache hit may cost, and nothing else on that path needs
 * it. JavaScript that runs once is interpreted: 2 KB took it 1.5 to 3 ms, and take WebAssembly 0.4 (docs/adr/0014). What is hashed
 * names a cache entry; no secret is protected by it.
 */

/** What sha256.wat exports. */
interface Sha256Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  digest(block: number, end: number): void;
}

/** WebAssembly's JavaScript interface, as far as it is used; a Node that may not make machine code (`--jitless`) has none. */
interface WithWebAssembly {
  readonly WebAssembly?: {
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: unknown };
  };
}

/** Where sha256.wat expects the state and the message. */
const STATE = 256;
const STATE_WORDS = 8;
const MESSAGE = 1024;
const BLOCK = 64;
/** A bit that is set, and the length in 8 bytes, come behind the message (FIPS 180-4 section 5.1.1). */
const PADDING = 9;
const PAGE = 65_536;

/** Lower-case hexadecimal SHA-256 of a text's UTF-8 bytes. */
export function sha256(text: string): string {
  const { WebAssembly } = globalThis as WithWebAssembly;
  if (WebAssembly === undefined) {
    return process.getBuiltinModule("node:crypto").hash("sha256", text);
  }
  const module = new WebAssembly.Module(Buffer.from(SHA256_MODULE, "base64"));
  const { memory, digest } = new WebAssembly.Instance(module).exports as Sha256Exports;
  const message = Buffer.from(text);
  const end = MESSAGE + Math.ceil((message.length + PADDING) / BLOCK) * BLOCK;
  if (end > PAGE) {
    memory.grow(Math.ceil(end / PAGE) - 1);
  }
  const bytes = Buffer.from(memory.buffer);
  bytes.set(message, MESSAGE);
  bytes[MESSAGE + message.length] = 0x80;
  bytes.writeUInt32BE(Math.floor(message.length / 0x2000_0000), end - 8);
  bytes.writeUInt32BE((message.length << 3) >>> 0, end - 4);
  digest(MESSAGE, end);
  return bytes
    .subarray(STATE, STATE + STATE_WORDS * 4)
    .swap32()
    .toString("hex");
}
