import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { Duplex } from "node:stream";
import { after, test } from "node:test";
import { connect } from "node:tls";
import type { TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { presentedCertificate } from "../request/presented-certificate.ts";
import { readClientHello } from "./client-hello.ts";
import {
  createRecordingPipeline,
  forwardVerdict,
  get,
  startProxy,
  startRawUpstream,
  testAuthority,
  testClientCertificate,
  testServingCertificate,
} from "./testing/harness.ts";
import type { ProxyHarness, ProxyHarnessOptions } from "./testing/harness.ts";

const upstream = await startRawUpstream();
const open: ProxyHarness[] = [];
after(async () => {
  await Promise.all(open.map((each) => each.close()));
  await upstream.close();
});

async function started(options: Omit<ProxyHarnessOptions, "upstream"> = {}): Promise<ProxyHarness> {
  const proxy = await startProxy({ ...options, upstream });
  open.push(proxy);
  return proxy;
}

async function request(socket: TLSSocket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise<void>((done) => socket.once("close", () => done()));
  socket.write(get("/", ["Connection: close"]));
  await closed;
  return Buffer.concat(chunks).toString();
}

test("without a serving certificate the port is open and every handshake fails; with one they succeed", async () => {
  const proxy = await started({ withoutServingCertificate: true });
  assert.equal(proxy.proxyState.current.phase, "listening");
  await assert.rejects(proxy.tls());
  proxy.servingCertificate.set(await testServingCertificate(proxy.servingAuthority));
  assert.match(await request(await proxy.tls()), / 200 /);
  proxy.servingCertificate.set(undefined);
  await assert.rejects(proxy.tls());
});

test("a new serving certificate counts at once, and open connections live on", async () => {
  const proxy = await started();
  const old = await proxy.tls();
  const authority = await testAuthority("second");
  proxy.servingCertificate.set(await testServingCertificate(authority));
  await assert.rejects(proxy.tls());
  assert.match(await request(await proxy.tls({ ca: [authority.certificatePem] })), / 200 /);
  assert.match(await request(old), / 200 /);
});

test("client certificates are asked for by the names of all CAs, and not required", async () => {
  const proxy = await started();
  const { stdout } = await promisify(execFile)("sh", [
    "-c",
    `echo | openssl s_client -connect 127.0.0.1:${proxy.port} 2>/dev/null`,
  ]);
  assert.match(stdout, /Acceptable client certificate CA names[\s\S]*CN ?= ?front-proxy-ca/);
  assert.match(stdout, /Acceptable client certificate CA names[\s\S]*CN ?= ?cluster-ca/);
});

test("the certificate of a connection reaches the steps over HTTP/1.1 and HTTP/2", async () => {
  const seen: boolean[] = [];
  const pipeline = createRecordingPipeline((each) => {
    seen.push(presentedCertificate(each.socket)?.leaf !== undefined);
    return forwardVerdict(each);
  });
  const proxy = await started({ pipeline });
  const certificate = await testClientCertificate(proxy.clientAuthority, "alice");
  await request(await proxy.tls(certificate));
  const session = await proxy.http2(certificate);
  await new Promise<void>((done) => {
    const stream = session.request({ ":path": "/" });
    stream.resume();
    stream.once("close", () => done());
  });
  session.destroy();
  for (const each of proxy.pipeline.began) {
    assert.equal(each.peerAddress, "127.0.0.1");
  }
  assert.deepEqual(seen, [true, true]);
  assert.deepEqual(
    proxy.pipeline.began.map(({ protocol }) => protocol),
    ["HTTP/1.1", "HTTP/2.0"],
  );
});

test("T3, field 24: no session is resumed, on TLS 1.2 and 1.3", async () => {
  const proxy = await started();
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const first = await proxy.tls({ maxVersion: version });
    const sessions: Buffer[] = [];
    first.on("session", (session: Buffer) => sessions.push(session));
    await request(first);
    const second = await proxy.tls({ maxVersion: version, session: sessions[0] ?? first.getSession() });
    assert.equal(second.isSessionReused(), false, version);
    second.destroy();
  }
});

test("T8: TLS 1.1 and weak suites are refused, before and after a swap", async () => {
  const proxy = await started();
  const refused = async (): Promise<void> => {
    await assert.rejects(
      proxy.tls({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" }),
    );
    await assert.rejects(
      proxy.tls({ maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256" }),
    );
  };
  await refused();
  proxy.servingCertificate.set(await testServingCertificate(proxy.servingAuthority));
  await refused();
  assert.match(await request(await proxy.tls({ maxVersion: "TLSv1.2" })), / 200 /);
});

test("a TLS 1.2 client that names RSA first still gets the serving certificate; one without ECDSA the loopback one", async () => {
  const proxy = await started();
  const both = await proxy.tls({
    maxVersion: "TLSv1.2",
    ciphers: "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256",
  });
  assert.match(both.getCipher().standardName, /ECDSA/);
  both.destroy();
  const rsa = { maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-GCM-SHA256" } as const;
  await assert.rejects(proxy.tls(rsa), "nobody trusts it");
  const socket = connect({ port: proxy.port, host: "127.0.0.1", rejectUnauthorized: false, ...rsa });
  await new Promise<void>((done) => socket.once("secureConnect", () => done()));
  assert.equal(socket.getPeerCertificate().subject.CN, "apiserver-loopback-client");
  socket.destroy();
});

test("a ClientHello is read in pieces, over several records, and never past its end", async () => {
  const captured = await new Promise<Buffer>((resolve) => {
    const socket = connect({
      socket: new (class extends Duplex {
        override _write(chunk: Buffer, _encoding: string, done: () => void): void {
          resolve(chunk);
          done();
        }
        override _read(): void {}
      })(),
      servername: "localhost",
    });
    socket.on("error", () => {});
  });
  const whole = readClientHello(captured);
  assert.ok(typeof whole === "object" && whole.offersTls13 && whole.suites.length > 3);
  for (let length = 0; length < captured.length; length += 1) {
    assert.equal(readClientHello(captured.subarray(0, length)), "incomplete");
  }
  const message = captured.subarray(5);
  const records: Buffer[] = [];
  for (let offset = 0; offset < message.length; offset += 100) {
    const part = message.subarray(offset, offset + 100);
    records.push(Buffer.from([22, 3, 1, 0, part.length]), part);
  }
  assert.deepEqual(readClientHello(Buffer.concat(records)), whole);
  assert.equal(readClientHello(Buffer.from("GET / HTTP/1.1\r\n\r\n")), "malformed");
  assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 4, 1, 255, 255, 255])), "malformed");
});
