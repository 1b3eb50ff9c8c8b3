import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect, createServer } from "node:tls";
import type { ConnectionOptions, TlsOptions } from "node:tls";
import { Agent, request } from "undici";
import { runOracle } from "../../test/oracle/oracle.ts";
import { createCertificateAuthority, issueServingCertificate } from "../pki/certificate-authority.ts";
import type { KeyPairPem } from "../pki/key-pair.ts";
import { goHttpErrorText, goNetworkErrorText } from "./go-errors.ts";
import type { NetworkTarget } from "./go-errors.ts";
import { fetchPeerCertificate } from "./peer-certificate.ts";

const hour = 3_600_000;
const start = Math.floor(Date.now() / 1000) * 1000;
let ca: KeyPairPem;
const servers: Server[] = [];

before(async () => {
  ca = await createCertificateAuthority({
    commonName: "CA",
    notBefore: new Date(start - 3 * hour),
    notAfter: new Date(start + hour),
  });
});
after(() => {
  for (const server of servers) {
    server.close();
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function serve(
  names: { readonly dnsNames?: readonly string[]; readonly ipAddresses?: readonly string[] },
  times: { readonly begins?: number; readonly ends?: number } = {},
  options: TlsOptions = {},
): Promise<number> {
  const pair = await issueServingCertificate(ca, {
    dnsNames: names.dnsNames ?? [],
    ipAddresses: names.ipAddresses ?? [],
    notBefore: new Date(times.begins ?? start - 2 * hour),
    notAfter: new Date(times.ends ?? start + hour),
  });
  const server = createServer(
    { cert: pair.certificatePem, key: pair.privateKeyPem, ...options },
    (socket) => {
      socket.on("error", () => {});
      socket.end();
    },
  );
  server.on("tlsClientError", () => {});
  return listen(server);
}

/** The error of a TLS dial to 127.0.0.1. */
function dialError(port: number, options: ConnectionOptions = {}): Promise<Error> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca: [ca.certificatePem], ...options });
    socket.once("error", resolve);
    socket.once("secureConnect", () => {
      socket.destroy();
      reject(new Error("the dial succeeded"));
    });
  });
}

const target = (port: number, more: Partial<NetworkTarget> = {}): NetworkTarget => ({
  host: "127.0.0.1",
  port,
  ...more,
});

async function goDial(port: number, host = "127.0.0.1", ...flags: readonly string[]): Promise<string> {
  const answer = await runOracle(["dial", "-address", `${host}:${port}`, ...flags], ca.certificatePem);
  return (answer as { readonly dial: string }).dial;
}

async function goGet(url: string, bundle: string): Promise<string> {
  const answer = await runOracle(["dial", "-url", url], bundle);
  return (answer as { readonly get: string }).get;
}

test("an unknown authority, in its several shapes", async () => {
  const other = await createCertificateAuthority({
    commonName: "Other",
    notBefore: new Date(start - hour),
    notAfter: new Date(start + hour),
  });
  const port = await serve({ ipAddresses: ["127.0.0.1"] });
  const expected = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
  for (const roots of [[], [other.certificatePem]]) {
    assert.equal(goNetworkErrorText(await dialError(port, { ca: roots }), target(port)), expected);
  }
  const folder = mkdtempSync(join(tmpdir(), "lanyard-go-"));
  const key = join(folder, "k");
  const cert = join(folder, "c");
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      "/CN=s",
      "-addext",
      "subjectAltName=IP:127.0.0.1",
    ].concat(["-keyout", key, "-out", cert]),
    { stdio: "pipe" },
  );
  const pair = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  rmSync(folder, { recursive: true });
  for (const chain of [pair.cert, pair.cert + ca.certificatePem]) {
    const selfSigned = await listen(
      createServer({ key: pair.key, cert: chain }).on("tlsClientError", () => {}),
    );
    assert.equal(goNetworkErrorText(await dialError(selfSigned), target(selfSigned)), expected);
    assert.equal(await goDial(selfSigned), expected);
  }
});

