import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { deflateSync } from "node:zlib";

import { createManualClock, systemClock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import { KubernetesApiError } from "./api-error.ts";
import { createPodExec, ExecFailedError } from "./exec.ts";
import type { PodExec, PodExecOptions } from "./exec.ts";
import { spdyDictionary } from "./exec-spdy-dictionary.ts";
import { startExecServer } from "./testing/exec-server.ts";
import type { ExecPeer, ExecScript } from "./testing/exec-server.ts";

const SUCCESS = Buffer.from('{"metadata":{},"status":"Success"}');
const RESET_CANCEL = Buffer.from([0, 0, 0, 1, 0, 0, 0, 5]);
const folder = mkdtempSync(join(tmpdir(), "lanyard-exec-"));
after(() => rmSync(folder, { recursive: true }));

const command = { namespace: "ns", pod: "agent-1", container: "sleeper", command: ["tool", "print it"] };

async function withServer(
  script: (request: IncomingMessage) => ExecScript,
  use: (exec: PodExec) => Promise<void>,
  options: Partial<PodExecOptions> & { readonly maxVersion?: "TLSv1.2" } = {},
): Promise<void> {
  const { maxVersion, ...more } = options;
  const server = await startExecServer({ script, ...(maxVersion === undefined ? {} : { maxVersion }) });
  try {
    await use(
      createPodExec({
        clock: systemClock,
        userAgent: "lanyard/test",
        ...more,
        endpoint: {
          serverUrl: server.serverUrl,
          certificateAuthority: { text: server.caPem },
          token: { text: "secret" },
          ...more.endpoint,
        },
      }),
    );
  } finally {
    await server.close();
  }
}

/** A connection whose streams are open, then `then`. */
const serve = (then: (peer: ExecPeer) => void): ExecScript => ({
  serve: async (peer) => {
    for (const { id } of await peer.streams()) {
      const body = Buffer.alloc(4);
      body.writeUInt32BE(id);
      peer.control(2, body);
    }
    then(peer);
  },
});

/** Runs `script` and answers the error. */
async function failure(script: ExecScript, options: Parameters<typeof withServer>[2] = {}) {
  let caught: unknown;
  await withServer(
    () => script,
    async (exec) => {
      caught = await exec(command).catch((error: unknown) => error);
    },
    options,
  );
  assert.ok(caught instanceof LanyardError, String(caught));
  return caught;
}

describe("exec over SPDY/3.1", () => {
  it("POSTs an upgrade, opens the error stream and stdout, and answers what came on stdout", async () => {
    const seen: unknown[] = [];
    await withServer(
      (request) => {
        seen.push(request.method, request.url, request.headers["authorization"], request.headers.upgrade);
        seen.push(request.rawHeaders.filter((value) => value.endsWith("channel.k8s.io")));
        return {
          serve: async (peer) => {
            seen.push(await peer.streams());
            peer.control(4, Buffer.alloc(4));
            peer.control(6, Buffer.from([0, 0, 0, 2]));
            peer.data(3, Buffer.from("one "));
            peer.data(3, Buffer.from("two"));
            peer.data(1, SUCCESS, true);
            peer.data(3, Buffer.from(" three"), true);
          },
        };
      },
      async (exec) => {
        assert.equal((await exec(command)).toString(), "one two three");
      },
    );
    assert.deepEqual(seen, [
      "POST",
      "/api/v1/namespaces/ns/pods/agent-1/exec?command=tool&command=print+it&container=sleeper&stdout=true",
      "Bearer secret",
      "SPDY/3.1",
      ["v5.channel.k8s.io", "v4.channel.k8s.io"],
      [
        { id: 1, headers: { streamtype: "error" } },
        { id: 3, headers: { streamtype: "stdout" } },
      ],
    ]);
  });

  it("knows the dictionary of SPDY by its checksum", () => {
    const stream = deflateSync(Buffer.from("x"), { dictionary: spdyDictionary });
    assert.equal(spdyDictionary.length, 1423);
    assert.equal(stream.subarray(2, 6).toString("hex"), "e3c6a7c2");
  });

  it("takes a reset, and the end of the connection behind a Status, as the end of a stream", async () => {
    const endings: ((peer: ExecPeer) => void)[] = [
      (peer) => {
        peer.control(3, Buffer.from([0, 0, 0, 3, 0, 0, 0, 5]));
        peer.control(3, RESET_CANCEL);
      },
      (peer) => {
        peer.control(7, Buffer.alloc(8));
        peer.socket.end();
      },
      (peer) => void peer.socket.end(),
    ];
    for (const ending of endings) {
      await withServer(
        () =>
          serve((peer) => {
            peer.data(3, Buffer.from("out"));
            peer.data(1, SUCCESS);
            ending(peer);
          }),
        async (exec) => assert.equal((await exec(command)).toString(), "out"),
      );
    }
  });

  it("reads frames however the network cuts them, and lets the peer send on", async () => {
    const output = Buffer.alloc(300_000, "abc");
    await withServer(
      () => ({
        serve: async (peer) => {
          await peer.streams();
          const window = (stream: number): number =>
            peer.frames
              .filter(({ type, body }) => type === 9 && body.readUInt32BE(0) === stream)
              .reduce((sum, { body }) => sum + body.readUInt32BE(4), 65_536);
          for (let at = 0; at < output.length; at += 16_384) {
            // A peer that keeps to the windows of SPDY/3.1, as Kubernetes' own do not.
            while (!peer.socket.destroyed && Math.min(window(0), window(3)) < at + 16_384) {
              await new Promise((resolve) => setImmediate(resolve));
            }
            peer.data(3, output.subarray(at, at + 16_384));
          }
          for (const byte of Buffer.concat([frame(1, SUCCESS, true), frame(3, Buffer.alloc(0), true)])) {
            peer.socket.write(Buffer.from([byte]));
          }
        },
      }),
      async (exec) => assert.deepEqual(await exec(command), output),
      { timeoutMilliseconds: 5_000 },
    );
  });

  it("tells how a command failed, without quoting what it wrote", async () => {
    const table: readonly (readonly [string, string, number?])[] = [
      [
        '{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated with non-zero exit code: x","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}',
        "command terminated with exit code 3",
        3,
      ],
      [
        '{"status":"Failure","reason":"InternalError","message":"error executing command in container: gone"}',
        "error executing command in container: gone",
      ],
      ["", "the error stream holds no Status"],
      ['{"status":"Succ', "the error stream holds no Status"],
    ];
    for (const [status, message, exitCode] of table) {
      const error = await failure(
        serve((peer) => {
          peer.data(3, Buffer.from("a key"), true);
          peer.data(1, Buffer.from(status), true);
        }),
      );
      assert.equal(error.message, message);
      assert.equal(error instanceof ExecFailedError ? error.exitCode : undefined, exitCode);
    }
  });

  it("gives the Status' message when the upgrade is refused, or whatever text came", async () => {
    const forbidden = await failure({
      status: 403,
      body: '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Forbidden","message":"pods \\"x\\" is forbidden","code":403}',
    });
    assert.ok(forbidden instanceof KubernetesApiError);
    assert.equal(forbidden.message, 'pods "x" is forbidden');
    const text = await failure({ status: 500, body: "container not found\n" });
    assert.equal(text.message, "unable to upgrade connection: container not found");
    const nothing = await failure({ status: 502, body: "" });
    assert.equal(nothing.message, "unable to upgrade connection: the server answered 502");
  });

  it("refuses what it did not ask for", async () => {
    const table: readonly (readonly [string, ExecScript])[] = [
      ["kubernetes.exec.protocol", { protocol: "channel.k8s.io", serve: () => {} }],
      ["kubernetes.exec.protocol", serve((peer) => peer.data(5, Buffer.from("x")))],
      ["kubernetes.exec.protocol", serve((peer) => void peer.socket.write("HTTP/1.1 200 OK\r\n\r\n"))],
      [
        "kubernetes.exec.protocol",
        serve((peer) => void peer.socket.write(Buffer.from([0x80, 2, 0, 6, 0, 0, 0, 0]))),
      ],
      ["kubernetes.exec.too-large", serve((peer) => peer.data(3, Buffer.alloc(1001)))],
      ["kubernetes.exec.cut", serve((peer) => void peer.socket.destroy())],
      [
        "kubernetes.exec.cut",
        serve((peer) => {
          peer.data(3, Buffer.from("half a"), true);
          peer.socket.end();
        }),
      ],
    ];
    for (const [code, script] of table) {
      assert.equal((await failure(script, { maximumOutputBytes: 1000 })).code, code);
    }
  });

  it("gives up after its time, when it is told to, and before it began", async () => {
    const clock = createManualClock();
    const silent: ExecScript = serve(() => void clock.advance(30_000));
    const late = await failure(silent, { clock });
    assert.equal(late.code, "kubernetes.unreachable");
    assert.match(late.message, /^no answer from the API server at 127\.0\.0\.1:\d+ within 30000 ms$/);

    const stopping = new AbortController();
    await withServer(
      () => serve(() => stopping.abort()),
      async (exec) => {
        for (const moment of ["while it runs", "before"]) {
          const error: unknown = await exec({ ...command, signal: stopping.signal }).catch(
            (reason: unknown) => reason,
          );
          assert.equal(error instanceof LanyardError ? error.code : error, "kubernetes.aborted", moment);
        }
      },
    );
  });

  it("reads the token's file again when the token is not accepted", async () => {
    const file = join(folder, "token");
    writeFileSync(file, "old");
    const shown: (string | undefined)[] = [];
    await withServer(
      (request) => {
        shown.push(request.headers["authorization"]);
        if (request.headers["authorization"] !== "Bearer new") {
          writeFileSync(file, "new\n");
          return { status: 401, body: '{"kind":"Status","reason":"Unauthorized","message":"Unauthorized"}' };
        }
        return serve((peer) => {
          peer.data(1, SUCCESS, true);
          peer.data(3, Buffer.from("in"), true);
        });
      },
      async (exec) => assert.equal((await exec(command)).toString(), "in"),
      { endpoint: { token: { file } } as unknown as PodExecOptions["endpoint"] },
    );
    assert.deepEqual(shown, ["Bearer old", "Bearer new"]);
  });

  it("speaks TLS 1.3 only, and to the right server only", async () => {
    const old = await failure(
      serve(() => {}),
      { maxVersion: "TLSv1.2" },
    );
    assert.equal(old.code, "kubernetes.unreachable");
    const stranger = await startExecServer({ script: () => serve(() => {}) });
    const wrong = await failure(
      serve(() => {}),
      {
        endpoint: { certificateAuthority: { text: stranger.caPem } } as unknown as PodExecOptions["endpoint"],
      },
    );
    await stranger.close();
    assert.match(wrong.message, /^cannot reach the API server at .*: unable to verify|signature/);
  });
});

function frame(stream: number, bytes: Uint8Array, last: boolean): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(stream, 0);
  header.writeUInt32BE(bytes.length, 4);
  header.writeUInt8(last ? 1 : 0, 4);
  return Buffer.concat([header, bytes]);
}
