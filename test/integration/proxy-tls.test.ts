import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { type ProxyWorld, startProxyWorld } from "./harness/proxy-world.ts";
import { type Replica } from "./harness/concierge.ts";

const run = promisify(execFile);

/** In the scanner's words and order (contract 8.3). */
const ecdsaSuites = [
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];
const rsaSuites = ecdsaSuites.map((name) => name.replace("ECDSA", "RSA"));
const allowedCiphers = [ecdsaSuites[1] ?? "", ecdsaSuites[2] ?? ""];

/** Contract 8.1, as OpenSSL calls them. */
const openSslNames = {
  ECDSA: ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"],
  RSA: ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"],
} as const;
/** What a TLS 1.2 client may still know, and we do not. */
const refusedSuites = [
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA256",
  "ECDHE-RSA-AES256-SHA384",
  "AES128-GCM-SHA256",
  "AES256-SHA",
  "DHE-RSA-AES256-GCM-SHA384",
];

/** The scanner's whole report about a port, from the line of the port on. */
function expectedReport(port: number, tls12Suites: readonly string[]): string {
  return [
    `${port}/tcp open  unknown`,
    "| ssl-enum-ciphers: ",
    ...(tls12Suites.length === 0
      ? []
      : [
          "|   TLSv1.2: ",
          "|     ciphers: ",
          ...tls12Suites.map((suite) => `|       ${suite} (secp256r1) - A`),
          "|     compressors: ",
          "|       NULL",
          "|     cipher preference: client",
        ]),
    "|   TLSv1.3: ",
    "|     ciphers: ",
    "|       TLS_AKE_WITH_AES_128_GCM_SHA256 (ecdh_x25519) - A",
    "|       TLS_AKE_WITH_AES_256_GCM_SHA384 (ecdh_x25519) - A",
    "|       TLS_AKE_WITH_CHACHA20_POLY1305_SHA256 (ecdh_x25519) - A",
    "|     cipher preference: server",
    "|_  least strength: A",
  ].join("\n");
}

async function report(port: number): Promise<string> {
  const { stdout } = await run("nmap", [
    "--script",
    "ssl-enum-ciphers",
    "-Pn",
    "-p",
    String(port),
    "127.0.0.1",
  ]);
  const from = stdout.indexOf(`${port}/tcp`);
  return stdout.slice(from, stdout.indexOf("\n\n", from)).replace(/open +unknown/, "open  unknown");
}

/** What openssl agreed on: `undefined` where there was no handshake. */
async function negotiated(port: number, args: readonly string[]): Promise<string | undefined> {
  const { stdout } = await run("sh", [
    "-c",
    `openssl s_client -connect 127.0.0.1:${port} -servername localhost ${args.join(" ")} </dev/null 2>&1; true`,
  ]);
  const [, protocol, suite] = /New, (TLSv1\.[0-9]), Cipher is (\S+)/.exec(stdout) ?? [];
  return protocol === undefined || suite === undefined ? undefined : `${protocol} ${suite}`;
}

function handshake(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: "localhost",
      rejectUnauthorized: false,
      ...options,
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => resolve(socket));
  });
}

async function shown(port: number, options: ConnectionOptions): Promise<X509Certificate> {
  const socket = await handshake(port, options);
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  assert.ok(certificate !== undefined);
  return certificate;
}

