import assert from "node:assert/strict";
import { test } from "node:test";
import { createResponseParser } from "./upstream-response-parser.ts";

/** What a parser makes of the bytes when it gets them in pieces whose memory is used again after each call. */
function parse(answer: string, pieceLength: number): object {
  let body = "";
  let trailers: readonly string[] | undefined;
  let seen: object | undefined;
  const parser = createResponseParser({
    informational: () => {},
    head: (status, headers, length) => {
      seen = { status, headers, length };
    },
    data: (chunk) => {
      body += chunk.toString("latin1");
    },
    end: (pairs) => {
      trailers = pairs;
    },
  });
  const memory = Buffer.alloc(pieceLength);
  parser.expect({ method: "GET", upgrade: false });
  for (let from = 0; from < answer.length; from += pieceLength) {
    const length = memory.write(answer.slice(from, from + pieceLength), "latin1");
    parser.push(memory.subarray(0, length));
    memory.fill("\0");
  }
  return { seen, body, trailers, idle: parser.idle, reusable: parser.reusable };
}

const TEXT = "a\r\nb".repeat(20);
const ANSWERS = {
  "a length": `HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: ${TEXT.length}\r\n\r\n${TEXT}`,
  "chunks and trailers":
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
    `50;a=b\r\n${TEXT}\r\n00a \r\n0123456789\r\n0\r\nC: d\r\nE: f\r\n\r\n`,
  "chunks without trailers": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n${TEXT}\r\n0\r\n\r\n`,
};

for (const [name, answer] of Object.entries(ANSWERS)) {
  test(`R1: an answer with ${name} is the same in pieces of any length, and keeps nothing of their memory`, () => {
    const whole = parse(answer, answer.length);
    assert.deepEqual(
      { ...whole, body: "", seen: {} },
      {
        body: "",
        seen: {},
        trailers: name === "chunks and trailers" ? ["C", "d", "E", "f"] : [],
        idle: true,
        reusable: true,
      },
    );
    for (let length = 1; length < answer.length; length += 1) {
      assert.deepEqual(parse(answer, length), whole, `pieces of ${length}`);
    }
  });
}
