import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { createServer as createTlsServer } from "node:https";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { type RequestHandler, startTlsServer } from "../../../test/oidc/tls-server.ts";
import { createManualClock } from "../../clock.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { createHttpClient } from "./create-http-client.ts";
import type { HttpClientOptions } from "./http-client.ts";
import { createTestContext, type TestContext } from "./testing/context.ts";
import { startTestProxy } from "./testing/proxy.ts";

const certificate = await createLoopbackCertificate({ dnsNames: ["localhost", "proxied.test"] });
let answer: RequestHandler = (_request, response) => response.end("hello");
const server = await startTlsServer(certificate, (request, response) => answer(request, response));
after(() => server.stop());

const CERTIFICATE = { key: certificate.privateKeyPem, cert: certificate.certificatePem };

function clientFor(
  options: Partial<HttpClientOptions> = {},
  overrides: Partial<CommandContext> = {},
): { client: ReturnType<typeof createHttpClient>; context: TestContext } & AsyncDisposable {
  const context = createTestContext(overrides);
  const client = createHttpClient(context, {
    profile: "secure",
    caPem: certificate.caPem,
    timeout: 5000,
    logAuditIds: "failures",
    ...options,
  });
  return { client, context, [Symbol.asyncDispose]: () => client.close() };
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => assert.fail("it did not fail"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof CommandError, String(error));
  assert.doesNotMatch(error.message, /\n/);
  return error.message;
}

test("a call sends our User-Agent and fixed headers, and brings status, headers and body", async () => {
  let seen: unknown;
  answer = (request, response) => {
    seen = [
      request.method,
      request.url,
      request.headers["user-agent"],
      request.headers["x-a"],
      request.headers["x-b"],
    ];
    response.writeHead(404, { "X-Answer": ["1", "2"] }).end("nö");
  };
  await using it = clientFor({ headers: { "X-A": "fixed" } });
  const got = await it.client.request({
    method: "GET",
    url: `${server.origin}/p?q=1`,
    headers: { "x-b": "own" },
  });
  assert.deepEqual(
    [got.status, got.statusLine, got.headers["x-answer"], got.body],
    [404, "404 Not Found", "1, 2", "nö"],
  );
  const [method, url, agent, fixed, own] = seen as string[];
  assert.deepEqual([method, url, fixed, own], ["GET", "/p?q=1", "fixed", "own"]);
  assert.match(agent ?? "", /^lanyard\/v\d+\.\d+\.\d+ \(linux\/\w+\) kubernetes\/\w{7}$/);
});

test("redirects are not followed", async () => {
  answer = (_request, response) => response.writeHead(302, { location: `${server.origin}/else` }).end();
  await using it = clientFor();
  const got = await it.client.request({ method: "GET", url: server.origin });
  assert.deepEqual([got.status, got.headers["location"]], [302, `${server.origin}/else`]);
});

test("the clock's difference is measured from Date against the middle of the call", async () => {
  const clock = createManualClock(Date.UTC(2026, 5, 1, 12, 0, 0));
  answer = (_request, response) => {
    void clock
      .advance(2000)
      .then(() => response.writeHead(200, { date: "Mon, 01 Jun 2026 12:00:31 GMT" }).end());
  };
  await using it = clientFor({ timeout: 60_000 }, { clock });
  const got = await it.client.request({ method: "GET", url: server.origin });
  assert.equal(got.date, Date.UTC(2026, 5, 1, 12, 0, 31));
  assert.equal(got.clockOffset, 30_000);
});

test("an answer above 4 MiB is refused, one of 4 MiB is read", async () => {
  const full = "x".repeat(4 * 1024 * 1024);
  await using it = clientFor();
  answer = (_request, response) => response.end(full);
  assert.equal((await it.client.request({ method: "GET", url: server.origin })).body.length, full.length);
  answer = (_request, response) => response.end(`${full}x`);
  assert.equal(
    await refusal(it.client.request({ method: "GET", url: `${server.origin}/big` })),
    `Get "${server.origin}/big": the answer is larger than 4 MiB`,
  );
});

test("audit IDs of failures are logged, and of every answer where that is asked for", async () => {
  const call = async (
    logAuditIds: "failures" | "all",
    status: number,
    location?: string,
  ): Promise<unknown> => {
    answer = (_request, response) => {
      response
        .writeHead(status, { "Audit-ID": "abc-1", ...(location === undefined ? {} : { location }) })
        .end();
    };
    await using it = clientFor({ logAuditIds });
    const got = await it.client.request({ method: "GET", url: `${server.origin}/path?secret=1` });
    assert.equal(got.auditId, "abc-1");
    return it.context.lines;
  };
  const line = (statusCode: number): unknown => [
    {
      level: "info",
      message: "Received auditID for failed request",
      values: { path: "/path", statusCode, auditID: "abc-1" },
    },
  ];
  assert.deepEqual(await call("failures", 200), []);
  assert.deepEqual(await call("all", 200), line(200));
  assert.deepEqual(await call("failures", 400), line(400));
  assert.deepEqual(await call("failures", 302, "http://127.0.0.1/cb?code=1"), []);
  assert.deepEqual(await call("failures", 302, "http://127.0.0.1/cb?error=x"), line(302));
});