describe("TLS of both servers", () => {
  let world: ProxyWorld;
  let plain: Replica;
  let narrowed: Replica;

  before(async () => {
    world = await startProxyWorld({
      name: "proxy-tls",
      replicas: 2,
      replicaConfiguration: (index) => (index === 1 ? { tls: { onedottwo: { allowedCiphers } } } : {}),
    });
    const [first, second] = world.installation.replicas;
    assert.ok(first !== undefined && second !== undefined);
    plain = first;
    narrowed = second;
  });
  after(async () => {
    await world?.stop();
  });

  it("is textually the contract's matrix to nmap (contract 8.3)", async () => {
    assert.equal(
      await report(plain.proxyPort),
      expectedReport(plain.proxyPort, [...ecdsaSuites, ...rsaSuites]),
    );
    assert.equal(await report(plain.port), expectedReport(plain.port, []));
  });

  it("has only the suites of TLS 1.2 that tls.onedottwo.allowedCiphers names, and all of TLS 1.3", async () => {
    assert.equal(await report(narrowed.proxyPort), expectedReport(narrowed.proxyPort, allowedCiphers));
    assert.equal(await report(narrowed.port), expectedReport(narrowed.port, []));
  });

  it("is the same matrix to openssl", async () => {
    const { proxyPort, port } = plain;
    for (const suite of [...openSslNames.ECDSA, ...openSslNames.RSA]) {
      assert.equal(await negotiated(proxyPort, ["-tls1_2", "-cipher", suite]), `TLSv1.2 ${suite}`);
      assert.equal(await negotiated(port, ["-tls1_2", "-cipher", suite]), undefined, suite);
    }
    for (const suite of refusedSuites) {
      assert.equal(
        await negotiated(proxyPort, ["-tls1_2", "-cipher", `${suite}:@SECLEVEL=0`]),
        undefined,
        suite,
      );
    }
    for (const version of ["-tls1", "-tls1_1"]) {
      assert.equal(await negotiated(proxyPort, [version, "-cipher", "ALL:@SECLEVEL=0"]), undefined, version);
    }
    for (const each of [proxyPort, port, narrowed.proxyPort]) {
      for (const suite of [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
      ]) {
        assert.equal(await negotiated(each, ["-tls1_3", "-ciphersuites", suite]), `TLSv1.3 ${suite}`);
      }
      // AES-128 is ours to choose first, whatever the client would like.
      assert.equal(
        await negotiated(each, ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"]),
        "TLSv1.3 TLS_AES_128_GCM_SHA256",
      );
    }
    const [, second, third] = openSslNames.ECDSA;
    for (const suite of [...openSslNames.ECDSA, ...openSslNames.RSA]) {
      assert.equal(
        await negotiated(narrowed.proxyPort, ["-tls1_2", "-cipher", suite]),
        suite === second || suite === third ? `TLSv1.2 ${suite}` : undefined,
      );
    }
  });

  it("is the same matrix to Node, whatever the client's order, with HTTP/2 and HTTP/1.1 on offer", async () => {
    const tls12 = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
    for (const suite of [...openSslNames.ECDSA, ...openSslNames.RSA]) {
      const socket = await handshake(plain.proxyPort, { ...tls12, ciphers: suite });
      assert.equal(socket.getCipher().name, suite);
      socket.destroy();
    }
    await assert.rejects(handshake(plain.proxyPort, { ...tls12, ciphers: "AES128-GCM-SHA256" }));
    await assert.rejects(handshake(plain.port, tls12));
    await assert.rejects(
      handshake(plain.proxyPort, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" }),
    );
    for (const { proxyPort, port } of [plain, narrowed]) {
      for (const each of [proxyPort, port]) {
        const socket = await handshake(each, { ALPNProtocols: ["h2", "http/1.1"] });
        assert.equal(socket.getProtocol(), "TLSv1.3");
        assert.equal(socket.getCipher().name, "TLS_AES_128_GCM_SHA256");
        assert.equal((socket.getEphemeralKeyInfo() as { name?: string }).name, "X25519");
        // The aggregated API speaks HTTP/1.1 alone.
        assert.equal(socket.alpnProtocol, each === port ? "http/1.1" : "h2");
        socket.destroy();
      }
    }
    const old = await handshake(plain.proxyPort, { ALPNProtocols: ["http/1.1"] });
    assert.equal(old.alpnProtocol, "http/1.1");
    old.destroy();
  });

  it("shows an RSA certificate to those who know nothing else, and the serving certificate to all others", async () => {
    const tls12 = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
    const authority = new X509Certificate(world.proxy.caPem);
    const rsa = await shown(plain.proxyPort, { ...tls12, ciphers: openSslNames.RSA.join(":") });
    assert.equal(rsa.publicKey.asymmetricKeyType, "rsa");
    assert.equal(rsa.verify(rsa.publicKey), true, "not signed by itself");
    assert.equal(rsa.verify(authority.publicKey), false);
    const others: readonly ConnectionOptions[] = [
      {},
      { ...tls12, ciphers: openSslNames.ECDSA.join(":") },
      // One that would rather have RSA must not be given a certificate that nobody trusts.
      { ...tls12, ciphers: [...openSslNames.RSA, ...openSslNames.ECDSA].join(":") },
      { servername: "some.other.name" },
    ];
    for (const options of others) {
      const certificate = await shown(plain.proxyPort, options);
      assert.equal(certificate.publicKey.asymmetricKeyType, "ec");
      assert.equal(certificate.verify(authority.publicKey), true, JSON.stringify(options));
    }
    // A narrowed list without RSA suites has no use for the second certificate.
    await assert.rejects(shown(narrowed.proxyPort, { ...tls12, ciphers: openSslNames.RSA.join(":") }));
  });
});
