// Field test 17: a corpus of requests that two programs could read in two ways, against an upstream that reads nothing into bytes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { get, startProxy, startRawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";
import type { ProxyHarness, RawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";

let upstream: RawUpstream;
let proxy: ProxyHarness;

before(async () => {
  upstream = await startRawUpstream();
  proxy = await startProxy({ upstream });
});
after(async () => {
  await proxy.close();
  await upstream.close();
});

const HOST = "Host: kubernetes\r\n";
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: kubernetes\r\n\r\n";

const REFUSED: readonly [string, string][] = [
  [
    "CL and TE",
    `POST /x HTTP/1.1\r\n${HOST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "TE and CL",
    `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "TE twice",
    `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  ["TE of a list", `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  [
    "TE that is no chunked",
    `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  ["TE in quotes", `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  [
    "TE after a vertical tab",
    `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  ["two equal CL", `POST /x HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  [
    "two different CL",
    `POST /x HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 47\r\n\r\n${SMUGGLED}`,
  ],
  ["CL with a sign", `POST /x HTTP/1.1\r\n${HOST}Content-Length: +5\r\n\r\nhello`],
  ["CL in hex", `POST /x HTTP/1.1\r\n${HOST}Content-Length: 0x5\r\n\r\nhello`],
  ["CL of a list", `POST /x HTTP/1.1\r\n${HOST}Content-Length: 5, 5\r\n\r\nhello`],
  ["CL that is empty", `POST /x HTTP/1.1\r\n${HOST}Content-Length: \r\n\r\n${SMUGGLED}`],
  ["CL beyond numbers", `POST /x HTTP/1.1\r\n${HOST}Content-Length: 99999999999999999999\r\n\r\nx`],
  ["space before the colon", `GET /x HTTP/1.1\r\n${HOST}Impersonate-User : root\r\n\r\n`],
  ["obs-fold", `GET /x HTTP/1.1\r\n${HOST}X-A: 1\r\n folded\r\n\r\n`],
  ["obs-fold of the first header", `GET /x HTTP/1.1\r\n X-A: 1\r\n${HOST}\r\n`],
  ["bare LF between headers", `GET /x HTTP/1.1\r\n${HOST}X-A: 1\nImpersonate-User: root\r\n\r\n`],
  ["bare CR in a value", `GET /x HTTP/1.1\r\n${HOST}X-A: 1\rImpersonate-User: root\r\n\r\n`],
  ["NUL in a value", `GET /x HTTP/1.1\r\n${HOST}X-A: 1\x002\r\n\r\n`],
  ["NUL in a name", `GET /x HTTP/1.1\r\n${HOST}X\x00A: 1\r\n\r\n`],
  ["a header without colon", `GET /x HTTP/1.1\r\n${HOST}X-A\r\n\r\n`],
  ["a header without name", `GET /x HTTP/1.1\r\n${HOST}: 1\r\n\r\n`],
  ["HTTP/1.0", `GET /x HTTP/1.0\r\n${HOST}\r\n`],
  ["HTTP/0.9", "GET /x\r\n\r\n"],
  ["HTTP/0.9 with bare LF", "GET /x\n\n"],
  ["a version-less line with headers", `GET /x\n${HOST}\r\n`],
  ["HTTP/1.2", `GET /x HTTP/1.2\r\n${HOST}\r\n`],
  ["HTTP/2.0 in text", `GET /x HTTP/2.0\r\n${HOST}\r\n`],
  ["no Host", "GET /x HTTP/1.1\r\n\r\n"],
  ["an empty Host", "GET /x HTTP/1.1\r\nHost: \r\n\r\n"],
  ["two Hosts", `GET /x HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`],
  ["a Host with a path", "GET /x HTTP/1.1\r\nHost: kubernetes/x\r\n\r\n"],
  ["a Host with a user", "GET /x HTTP/1.1\r\nHost: root@kubernetes\r\n\r\n"],
  ["absolute form", `GET http://kubernetes/x HTTP/1.1\r\n${HOST}\r\n`],
  ["asterisk form", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
  ["CONNECT", `CONNECT kubernetes:443 HTTP/1.1\r\n${HOST}\r\n`],
  ["TRACE", `TRACE /x HTTP/1.1\r\n${HOST}\r\n`],
  ["an unknown method", `SMUGGLE /x HTTP/1.1\r\n${HOST}\r\n`],
  ["..", `GET /api/v1/namespaces/a/../b HTTP/1.1\r\n${HOST}\r\n`],
  [".. at the end", `GET /api/.. HTTP/1.1\r\n${HOST}\r\n`],
  [". alone", `GET /api/./v1 HTTP/1.1\r\n${HOST}\r\n`],
  ["%2e%2e", `GET /api/v1/namespaces/a/%2e%2e/b HTTP/1.1\r\n${HOST}\r\n`],
  [".%2E", `GET /api/v1/namespaces/a/.%2E/b HTTP/1.1\r\n${HOST}\r\n`],
  ["..%2f", `GET /api/v1/..%2fsecrets HTTP/1.1\r\n${HOST}\r\n`],
  ["%00 in the path", `GET /api/%00 HTTP/1.1\r\n${HOST}\r\n`],
  ["%0d%0a in the path", `GET /api/%0d%0aImpersonate-User:%20root HTTP/1.1\r\n${HOST}\r\n`],
  ["NUL in the target", `GET /api/\x00 HTTP/1.1\r\n${HOST}\r\n`],
  ["a tab in the target", `GET /api\tx HTTP/1.1\r\n${HOST}\r\n`],
  ["bytes beyond ASCII in the target", `GET /\xe9 HTTP/1.1\r\n${HOST}\r\n`],
  ["a fragment", `GET /api#x HTTP/1.1\r\n${HOST}\r\n`],
  ["a backslash", `GET /api\\x HTTP/1.1\r\n${HOST}\r\n`],
  ["broken percent-encoding", `GET /api/%zz HTTP/1.1\r\n${HOST}\r\n`],
  ["invalid UTF-8 in the path", `GET /api/%ff HTTP/1.1\r\n${HOST}\r\n`],
  [
    "two Authorizations",
    `GET /x HTTP/1.1\r\n${HOST}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n`,
  ],
  [
    "an expectation of something else",
    `POST /x HTTP/1.1\r\n${HOST}Expect: 200-ok\r\nContent-Length: 2\r\n\r\nhi`,
  ],
  ["a TLS record", "\x16\x03\x01\x00\x05hello\r\n\r\n"],
  ["an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
];

for (const [name, bytes] of REFUSED) {
  test(`field 17: ${name} is refused, and the upstream sees nothing`, async () => {
    const seen = upstream.everything.length;
    const began = proxy.pipeline.began.length;
    const answer = await proxy.raw(Buffer.from(bytes, "latin1"));
    assert.match(answer, /^HTTP\/1\.1 (?:4\d\d|505) /);
    assert.equal(answer.split("HTTP/1.1 ").length, 2, "one answer, and the connection ends with it");
    assert.equal(upstream.everything.length, seen);
    assert.equal(proxy.pipeline.began.length, began, "nobody is asked about it");
  });
}

test("field 17: a chunk extension and odd chunk sizes never reach the upstream as they came", async () => {
  const seen = upstream.everything.length;
  const sent = `POST /chunks HTTP/1.1\r\n${HOST}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n00\r\n\r\n`;
  assert.match(await proxy.raw(sent), /^HTTP\/1\.1 200 /);
  const got = upstream.everything.slice(seen);
  assert.match(got, /Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/);
  assert.equal(got.toLowerCase().includes("content-length"), false);
});

test("field 17: a chunk line that overflows ends the connection", async () => {
  const sent = `POST /overflow HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n${SMUGGLED}`;
  await proxy.raw(sent);
  assert.ok(!upstream.everything.includes("/smuggled"));
});

test("field 17: a body in a GET is a body, not a request (H1)", async () => {
  const seen = upstream.everything.length;
  const sent = `DELETE /body HTTP/1.1\r\n${HOST}Connection: close\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;
  await proxy.raw(sent);
  const got = upstream.everything.slice(seen);
  assert.match(got, new RegExp(`Content-Length: ${SMUGGLED.length}\r\n\r\nGET /smuggled`));
  assert.equal(proxy.pipeline.began.at(-1)?.target, "/body", "nobody was asked about what is in it");
});

test("field 17: no length is invented where there is no body", async () => {
  const seen = upstream.everything.length;
  await proxy.raw(`DELETE /nobody HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
  await proxy.raw(`POST /zero HTTP/1.1\r\n${HOST}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  const got = upstream.everything.slice(seen);
  assert.doesNotMatch(got.slice(0, got.indexOf("POST /zero")), /content-length|transfer-encoding/i);
  assert.match(got.slice(got.indexOf("POST /zero")), /Content-Length: 0\r\n\r\n$/);
});

const SAME_BYTES = [
  "//api///v1",
  "/api/v1/namespaces/a/services/b/proxy//c/%2f/d%2Fe",
  "/api/v1/nodes/n/proxy/a;b=c;d",
  "/api/v1/pods?fieldSelector=metadata.name%3Da&x=%2e%2e/..&y=a+b",
  "/api/v1/namespaces/%E4%B8%AD/pods",
  "/api/v1/pods?",
  "/apis/a/v1/b/c:d",
  "/a/...%2e/b",
];

for (const target of SAME_BYTES) {
  test(`field 17: ${target} is authorized as it is forwarded, byte for byte`, async () => {
    const seen = upstream.everything.length;
    await proxy.raw(get(target, ["Connection: close"]));
    assert.ok(upstream.everything.slice(seen).startsWith(`GET ${target} HTTP/1.1\r\n`));
    assert.equal(proxy.pipeline.began.at(-1)?.target, target);
  });
}
