// What the kube-apiserver answers reaches every client, whatever its headers are; and answers stay in their order.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  always,
  askHttp2,
  createRecordingPipeline,
  forwardVerdict,
  get,
  pseudo,
  startProxy,
  startRawUpstream,
} from "../../src/concierge/impersonator/testing/harness.ts";

test("field 18: headers that the proxy adds too, said twice, are answered over HTTP/1.1 and HTTP/2", async () => {
  const upstream = await startRawUpstream({
    respond: always(
      [
        "HTTP/1.1 200 OK",
        ...["X-Content-Type-Options: nosniff", "X-Content-Type-Options: nosniff"],
        ...["Expires: Mon, 01 Jan 2001 00:00:00 GMT", "Expires: 0", "Cache-Control: no-cache, private"],
        ...["ETag: one", "ETag: two", "Age: 1", "Location: /x", "Retry-After: 1", "X-Frame-Options: DENY"],
        ...["Connection: keep-alive", "Keep-Alive: timeout=5", "Content-Length: 2", "", "ok"],
      ].join("\r\n"),
    ),
  });
  const proxy = await startProxy({ upstream });
  assert.match(await proxy.raw(get("/x", ["Connection: close"])), /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/);
  const session = await proxy.http2();
  const answer = await askHttp2(session, pseudo("/x"));
  assert.equal(answer.status, 200);
  assert.equal(answer.body, "ok");
  const once = (name: string): number => answer.headers.filter((each) => each === name).length;
  assert.deepEqual([once("x-content-type-options"), once("expires"), once("etag")], [1, 1, 1]);
  session.destroy();
  await proxy.close();
  await upstream.close();
});

test("field 18: an answer that HTTP/2 cannot carry is reset, never an empty success", async () => {
  const upstream = await startRawUpstream({
    // node:http2 throws for a header of a pseudo header's name.
    respond: always("HTTP/1.1 200 OK\r\nX-Fine: 1\r\nContent-Length: 2\r\n\r\nok"),
  });
  const pipeline = createRecordingPipeline(() => ({
    kind: "refuse",
    refusal: { status: 403, headers: [":status", "200"], body: "no", closeConnection: false },
  }));
  const proxy = await startProxy({ upstream, pipeline });
  const session = await proxy.http2();
  const answer = await askHttp2(session, pseudo("/x"));
  assert.equal(answer.status, 0);
  assert.notEqual(answer.resetCode, 0);
  session.destroy();
  await proxy.close();
  await upstream.close();
});

test("field 17: pipelined requests are begun one after the other, and none behind an answer that ends the connection", async () => {
  const upstream = await startRawUpstream();
  const pipeline = createRecordingPipeline((request) =>
    request.target === "/last"
      ? { kind: "refuse", refusal: { status: 403, headers: [], body: "no", closeConnection: true } }
      : forwardVerdict(request),
  );
  const proxy = await startProxy({ upstream, pipeline });
  const text = await proxy.raw(["/one", "/two", "/last", "/never"].map((path) => get(path)).join(""));
  assert.deepEqual(
    [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
    ["200", "200", "403"],
  );
  assert.deepEqual(
    pipeline.began.map(({ target }) => target),
    ["/one", "/two", "/last"],
  );
  assert.ok(!upstream.everything.includes("/never"));
  await proxy.close();
  await upstream.close();
});

test("field 17: a flood of pipelined requests ends the connection", async () => {
  const upstream = await startRawUpstream({ respond: () => {} });
  const proxy = await startProxy({ upstream });
  assert.equal(await proxy.raw(get("/flood").repeat(1_000)), "");
  assert.equal(proxy.pipeline.began.length, 1);
  await proxy.close();
  await upstream.close();
});
