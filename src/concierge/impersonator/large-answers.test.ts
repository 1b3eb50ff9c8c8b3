import assert from "node:assert/strict";
import { after, test } from "node:test";
import { askHttp2, get, pseudo, startProxy, startRawUpstream } from "./testing/harness.ts";

const LENGTH = 700_000;
/** Of an answer that leaves together with its head. */
const SMALL_LENGTH = 15_000;
/** Each path has a letter of its own. */
const letterOf = (head: string): string => /GET \/([A-Za-z]) /.exec(head)?.[1] ?? "!";

/** Answers as a kube-apiserver does: small chunks and large ones in turn, each written for itself, some a turn later. */
const upstream = await startRawUpstream({
  respond: (socket, received) => {
    const letter = letterOf(received.slice(received.lastIndexOf("GET ")));
    if (!received.endsWith("\r\n\r\n")) {
      return;
    }
    if (letter === letter.toLowerCase()) {
      socket.write(
        `HTTP/1.1 200 OK\r\nContent-Length: ${SMALL_LENGTH}\r\n\r\n${letter.repeat(SMALL_LENGTH)}`,
      );
      return;
    }
    socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    const more = (left: number): void => {
      let after = left;
      do {
        const length = Math.min(after, after % 3 === 0 ? 2_048 : 18_323);
        if (length === 0) {
          socket.write("0\r\n\r\n");
          return;
        }
        socket.write(`${length.toString(16)}\r\n${letter.repeat(length)}\r\n`);
        after -= length;
      } while (after % 5 !== 0);
      setImmediate(more, after);
    };
    more(LENGTH);
  },
});
const proxy = await startProxy({ upstream });
after(async () => {
  await proxy.close();
  await upstream.close();
});

const LETTERS = Array.from("ABCDEFGHIJKL");

test("R1: large answers side by side hold nothing but their own bytes, over HTTP/1.1", async () => {
  const answers = await Promise.all(
    LETTERS.map(async (letter, index) => {
      const socket = await proxy.tls();
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (index % 3 === 0) {
          // Some read so slowly that their answers wait in the proxy.
          socket.pause();
          setImmediate(() => setImmediate(() => socket.resume()));
        }
      });
      const closed = new Promise<void>((resolve) => {
        socket.once("close", () => resolve());
      });
      socket.write(get(`/${letter}`, ["Connection: close"]));
      await closed;
      return Buffer.concat(chunks).toString("latin1");
    }),
  );
  for (const [index, letter] of LETTERS.entries()) {
    const text = answers[index] ?? "";
    const frames = text.slice(text.indexOf("\r\n\r\n") + 2);
    assert.ok(text.startsWith("HTTP/1.1 200 OK\r\n") && frames.endsWith("\r\n0\r\n\r\n"));
    const body = frames.slice(0, -7).replaceAll(/\r\n[0-9a-f]+\r\n/g, "");
    assert.equal(body.length, LENGTH, letter);
    assert.equal(body.replaceAll(letter, ""), "", `${letter} and nothing else`);
  }
});

test("R1: large answers side by side hold nothing but their own bytes, over HTTP/2", async () => {
  const session = await proxy.http2();
  const answers = await Promise.all(LETTERS.map((letter) => askHttp2(session, pseudo(`/${letter}`))));
  session.destroy();
  for (const [index, letter] of LETTERS.entries()) {
    const { status, body = "" } = answers[index] ?? {};
    assert.equal(status, 200);
    assert.equal(body.length, LENGTH, letter);
    assert.equal(body.replaceAll(letter, ""), "", `${letter} and nothing else`);
  }
});

test("R1: small answers, one after the other on the same connections, hold nothing but their own bytes", async () => {
  const session = await proxy.http2({ settings: { initialWindowSize: 1_000 } });
  const letters = Array.from({ length: 8 }, () => Array.from("abcdefghijklmnopqrstuvwxyz")).flat();
  const answers: Promise<{ readonly body: string }>[] = [];
  for (const letter of letters) {
    const answer = askHttp2(session, pseudo(`/${letter}`));
    answers.push(answer);
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const [index, { body }] of (await Promise.all(answers)).entries()) {
    assert.equal(body, (letters[index] ?? "").repeat(SMALL_LENGTH));
  }
  session.destroy();
});
