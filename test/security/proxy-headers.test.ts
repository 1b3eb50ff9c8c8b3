// Field tests 2, 9 and the engine's part of 3 and 4: what tells the kube-apiserver who somebody is comes from us or not at all.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  askHttp2,
  createRecordingPipeline,
  forwardVerdict,
  get,
  IDENTITY,
  pseudo,
  startProxy,
  startRawUpstream,
} from "../../src/concierge/impersonator/testing/harness.ts";
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

/** The header lines of the last request that the upstream saw. */
async function lastRequest(marker: string): Promise<string[]> {
  await upstream.saw(`/${marker} `);
  const whole = upstream.received.find((each) => each.includes(`/${marker} `)) ?? "";
  const from = whole.indexOf(`/${marker} `);
  const head = whole.slice(whole.lastIndexOf("\r\n\r\n", from) + 4, whole.indexOf("\r\n\r\n", from));
  return head.replace(/^\r\n/, "").split("\r\n").slice(1);
}

function identityLines(lines: readonly string[]): string[] {
  return lines.filter((line) => /^(?:authorization|impersonate-)/i.test(line));
}

const OURS = IDENTITY.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${IDENTITY[index + 1]}`] : []));

const NAMED = [
  "Authorization",
  "Impersonate-User",
  "Impersonate-Group",
  "Impersonate-Uid",
  "Impersonate-Extra-x",
  "X-Remote-User",
  "X-Forwarded-For",
  "Audit-ID",
];
const SPELLINGS: readonly [string, (name: string) => string[]][] = [
  ["alone", (name) => [`Connection: ${name}`]],
  ["in a list", (name) => [`Connection: close, ${name}`]],
  ["after spaces", (name) => [`Connection:    close ,   ${name}  `]],
  ["in a second header", (name) => ["Connection: close", `Connection: ${name}`]],
  ["after an empty first header", (name) => ["Connection: ", `Connection: ${name}`]],
  ["after an empty first option", (name) => [`Connection: , ${name}`]],
  ["in mixed case", (name) => [`CoNNection: ${name.toUpperCase()}`]],
  ["after a tab", (name) => [`Connection: close,\t${name}`]],
];

for (const name of NAMED) {
  for (const [how, lines] of SPELLINGS) {
    test(`field 2: Connection naming ${name} ${how} is refused, and the upstream sees nothing`, async () => {
      const seen = upstream.everything.length;
      const answer = await proxy.raw(get("/x", lines(name)));
      assert.match(answer, /^HTTP\/1\.1 400 /);
      assert.match(answer, /"kind":"Status"/);
      assert.equal(upstream.everything.length, seen);
    });
  }
}

test("field 2: a Connection header over HTTP/2 reaches nobody", async () => {
  const seen = upstream.everything.length;
  // Node's client refuses to send it; nghttp2 on our side refuses to take it.
  const session = await proxy.http2();
  assert.throws(
    () => session.request([...pseudo("/x"), "connection", "impersonate-user"] as string[]),
    /connection specific/i,
  );
  session.destroy();
  assert.equal(upstream.everything.length, seen);
});

test("field 2: what Connection names otherwise is taken out, and our identity stays", async () => {
  await proxy.raw(
    get("/named", ["X-Private: 1", "X-Kept: 2", "Connection: close, X-Private, Keep-Alive", "Keep-Alive: 5"]),
  );
  const lines = await lastRequest("named");
  assert.ok(lines.includes("X-Kept: 2"));
  assert.ok(!lines.some((line) => /^(?:x-private|connection|keep-alive):/i.test(line)));
  assert.deepEqual(identityLines(lines), OURS);
});

const STRIPPED = [
  "X-Remote-User: root",
  "x-remote-group: system:masters",
  "X-Remote-Extra-Foo: bar",
  "X-Remote-Anything: 1",
  "X-Forwarded-For: 10.0.0.1",
  "X-Forwarded-Host: evil",
  "X-Forwarded-Uri: /",
  "Forwarded: for=10.0.0.1",
  "X-Real-IP: 10.0.0.1",
  "Proxy-Authorization: Basic eDp5",
  "Proxy-Connection: keep-alive",
  "Proxy-Anything: 1",
  "Authorization: Bearer stolen",
  "Audit-ID: chosen-by-the-client",
  "X-Lanyard-Through-Proxy: true",
  "x-lanyard-anything: true",
  "Impersonate-User: root",
  "impersonate-group: system:masters",
  "IMPERSONATE-UID: 0",
  "Impersonate-Extra-scopes: all",
  "Impersonate-Foo: bar",
  "Keep-Alive: timeout=5",
  "TE: gzip",
  "Upgrade: h2c",
  "Trailer: Impersonate-User",
  "HTTP2-Settings: AAMAAABkAAQAAP__",
];

for (const line of STRIPPED) {
  const name = line.slice(0, line.indexOf(":")).toLowerCase();
  const marker = `strip-${name}`;
  test(`field 9: ${line} never goes on over HTTP/1.1`, async () => {
    await proxy.raw(get(`/${marker}`, [line, "Connection: close"]));
    const lines = await lastRequest(marker);
    assert.ok(!lines.includes(line), lines.join("\n"));
    assert.deepEqual(identityLines(lines), OURS);
    assert.deepEqual(
      lines.filter((each) => each.startsWith("X-Forwarded-For")),
      ["X-Forwarded-For: 127.0.0.1"],
    );
    assert.deepEqual(
      lines.filter((each) => /^audit-id/i.test(each)),
      ["Audit-ID: 11111111-2222-3333-4444-555555555555"],
    );
    assert.ok(!lines.some((each) => /^(?:x-lanyard|x-remote|proxy-|forwarded|x-real)/i.test(each)));
  });
  if (!["proxy-connection", "keep-alive", "te", "upgrade", "http2-settings"].includes(name)) {
    test(`field 9: ${line} never goes on over HTTP/2`, async () => {
      const session = await proxy.http2();
      await askHttp2(session, [...pseudo(`/h2-${marker}`), name, line.slice(line.indexOf(":") + 2)]);
      session.close();
      const lines = await lastRequest(`h2-${marker}`);
      assert.deepEqual(identityLines(lines), OURS);
      const unwanted = `${name}: ${line.slice(line.indexOf(":") + 2)}`.toLowerCase();
      assert.ok(!lines.some((each) => each.toLowerCase() === unwanted));
    });
  }
}

test("field 9: names that the front proxy is configured with never go on", async () => {
  const current = proxy.requestHeader.current;
  assert.ok(current !== undefined);
  proxy.requestHeader.set({
    ...current,
    usernameHeaders: ["x-company-user"],
    extraHeaderPrefixes: ["x-company-extra-"],
  });
  await proxy.raw(
    get("/company", [
      "X-Company-User: root",
      "X-Company-Extra-A: b",
      "X-Company-Other: c",
      "Connection: close",
    ]),
  );
  proxy.requestHeader.set(current);
  const lines = await lastRequest("company");
  assert.deepEqual(
    lines.filter((line) => /^x-company/i.test(line)),
    ["X-Company-Other: c"],
  );
});

for (const name of [
  "Impersonate_User",
  "impersonate_group",
  "X_Remote_User",
  "X-Remote_Group",
  "X_Forwarded_For",
]) {
  test(`field 1: ${name}, which some servers take for its twin with dashes, is refused`, async () => {
    const seen = upstream.everything.length;
    assert.match(await proxy.raw(get("/x", [`${name}: root`])), /^HTTP\/1\.1 400 /);
    const session = await proxy.http2();
    assert.equal((await askHttp2(session, [...pseudo("/x"), name.toLowerCase(), "root"])).status, 400);
    session.close();
    assert.equal(upstream.everything.length, seen);
  });
}

test("field 1: more than 64 impersonation headers are a 431", async () => {
  const seen = upstream.everything.length;
  const lines = Array.from({ length: 65 }, (_, index) => `Impersonate-Group: g${index}`);
  assert.match(await proxy.raw(get("/x", lines)), /^HTTP\/1\.1 431 /);
  assert.equal(upstream.everything.length, seen);
});

test("field 4: identity bytes beyond ASCII reach the upstream unchanged over both protocols", async () => {
  const name = Buffer.from("é中😀", "utf8").toString("latin1");
  const pipeline = createRecordingPipeline((request) =>
    forwardVerdict(request, {
      identityHeaders: ["Impersonate-User", name, "Impersonate-Group", `${name}, b`],
    }),
  );
  const own = await startProxy({ upstream, pipeline });
  await own.raw(get("/utf8-h1", [`X-Seen: ${name}`, "Connection: close"]));
  const session = await own.http2();
  await askHttp2(session, [...pseudo("/utf8-h2"), "x-seen", name]);
  session.close();
  await own.close();
  for (const marker of ["utf8-h1", "utf8-h2"]) {
    const lines = await lastRequest(marker);
    assert.ok(lines.includes(`Impersonate-User: ${name}`), marker);
    assert.ok(lines.includes(`Impersonate-Group: ${name}, b`), "one group stays one group (H4)");
  }
  assert.ok((await lastRequest("utf8-h2")).includes(`x-seen: ${name}`));
  assert.equal(pipeline.began[1]?.rawHeaders.includes(name), true, "in: latin1 of the bytes");
});

test("S13: a bearer in Sec-WebSocket-Protocol is taken out, other protocols stay", async () => {
  await proxy.raw(
    get("/ws-bearer", [
      "Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0",
      "Connection: close",
    ]),
  );
  const lines = await lastRequest("ws-bearer");
  assert.ok(lines.includes("Sec-WebSocket-Protocol: v5.channel.k8s.io"));
  assert.ok(!lines.join().includes("c2VjcmV0"));
});

test("S9: only the proxy says that an exchange came through it", async () => {
  const pipeline = createRecordingPipeline((request) => forwardVerdict(request, { marksExchange: true }));
  const own = await startProxy({ upstream, pipeline });
  await own.raw(get("/marked", ["X-Lanyard-Through-Proxy: false", "Connection: close"]));
  await own.close();
  assert.deepEqual(
    (await lastRequest("marked")).filter((line) => /^x-lanyard/i.test(line)),
    ["X-Lanyard-Through-Proxy: true"],
  );
});
