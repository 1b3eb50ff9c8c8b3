import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startTlsServer } from "../../../test/oidc/tls-server.ts";
import type { RequestHandler } from "../../../test/oidc/tls-server.ts";
import { createManualClock, systemClock } from "../../clock.ts";
import { parseGoUrl } from "./go-url.ts";
import { createOutboundHttp, requestUrl } from "./outbound-http.ts";
import type { OutboundHttpOptions } from "./outbound-http.ts";
import { createProxyForUrl, withoutProxy } from "./outbound-proxy.ts";

const certificate = await createLoopbackCertificate();

async function withServer(
  handler: RequestHandler,
  work: (send: (path: string, extra?: object) => Promise<string>, origin: string) => Promise<void>,
  options: Partial<OutboundHttpOptions> = {},
): Promise<void> {
  const server = await startTlsServer(certificate, handler);
  const http = createOutboundHttp({
    caPem: certificate.caPem,
    proxyForUrl: withoutProxy,
    clock: systemClock,
    ...options,
  });
  try {
    await work(async (path, extra = {}) => {
      const url = new URL(path, server.origin);
      const answer = await http.send({ method: "GET", url, maximumBytes: 1000, ...extra });
      return `${answer.statusLine}|${answer.body.toString()}`;
    }, server.origin);
  } finally {
    http.close();
    await server.stop();
  }
}

test("an answer of any status is an answer", async () => {
  await withServer(
    (request, response) => {
      response.writeHead(request.url === "/x" ? 404 : 200).end(`${request.httpVersion} ${request.url}`);
    },
    async (send) => {
      assert.equal(await send("/a?b"), "200 OK|1.1 /a?b");
      assert.equal(await send("/x"), "404 Not Found|1.1 /x");
    },
  );
});

test("a server of another CA, of another name, or gone, has Go's texts", async () => {
  const answer: RequestHandler = (_request, response) => response.end();
  const other = await createLoopbackCertificate();
  await withServer(
    answer,
    async (send, origin) => {
      await assert.rejects(send("/a"), {
        message: `Get "${origin}/a": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
      });
    },
    { caPem: other.caPem },
  );
  await withServer(
    answer,
    async (send) => {
      await assert.rejects(send("/a"), /x509: certificate signed by unknown authority$/);
    },
    { caPem: undefined },
  );
  const named = await createLoopbackCertificate({ dnsNames: ["elsewhere.example"], ipAddresses: [] });
  const server = await startTlsServer(named, answer);
  const http = createOutboundHttp({ caPem: named.caPem, proxyForUrl: withoutProxy, clock: systemClock });
  const send = (url: string) => http.send({ method: "GET", url: new URL(url), maximumBytes: 10 });
  await assert.rejects(send(server.origin), /x509: cannot validate certificate for 127\.0\.0\.1 because/);
  await assert.rejects(
    send(`https://localhost:${server.port}`),
    /x509: certificate is valid for elsewhere\.example, not localhost$/,
  );
  await server.stop();
  await assert.rejects(send(server.origin), {
    message: `Get "${server.origin}/": dial tcp 127.0.0.1:${server.port}: connect: connection refused`,
  });
  http.close();
});

test("a leaf or an intermediate in the bundle is a root, as in Go", async () => {
  const { certificatePem } = certificate;
  await withServer(
    (_request, response) => response.end("ok"),
    async (send) => assert.equal(await send("/"), "200 OK|ok"),
    { caPem: certificatePem },
  );
});

test("a longer answer than allowed is cut off", async () => {
  await withServer(
    (_request, response) => {
      response.on("error", () => {});
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(10_000)));
        response.once("drain", more);
      };
      more();
    },
    async (send) => {
      await assert.rejects(send("/"), /the answer is longer than 1000 bytes$/);
    },
  );
});

test("a server that does not answer is given up after 30 seconds", async () => {
  const clock = createManualClock();
  const arrived = Promise.withResolvers<void>();
  await withServer(
    () => arrived.resolve(),
    async (send, origin) => {
      const failed = assert.rejects(send("/"), {
        message: `Get "${origin}/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
      });
      await arrived.promise;
      await clock.advance(29_999);
      await clock.advance(1);
      await failed;
    },
    { clock },
  );
});

test("redirects are followed to https only, ten times, without the credential elsewhere", async () => {
  const seen: (string | undefined)[] = [];
  const second = await startTlsServer(certificate, (request, response) => {
    seen.push(request.headers.authorization);
    response.end("there");
  });
  await withServer(
    (request, response) => {
      const targets: Record<string, string> = {
        "/once": "/end",
        "/far": `${second.origin}/x`,
        "/plain": "http://127.0.0.1:1/",
        "/loop": "/loop",
        "/bad": "https://[",
      };
      const target = targets[request.url ?? ""];
      response.writeHead(target === undefined ? 200 : 302, target === undefined ? {} : { location: target });
      response.end(request.url === "/end" ? String(request.headers.authorization) : "");
    },
    async (send, origin) => {
      const headers = { headers: { authorization: "Bearer secret" } };
      assert.equal(await send("/once", headers), "200 OK|Bearer secret");
      assert.equal(await send("/far", headers), "200 OK|there");
      assert.deepEqual(seen, [undefined]);
      await assert.rejects(send("/plain"), /the server redirects to a URL without https$/);
      await assert.rejects(send("/bad"), /not a URL$/);
      await assert.rejects(send("/loop"), { message: `Get "${origin}/loop": stopped after 10 redirects` });
      assert.equal(await send("/once", { method: "POST", body: "x" }), "302 Found|");
    },
  );
  await second.stop();
});

test("a proxy is asked to CONNECT, with its credentials", async () => {
  const asked: string[] = [];
  const proxy = createServer();
  proxy.on("connect", (request: IncomingMessage, client: Socket) => {
    asked.push(`${request.url} ${request.headers["proxy-authorization"]}`);
    const upstream = connect(target.port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await new Promise((resolve) => {
    proxy.once("listening", resolve);
  });
  const named = await createLoopbackCertificate({ dnsNames: ["issuer.example"], ipAddresses: [] });
  const target = await startTlsServer(named, (_request, response) => response.end("through"));
  const httpsProxy = `http://u:p@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const http = createOutboundHttp({
    caPem: named.caPem,
    proxyForUrl: createProxyForUrl({ httpsProxy }),
    clock: systemClock,
  });
  const url = new URL("https://issuer.example/x");
  const answer = await http.send({ method: "GET", url, maximumBytes: 100 });
  assert.equal(answer.body.toString(), "through");
  assert.deepEqual(asked, [`issuer.example:443 Basic ${btoa("u:p")}`]);
  http.close();
  await target.stop();
  proxy.closeAllConnections();
  proxy.close();
});

test("the URL asked for has the host that was checked", () => {
  const hrefOf = (text: string): string | undefined => {
    const { url } = parseGoUrl(text);
    return url === undefined ? undefined : requestUrl(url)?.href;
  };
  assert.equal(
    hrefOf("https://a.example:8443/x y/%2F/é?q=ü"),
    "https://a.example:8443/x%20y/%2F/%C3%A9?q=%C3%BC",
  );
  assert.equal(hrefOf("https://[::1]:1"), "https://[::1]:1/");
  assert.equal(hrefOf("https:///a.example/x"), undefined);
  assert.equal(hrefOf("https:a.example"), undefined);
  assert.equal(hrefOf("https://user:pass@a.example/"), "https://a.example/");
  assert.equal(hrefOf("https://a.example/\\evil.example"), "https://a.example/%5Cevil.example");
});