test("an HTTPS GET is wrapped as net/http wraps it", async () => {
  const port = await serve({ ipAddresses: ["127.0.0.1"] });
  const url = `https://127.0.0.1:${port}/path?a=b`;
  const agent = new Agent({ allowH2: false, connect: { ca: [] } });
  const error: unknown = await request(url, { dispatcher: agent }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  await agent.close();
  const expected = `Get "${url}": tls: failed to verify certificate: x509: certificate signed by unknown authority`;
  assert.equal(goHttpErrorText(error, "GET", url, target(port)), expected);
  assert.equal(await goGet(url, ""), expected);
});

test("expired and not yet valid certificates, with their dates", async () => {
  const cases = [
    { begins: start - 2 * hour, ends: start - hour },
    { begins: start + hour / 2, ends: start + hour },
  ];
  for (const times of cases) {
    const port = await serve({ ipAddresses: ["127.0.0.1"] }, times);
    const error = await dialError(port);
    const peerCertificate = await fetchPeerCertificate({ host: "127.0.0.1", port, timeout: 5000 });
    assert.ok(peerCertificate !== undefined);
    const text = goNetworkErrorText(error, target(port, { peerCertificate, now: start }));
    const go = await goDial(port);
    // Go's clock is the machine's, in the machine's zone.
    assert.match(go, /current time \S+ is (after|before) \S+$/);
    assert.equal(
      text,
      go.replace(/current time \S+/, `current time ${new Date(start).toISOString().replace(".000Z", "Z")}`),
    );
    assert.equal(
      goNetworkErrorText(error, target(port)),
      "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
    );
  }
});

test("names that do not fit", async () => {
  const cases: readonly (readonly [Parameters<typeof serve>[0], string])[] = [
    [{ dnsNames: ["a.example", "b.example"] }, "localhost"],
    [{ dnsNames: ["a.example"] }, "127.0.0.1"],
    [{ ipAddresses: ["10.0.0.1", "fd00::1"] }, "127.0.0.1"],
    [{ ipAddresses: ["10.0.0.1"] }, "localhost"],
    [{ dnsNames: Array.from({ length: 101 }, (_, index) => `n${index}.example`) }, "localhost"],
  ];
  for (const [names, host] of cases) {
    const port = await serve(names);
    // The servers here listen on IPv4 alone.
    const ipv4 = { host, family: 4 };
    const error = await dialError(port, ipv4);
    assert.equal(goNetworkErrorText(error, target(port, { host })), await goDial(port, host));
  }
});

test("a certificate that names its host only in CN", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-go-"));
  const key = join(folder, "k");
  const cert = join(folder, "c");
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
    { stdio: "pipe" },
  );
  const pem = readFileSync(cert, "utf8");
  const text = goNetworkErrorText(
    Object.assign(new Error("x"), {
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      host: "localhost",
      cert: { raw: new X509Certificate(pem).raw },
    }),
    { host: "localhost", port: 443 },
  );
  rmSync(folder, { recursive: true });
  assert.equal(
    text,
    "tls: failed to verify certificate: x509: certificate relies on legacy Common Name field, use SANs instead",
  );
});

test("a refused connection, also behind happy eyeballs and undici", async () => {
  const server = createTcpServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  const expected = `dial tcp 127.0.0.1:${port}: connect: connection refused`;
  assert.equal(goNetworkErrorText(await dialError(port), target(port)), expected);
  assert.equal(await goDial(port), expected);
  const several = Object.assign(new AggregateError([await dialError(port), new Error("::1")]), {
    code: "ECONNREFUSED",
  });
  assert.equal(goNetworkErrorText(several, { host: "localhost", port }), expected);
  const wrapped = new TypeError("fetch failed", { cause: several });
  assert.equal(
    goHttpErrorText(wrapped, "get", "https://x/", { host: "localhost", port }),
    `Get "https://x/": ${expected}`,
  );
  const six = Object.assign(new Error("x"), { code: "ECONNREFUSED", address: "::1", syscall: "connect" });
  assert.equal(
    goNetworkErrorText(six, { host: "h", port: 1 }),
    "dial tcp [::1]:1: connect: connection refused",
  );
});