test("Warning: 299 goes to stderr unless it is hidden", async () => {
  answer = (_request, response) => response.writeHead(200, { warning: '299 - "old version"' }).end();
  await using shown = clientFor();
  await shown.client.request({ method: "GET", url: server.origin });
  assert.equal(shown.context.errors(), "Warning: old version\n");
  await using hidden = clientFor({ warnings: "hidden" });
  await hidden.client.request({ method: "GET", url: server.origin });
  assert.equal(hidden.context.errors(), "");
});

test("fetch follows the same rules", async () => {
  let seen = "";
  answer = (request, response) => {
    request.setEncoding("utf8").on("data", (text: string) => {
      seen += text;
    });
    request.on("end", () => {
      seen = `${request.method} ${request.headers["content-type"]} ${seen}`;
      response.writeHead(302, { location: "/else", "content-type": "text/plain" }).end("body");
    });
  };
  await using it = clientFor();
  const got = await it.client.fetch(`${server.origin}/token`, {
    method: "POST",
    body: new URLSearchParams({ a: "b c" }),
  });
  assert.ok(got instanceof Response);
  assert.deepEqual(
    [got.status, got.statusText, got.headers.get("location"), await got.text()],
    [302, "Found", "/else", "body"],
  );
  assert.equal(seen, "POST application/x-www-form-urlencoded;charset=UTF-8 a=b+c");
});

test("TLS 1.3 alone is spoken where the profile is secure, 1.2 also where it is not", async () => {
  const old = createTlsServer({ ...CERTIFICATE, maxVersion: "TLSv1.2" }, (_request, response) =>
    response.end("old"),
  );
  old.listen(0, "127.0.0.1");
  await once(old, "listening");
  const url = `https://127.0.0.1:${(old.address() as AddressInfo).port}/`;
  try {
    await using secure = clientFor();
    assert.equal(
      await refusal(secure.client.request({ method: "POST", url })),
      `Post "${url}": remote error: tls: protocol version not supported (whatever answers at this address must speak TLS 1.3)`,
    );
    await using both = clientFor({ profile: "default" });
    assert.equal((await both.client.request({ method: "GET", url })).body, "old");
  } finally {
    old.closeAllConnections();
    old.close();
  }
});

