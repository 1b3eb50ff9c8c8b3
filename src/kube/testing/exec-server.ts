import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { constants, inflateSync } from "node:zlib";

import { createCertificateAuthority, issueServingCertificate } from "../../pki/certificate-authority.ts";
import { spdyDictionary } from "../exec-spdy-dictionary.ts";

/** A stream that the client opened: its number and its headers. */
export interface OpenedStream {
  readonly id: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** One upgraded connection, seen from the kubelet's side, byte by byte. */
export interface ExecPeer {
  readonly socket: Duplex;
  readonly request: IncomingMessage;
  /** The streams, once there are two. */
  streams(): Promise<readonly OpenedStream[]>;
  /** Everything else that the client sent: frame types of SPDY/3.1. */
  readonly frames: readonly { readonly type: number; readonly body: Buffer }[];
  data(stream: number, bytes: Uint8Array, last?: boolean): void;
  control(type: number, body: Uint8Array): void;
}

/** What becomes of one request; an answer instead of an upgrade, or a script for the connection. */
export type ExecScript =
  | { readonly status: number; readonly body: string }
  | { readonly protocol?: string; readonly serve: (peer: ExecPeer) => void | Promise<void> };

/** An HTTPS server whose every request is scripted; for what a kubelet would not do at will. */
export async function startExecServer(options: {
  readonly script: (request: IncomingMessage) => ExecScript;
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
}): Promise<{ readonly serverUrl: string; readonly caPem: string; close(): Promise<void> }> {
  const now = new Date().getTime();
  const validity = { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + 3_600_000) };
  const authority = await createCertificateAuthority({ commonName: "Exec Test CA", ...validity });
  const serving = await issueServingCertificate(authority, {
    dnsNames: [],
    ipAddresses: ["127.0.0.1"],
    ...validity,
  });
  const sockets = new Set<Duplex>();
  const server = createServer({
    cert: serving.certificatePem,
    key: serving.privateKeyPem,
    maxVersion: options.maxVersion ?? "TLSv1.3",
  });
  server.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.on("upgrade", (request, socket, head) => {
    const script = options.script(request);
    if ("body" in script) {
      socket.end(
        `HTTP/1.1 ${script.status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(script.body)}\r\nconnection: close\r\n\r\n${script.body}`,
      );
      return;
    }
    const protocol = script.protocol ?? "v4.channel.k8s.io";
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
    );
    void script.serve(createPeer(request, socket, head));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    serverUrl: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    caPem: authority.certificatePem,
    close: async () => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
      await once(server, "close");
    },
  };
}

function createPeer(request: IncomingMessage, socket: Duplex, head: Buffer): ExecPeer {
  const frames: { type: number; body: Buffer }[] = [];
  const blocks: { id: number; block: Buffer }[] = [];
  let pending = Buffer.alloc(0);
  let wake = (): void => {};
  const onData = (chunk: Buffer): void => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 8 && pending.length >= 8 + pending.readUIntBE(5, 3)) {
      const body = pending.subarray(8, 8 + pending.readUIntBE(5, 3));
      const type = pending.readUInt16BE(2);
      if (type === 1) {
        blocks.push({ id: body.readUInt32BE(0), block: body.subarray(10) });
        wake();
      } else {
        frames.push({ type, body });
      }
      pending = pending.subarray(8 + body.length);
    }
  };
  socket.on("data", onData);
  onData(head);
  const frame = (first: Buffer, body: Uint8Array, flags = 0): void => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    length.writeUInt8(flags, 0);
    socket.write(Buffer.concat([first, length, body]));
  };
  return {
    socket,
    request,
    frames,
    streams: async () => {
      while (blocks.length < 2) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return decodeBlocks(blocks);
    },
    data: (stream, bytes, last = false) => {
      const first = Buffer.alloc(4);
      first.writeUInt32BE(stream);
      frame(first, bytes, last ? 1 : 0);
    },
    control: (type, body) => {
      const first = Buffer.alloc(4);
      first.writeUInt16BE(0x80_03, 0);
      first.writeUInt16BE(type, 2);
      frame(first, body);
    },
  };
}

/** As a strict peer does: one inflater for the connection, with the dictionary. */
function decodeBlocks(blocks: readonly { id: number; block: Buffer }[]): OpenedStream[] {
  let done = 0;
  return blocks.map(({ id }, index) => {
    const plain = inflateSync(Buffer.concat(blocks.slice(0, index + 1).map(({ block }) => block)), {
      dictionary: spdyDictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    let rest = plain.subarray(done);
    done = plain.length;
    const text = (): string => {
      const length = rest.readUInt32BE(0);
      const value = rest.subarray(4, 4 + length).toString("latin1");
      rest = rest.subarray(4 + length);
      return value;
    };
    const count = rest.readUInt32BE(0);
    rest = rest.subarray(4);
    return { id, headers: Object.fromEntries(Array.from({ length: count }, () => [text(), text()])) };
  });
}
