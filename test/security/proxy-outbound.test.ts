// Field test 26: whom the Concierge speaks to has proven who it is, and nobody else ever gets a credential.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createManualClock, systemClock } from "../../src/clock.ts";
import { createOutboundHttp } from "../../src/concierge/authenticators/outbound-http.ts";
import { withoutProxy } from "../../src/concierge/authenticators/outbound-proxy.ts";
import { createUpstreamEndpoint } from "../../src/concierge/impersonator/upstream-endpoint.ts";
import {
  always,
  get,
  startProxy,
  startRawUpstream,
  testAuthority,
} from "../../src/concierge/impersonator/testing/harness.ts";
import { issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { tlsProfiles } from "../../src/tls/profiles.ts";
import { startTlsServer } from "../oidc/tls-server.ts";

const HOUR = 3_600_000;
const authority = await testAuthority("kubernetes");
const certificateFor = (
  names: { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] },
  issuer = authority,
): ReturnType<typeof issueServingCertificate> =>
  issueServingCertificate(issuer, {
    ...names,
    notBefore: new Date(systemClock.now() - HOUR),
    notAfter: new Date(systemClock.now() + HOUR),
  });
const loopback = await certificateFor({ dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] });

test("field 26: a kube-apiserver of another name, another address or another CA gets nothing", async () => {
  for (const pair of [
    await certificateFor({ dnsNames: ["kubernetes.default.svc"], ipAddresses: ["10.96.0.1"] }),
    await certificateFor({ dnsNames: ["127.0.0.1"], ipAddresses: [] }),
    await certificateFor(
      { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] },
      await testAuthority("kubernetes"),
    ),
  ]) {
    let asked = 0;
    const server = await startTlsServer(pair, (_request, response) => {
      asked += 1;
      response.end("stolen");
    });
    const proxy = await startProxy({ upstream: { url: server.origin, caPem: authority.certificatePem } });
    assert.match(await proxy.raw(get("/x", ["Connection: close"])), /^HTTP\/1\.1 502 /);
    const upgrade = "Connection: Upgrade\r\nUpgrade: websocket";
    assert.match(
      await proxy.raw(`GET /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\nHost: k\r\n${upgrade}\r\n\r\n`),
      /^HTTP\/1\.1 502 /,
    );
    assert.equal(asked, 0);
    await proxy.close();
    await server.stop();
  }
});

test("field 26: the kube-apiserver's redirects are passed on, never followed", async () => {
  let elsewhere = 0;
  const target = await startTlsServer(loopback, (_request, response) => {
    elsewhere += 1;
    response.end();
  });
  for (const status of [301, 302, 303, 307, 308]) {
    const upstream = await startRawUpstream({
      respond: always(
        `HTTP/1.1 ${status} Moved\r\nLocation: ${target.origin}/x\r\nContent-Length: 0\r\n\r\n`,
      ),
    });
    const proxy = await startProxy({ upstream });
    const text = await proxy.raw(get("/x", ["Connection: close"]));
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} [^]*Location: ${target.origin}/x`));
    assert.equal(upstream.everything.split("GET /x ").length, 2, "asked once");
    await proxy.close();
    await upstream.close();
  }
  assert.equal(elsewhere, 0);
  await target.stop();
});

test("field 26: no proxy of the environment stands before the kube-apiserver", async () => {
  let asked = 0;
  const server = createServer((socket) => {
    asked += 1;
    socket.destroy();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"];
  const before = names.map((name) => process.env[name]);
  const exempt = process.env["NO_PROXY"];
  delete process.env["NO_PROXY"];
  names.forEach((name) => (process.env[name] = address));
  try {
    const upstream = await startRawUpstream();
    const proxy = await startProxy({ upstream });
    assert.match(await proxy.raw(get("/direct", ["Connection: close"])), /^HTTP\/1\.1 200 /);
    assert.ok(upstream.everything.startsWith("GET /direct "));
    assert.equal(asked, 0);
    await proxy.close();
    await upstream.close();
  } finally {
    names.forEach((name, index) => {
      const value = before[index];
      if (value === undefined) {
        delete process.env[name];
      } else {
        process.env[name] = value;
      }
    });
    if (exempt !== undefined) {
      process.env["NO_PROXY"] = exempt;
    }
    server.close();
  }
});

test("field 26: the kube-apiserver's CA is read again; what it used to be is not believed any more", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-outbound-"));
  const path = join(folder, "ca.crt");
  writeFileSync(path, authority.certificatePem);
  const clock = createManualClock(systemClock.now());
  const server = await startTlsServer(loopback, (_request, response) => response.end());
  const endpoint = await createUpstreamEndpoint({
    endpoint: { serverUrl: server.origin, certificateAuthority: { file: path } },
    tlsProfile: tlsProfiles.secureClient,
    clock,
    log: silentLogger,
  });
  (await endpoint.connect(["http/1.1"])).destroy();
  writeFileSync(path, "no certificate at all");
  await clock.advance(70_000);
  (await endpoint.connect(["http/1.1"])).destroy();
  const changed = new Promise<void>((done) => endpoint.onChange(done));
  writeFileSync(path, (await testAuthority("kubernetes")).certificatePem);
  for (let minute = 0; minute < 3; minute += 1) {
    await clock.advance(60_000);
  }
  await changed;
  await assert.rejects(endpoint.connect(["http/1.1"]));
  endpoint.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

test("field 26: issuers and webhooks: name and CA are checked, credentials follow no redirect to others, plain HTTP is refused", async () => {
  const seen: (string | undefined)[] = [];
  const elsewhere = await startTlsServer(loopback, (request, response) => {
    seen.push(request.headers.authorization);
    response.end("there");
  });
  const server = await startTlsServer(loopback, (request, response) => {
    const location = request.url === "/far" ? `${elsewhere.origin}/x` : "http://127.0.0.1:1/";
    response.writeHead(302, { location }).end();
  });
  const misnamed = await startTlsServer(
    await certificateFor({ dnsNames: ["issuer.example"], ipAddresses: [] }),
    (_request, response) => response.end("stolen"),
  );
  const http = createOutboundHttp({
    caPem: authority.certificatePem,
    proxyForUrl: withoutProxy,
    clock: systemClock,
  });
  const ask = (url: string, method: "GET" | "POST" = "GET"): ReturnType<typeof http.send> =>
    http.send({
      method,
      url: new URL(url),
      maximumBytes: 1000,
      headers: { authorization: "Bearer secret" },
      ...(method === "POST" ? { body: "token" } : {}),
    });
  assert.equal((await ask(`${server.origin}/far`)).body.toString(), "there");
  assert.deepEqual(seen, [undefined]);
  // A TokenReview is never sent anywhere else.
  assert.match((await ask(`${server.origin}/far`, "POST")).statusLine, /^302 /);
  assert.deepEqual(seen, [undefined]);
  await assert.rejects(ask(`${server.origin}/plain`), /without https/);
  await assert.rejects(ask(`${misnamed.origin}/x`));
  const strangers = createOutboundHttp({
    caPem: (await testAuthority("kubernetes")).certificatePem,
    proxyForUrl: withoutProxy,
    clock: systemClock,
  });
  await assert.rejects(
    strangers.send({ method: "GET", url: new URL(`${elsewhere.origin}/x`), maximumBytes: 10 }),
  );
  assert.equal(seen.length, 1);
  http.close();
  strangers.close();
  await Promise.all([server, elsewhere, misnamed].map((each) => each.stop()));
});