test("whom to trust: the given CA and nobody else", async () => {
  answer = (_request, response) => response.end();
  const other = await createLoopbackCertificate();
  await using wrong = clientFor({ caPem: other.caPem });
  assert.match(
    await refusal(wrong.client.request({ method: "GET", url: server.origin })),
    /^Get "https:\/\/127\.0\.0\.1:\d+\/": tls: failed to verify certificate: x509: certificate signed by unknown authority \(the CA bundle given/,
  );
  const context = createTestContext();
  const system = createHttpClient(context, { profile: "secure", timeout: 5000, logAuditIds: "failures" });
  assert.match(
    await refusal(system.request({ method: "GET", url: server.origin })),
    /unknown authority \(no CA bundle was given, so the system's roots were asked/,
  );
  await system.close();
  await using unchecked = clientFor({ caPem: other.caPem, insecureSkipTlsVerify: true });
  assert.equal((await unchecked.client.request({ method: "GET", url: server.origin })).status, 200);
});

test("the name in the certificate counts, or the one that was asked for", async () => {
  answer = (_request, response) => response.end();
  await using it = clientFor({ serverName: "elsewhere.test" });
  assert.match(
    await refusal(it.client.request({ method: "GET", url: server.origin })),
    /x509: certificate is valid for localhost, proxied\.test, not elsewhere\.test \(the address must be one that the certificate names\)$/,
  );
  await using named = clientFor({ serverName: "proxied.test" });
  assert.equal((await named.client.request({ method: "GET", url: server.origin })).status, 200);
});

test("network faults are one line in Go's words with a remedy, without the query", async () => {
  await using it = clientFor();
  const free = createTcpServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, "close");
  assert.equal(
    await refusal(it.client.request({ method: "GET", url: `https://127.0.0.1:${port}/a?code=secret` })),
    `Get "https://127.0.0.1:${port}/a": dial tcp 127.0.0.1:${port}: connect: connection refused (check the address, the network and VPN, and that the server runs)`,
  );
  assert.match(
    await refusal(it.client.request({ method: "GET", url: "https://nowhere.invalid/" })),
    /^Get "https:\/\/nowhere\.invalid\/": dial tcp: lookup nowhere\.invalid: .* \(check the address, DNS and VPN\)$/,
  );
});

test("a client certificate that cannot be used is an answer, not a crash", async () => {
  await using it = clientFor({ clientCertificate: { certificate: "certificate", key: "key" } });
  assert.match(
    await refusal(it.client.request({ method: "GET", url: server.origin })),
    /: the client certificate and its key cannot be used: log out and try again/,
  );
  await using empty = clientFor({ caPem: "no certificate" });
  assert.match(
    await refusal(empty.client.request({ method: "GET", url: server.origin })),
    /: the CA bundle given for this address holds no certificate/,
  );
});

test("a server that does not answer is given up in time, also before the handshake ends", async () => {
  const silent = createTcpServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
  const sockets: { destroy(): void }[] = [];
  silent.on("connection", (socket) => sockets.push(socket));
  await using it = clientFor({ timeout: 100 });
  assert.equal(
    await refusal(it.client.request({ method: "GET", url })),
    `Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers) (no answer within 0.1 s)`,
  );
  const stop = new AbortController();
  await using aborted = clientFor({}, { signal: stop.signal });
  const failing = refusal(aborted.client.request({ method: "GET", url }));
  stop.abort();
  assert.equal(await failing, `Get "${url}": context canceled`);
  for (const socket of sockets) {
    socket.destroy();
  }
  silent.close();
});

test("a proxy of the environment or the kubeconfig is used by CONNECT, with the password it was given", async () => {
  answer = (_request, response) => response.end("through");
  const proxy = await startTestProxy({ ports: { "proxied.test:443": server.port } });
  try {
    const environment = { HTTPS_PROXY: `http://me:pa%3Ass@127.0.0.1:${proxy.port}` };
    await using it = clientFor({}, { environment });
    assert.equal((await it.client.request({ method: "GET", url: "https://proxied.test/" })).body, "through");
    assert.deepEqual(proxy.targets, ["proxied.test:443"]);
    assert.equal(proxy.credentials[0], `Basic ${Buffer.from("me:pa:ss").toString("base64")}`);
    await using exempt = clientFor({}, { environment: { ...environment, NO_PROXY: ".test" } });
    await refusal(exempt.client.request({ method: "GET", url: "https://proxied.test/" }));
    // Loopback is never proxied by the environment, but a kubeconfig's own proxy-url always counts.
    await it.client.request({ method: "GET", url: server.origin });
    assert.equal(proxy.targets.length, 1);
    await using kubeconfig = clientFor({ proxyUrl: `http://127.0.0.1:${proxy.port}` });
    assert.equal((await kubeconfig.client.request({ method: "GET", url: server.origin })).body, "through");
    assert.deepEqual(proxy.targets[1], `127.0.0.1:${server.port}`);
  } finally {
    await proxy.stop();
  }
});

test("a proxy's refusal is told with its address and never its password", async () => {
  const proxy = await startTestProxy({ refuseWith: 407 });
  try {
    await using it = clientFor(
      {},
      { environment: { https_proxy: `http://me:secret@127.0.0.1:${proxy.port}` } },
    );
    assert.equal(
      await refusal(it.client.request({ method: "GET", url: "https://proxied.test/x" })),
      `Get "https://proxied.test/x": proxy http://127.0.0.1:${proxy.port}: 407 Refused Here (put a username and password for it into the proxy's address)`,
    );
  } finally {
    await proxy.stop();
  }
  await using it = clientFor({}, { environment: { https_proxy: `http://127.0.0.1:${proxy.port}` } });
  assert.match(
    await refusal(it.client.request({ method: "GET", url: "https://proxied.test/x" })),
    /proxy http:\/\/127\.0\.0\.1:\d+: dial tcp 127\.0\.0\.1:\d+: connect: connection refused$/,
  );
  await using kind = clientFor({ proxyUrl: "ftp://127.0.0.1" });
  assert.match(
    await refusal(kind.client.request({ method: "GET", url: "https://proxied.test/" })),
    /proxies of kind "ftp" are not supported; use http, https or socks5$/,
  );
});

test("SOCKS 5 with a password", async () => {
  answer = (_request, response) => response.end("through socks");
  const said: Buffer[] = [];
  const socks = createTcpServer((client) => {
    client.once("data", (greeting: Buffer) => {
      said.push(greeting);
      client.write(Buffer.from([5, 2]));
      client.once("data", (login: Buffer) => {
        said.push(login);
        client.write(Buffer.from([1, 0]));
        client.once("data", (request: Buffer) => {
          said.push(request);
          const upstream = connect(server.port, "127.0.0.1", () => {
            client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
            client.pipe(upstream).pipe(client);
          });
          client.on("close", () => upstream.destroy());
        });
      });
    });
    client.on("error", () => {});
  }).listen(0, "127.0.0.1");
  await once(socks, "listening");
  const { port } = socks.address() as AddressInfo;
  await using it = clientFor({ proxyUrl: `socks5://u:p@127.0.0.1:${port}` });
  assert.equal(
    (await it.client.request({ method: "GET", url: "https://proxied.test/" })).body,
    "through socks",
  );
  assert.deepEqual(
    said.map((bytes) => bytes.toString("latin1")),
    ["\x05\x02\x00\x02", "\x01\x01u\x01p", "\x05\x01\x00\x03\x0cproxied.test\x01\xbb"],
  );
  socks.close();
});
