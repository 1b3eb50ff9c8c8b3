import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { createAnswerBody } from "./answer-body.ts";
import type { AnswerBody, AnswerBodyOptions } from "./answer-body.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Client {
  readonly body: AnswerBody;
  readonly socket: Writable;
  /** What was written, one entry per write, as the socket's own memory held it when it let go of it. */
  readonly writes: string[];
  /** Ends the write under way of a client that was told to be slow. */
  release(): void;
}

function client(options: Partial<AnswerBodyOptions> & { readonly slow?: boolean } = {}): Client {
  const { slow = false, ...rest } = options;
  const writes: string[] = [];
  let finish = (): void => {};
  const socket = new Writable({
    write: (chunk: Buffer, _encoding, callback) => {
      finish = () => {
        writes.push(chunk.toString("latin1"));
        callback();
      };
      if (!slow) {
        finish();
      }
    },
  });
  const body = createAnswerBody({ socket, chunked: true, prompt: false, sendHead: () => {}, ...rest });
  return { body, socket, writes, release: () => finish() };
}

/** Of a chunked body; undefined when a frame is wrong. */
function decode(text: string): string | undefined {
  let body = "";
  for (let at = 0; at < text.length;) {
    const lineEnd = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size;
    if (!/^[1-9a-f][0-9a-f]*$/.test(text.slice(at, lineEnd)) || text.slice(end, end + 2) !== "\r\n") {
      return undefined;
    }
    body += text.slice(lineEnd + 2, end);
    at = end + 2;
  }
  return body;
}

test("the parts of a list leave as full TLS records, each write one chunk", async () => {
  const { body, writes } = client();
  let expected = "";
  for (let index = 0; index < 120; index += 1) {
    const part = String.fromCharCode(65 + (index % 26)).repeat(index % 2 === 0 ? 2_048 : 18_323);
    expected += part;
    body.write(Buffer.from(part));
    if (index === 0) {
      await turn();
    }
  }
  body.flush();
  assert.equal(decode(writes.join("")), expected);
  assert.deepEqual(
    new Set(writes.slice(1, -1).map(({ length }) => length)),
    new Set([65_536]),
    "what is full goes out as it is full",
  );
  assert.ok(writes.length <= 22, `${writes.length} writes`);
  await turn();
  assert.equal(decode(writes.join("")), expected, "and nothing goes out twice");
});

test("a body whose length is declared has no frames, and the head leaves with its first part", async () => {
  const order: string[] = [];
  const { body, writes, socket } = client({ chunked: false, sendHead: () => order.push("head") });
  for (const part of ["ab", "c".repeat(100_000)]) {
    body.write(Buffer.from(part));
  }
  assert.deepEqual(order, ["head"]);
  body.flush();
  assert.equal(writes.join(""), `ab${"c".repeat(100_000)}`);
  assert.equal(socket.writableCorked, 0);
});

test("each event of a stream leaves in its turn", async () => {
  const { body, writes } = client({ prompt: true });
  for (const event of ["ADDED", "MODIFIED"]) {
    body.write(Buffer.from(event));
    await turn();
    assert.equal(decode(writes.at(-1) ?? ""), event);
  }
});

test("parts that come in one turn leave together, others in their own", async () => {
  const { body, writes } = client();
  body.write(Buffer.from("first"));
  await turn();
  assert.deepEqual(writes, ["5\r\nfirst\r\n"]);
  body.write(Buffer.from("second, "));
  body.write(Buffer.from("third"));
  assert.equal(writes.length, 1);
  await turn();
  assert.equal(writes[1], "d\r\nsecond, third\r\n");
});

test("R1: the memory of a part is its owner's again at once, that of a block only when its write is over", async () => {
  const read = Buffer.alloc(16_384);
  const slow = client({ slow: true });
  const others = Array.from({ length: 40 }, () => client());
  let expected = "";
  for (let index = 0; index < 20; index += 1) {
    const letter = String.fromCharCode(65 + index);
    expected += letter.repeat(read.length);
    slow.body.write(read.fill(letter));
    for (const { body } of others) {
      body.write(read.fill("z"));
    }
  }
  read.fill("!");
  slow.body.flush();
  for (const { body } of others) {
    body.flush();
  }
  while (slow.socket.writableLength > 0) {
    slow.release();
    await turn();
  }
  assert.equal(decode(slow.writes.join("")), expected);
  for (const { writes } of others) {
    assert.equal(decode(writes.join("")), "z".repeat(20 * read.length));
  }
});

for (const [what, prompt, most] of [
  ["an answer", false, 4 * 65_536],
  ["a stream", true, 2 * 65_536],
] as const) {
  test(`of ${what} a slow client has at most ${most} bytes waiting when it says so`, async () => {
    const { body, socket, release } = client({ slow: true, prompt });
    const part = Buffer.alloc(16_384);
    let taken = 0;
    let drained = 0;
    socket.on("drain", () => (drained += 1));
    while (taken < 1_000_000 && body.write(part)) {
      taken += part.length;
    }
    assert.ok(taken <= most, `${taken} bytes taken`);
    while (socket.writableLength > 0) {
      release();
      await turn();
    }
    assert.equal(drained, 1, "more is welcome again");
    assert.equal(body.write(part), true);
  });
}

test("what was gathered for a client that is gone is forgotten", async () => {
  const { body, writes, socket } = client();
  body.write(Buffer.from("a"));
  body.discard();
  await turn();
  body.write(Buffer.alloc(10_000));
  socket.destroy();
  await turn();
  body.write(Buffer.alloc(10_000));
  body.flush();
  await turn();
  assert.deepEqual(writes, []);
});