test("an unknown host", async () => {
  const error = await dialError(443, { host: "no-such-host.invalid" });
  const text = goNetworkErrorText(error, { host: "no-such-host.invalid", port: 443 });
  // A machine without any resolver answers EAI_AGAIN.
  assert.match(
    text,
    /^dial tcp: lookup no-such-host\.invalid: (no such host|Temporary failure in name resolution)$/,
  );
  const notFound = Object.assign(new Error("x"), { code: "ENOTFOUND", syscall: "getaddrinfo" });
  assert.equal(
    goNetworkErrorText(notFound, { host: "h.example", port: 1 }),
    "dial tcp: lookup h.example: no such host",
  );
});

test("servers that do not speak TLS, or too old a one, or none of the suites", async () => {
  const noise = await listen(
    createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("SSH-2.0-OpenSSH_9.9\r\n"));
    }),
  );
  const first = "tls: first record does not look like a TLS handshake";
  assert.equal(goNetworkErrorText(await dialError(noise), target(noise)), first);
  assert.equal(await goDial(noise), first);

  const modern = await serve({ ipAddresses: ["127.0.0.1"] }, {}, { minVersion: "TLSv1.3" });
  const version = "remote error: tls: protocol version not supported";
  assert.equal(
    goNetworkErrorText(await dialError(modern, { maxVersion: "TLSv1.2" }), target(modern)),
    version,
  );
  assert.equal(await goDial(modern, "127.0.0.1", "-max", String(0x0303)), version);

  const narrow = await serve(
    { ipAddresses: ["127.0.0.1"] },
    {},
    { maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-GCM-SHA256" },
  );
  const failure = "remote error: tls: handshake failure";
  assert.equal(goNetworkErrorText(await dialError(narrow), target(narrow)), failure);
  assert.equal(await goDial(narrow), failure);
});

test("connections that end", async () => {
  const closing = await listen(createTcpServer((socket) => socket.once("data", () => socket.end())));
  assert.equal(goNetworkErrorText(await dialError(closing), target(closing)), "EOF");
  assert.equal(await goDial(closing), "EOF");

  const resetting = await listen(
    createTcpServer((socket) => socket.once("data", () => socket.resetAndDestroy())),
  );
  const text = goNetworkErrorText(await dialError(resetting), target(resetting));
  assert.equal(text, `read tcp 127.0.0.1:${resetting}: read: connection reset by peer`);
  // Go also names its own end of the connection.
  assert.equal((await goDial(resetting)).replace(/127\.0\.0\.1:\d+->/, ""), text);
});

test("time limits", () => {
  const place = { host: "10.0.0.1", port: 443 };
  const timeout = Object.assign(new Error("x"), { code: "UND_ERR_CONNECT_TIMEOUT" });
  assert.equal(goNetworkErrorText(timeout, place), "dial tcp 10.0.0.1:443: i/o timeout");
  const system = Object.assign(new Error("x"), {
    code: "ETIMEDOUT",
    syscall: "connect",
    address: "10.0.0.1",
  });
  assert.equal(goNetworkErrorText(system, place), "dial tcp 10.0.0.1:443: connect: connection timed out");
  const deadline = new DOMException("The operation was aborted due to timeout", "TimeoutError");
  assert.equal(goNetworkErrorText(deadline, place), "context deadline exceeded");
  assert.equal(
    goHttpErrorText(deadline, "GET", "https://x", place),
    'Get "https://x": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
  );
});

test("what is unknown keeps its own words", () => {
  const place = { host: "h", port: 1 };
  assert.equal(goNetworkErrorText(new Error("odd"), place), "odd");
  assert.equal(goNetworkErrorText("text", place), "text");
  assert.equal(goNetworkErrorText(undefined, place), "undefined");
  assert.equal(goNetworkErrorText(Object.assign(new Error("own"), { code: "toString" }), place), "own");
});
