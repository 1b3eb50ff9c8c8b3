import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect, createServer } from "node:tls";
import type { ConnectionOptions, SecureVersion, Server, TLSSocket, TlsOptions } from "node:tls";
import { createCertificateAuthority, issueServingCertificate } from "../pki/certificate-authority.ts";
import { createClientCertificateIssuer } from "../pki/client-certificate.ts";
import type { KeyPairPem } from "../pki/key-pair.ts";
import {
  clientTlsOptions,
  describeProfile,
  narrowCiphers,
  serverTlsOptions,
  splitByVersion,
  systemRoots,
  tlsProfiles,
} from "./profiles.ts";
import type { ServingPair, TlsProfile } from "./profiles.ts";

const notBefore = new Date(Date.now() - 300_000);
const notAfter = new Date(Date.now() + 3_600_000);
let ca: KeyPairPem;
let pair: ServingPair;
let rsaPair: ServingPair;
let folder: string;
const servers: Server[] = [];

before(async () => {
  ca = await createCertificateAuthority({ commonName: "CA", notBefore, notAfter });
  const serving = await issueServingCertificate(ca, {
    dnsNames: ["server.example"],
    ipAddresses: [],
    notBefore,
    notAfter,
  });
  pair = { certificateChainPem: serving.certificatePem, privateKeyPem: serving.privateKeyPem };
  folder = mkdtempSync(join(tmpdir(), "lanyard-tls-"));
  const key = join(folder, "rsa.key");
  const cert = join(folder, "rsa.pem");
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=rsa", "-keyout", key, "-out", cert],
    { stdio: "pipe" },
  );
  rsaPair = { certificateChainPem: readFileSync(cert, "utf8"), privateKeyPem: readFileSync(key, "utf8") };
});
after(() => {
  for (const server of servers) {
    server.close();
  }
  rmSync(folder, { recursive: true });
});

const whole = (profile: TlsProfile, withRsa = true): ReturnType<typeof serverTlsOptions> =>
  serverTlsOptions(profile, {
    ...pair,
    additionalPairs: withRsa ? [rsaPair] : [],
    clientCaPem: ca.certificatePem,
  });

async function listen(options: TlsOptions): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(options, (socket) => {
    socket.on("error", () => {});
    socket.resume();
  });
  server.on("tlsClientError", () => {});
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

/** What a handshake ends in: `<version> <suite>`, or `refused`. */
function handshake(
  port: number,
  options: ConnectionOptions,
  inspect?: (socket: TLSSocket) => void,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
    socket.once("secureConnect", () => {
      inspect?.(socket);
      resolve(`${socket.getProtocol() ?? "?"} ${socket.getCipher().standardName}`);
      socket.destroy();
    });
    socket.once("error", () => resolve("refused"));
  });
}

/** A client of one version and suite whose security level lets even the oldest through, so that only the server refuses. */
function old(version: SecureVersion, suite?: string): ConnectionOptions {
  const list = suite ?? "ALL:@SECLEVEL=0";
  return {
    minVersion: version,
    maxVersion: version,
    ciphers: suite === undefined || version === "TLSv1.3" ? list : `${list}:@SECLEVEL=0`,
  };
}

const TLS12: readonly (readonly [string, string])[] = [
  ["ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
  ["ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
  ["ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
  ["ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
  ["ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
  ["ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"],
];
const TLS13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
const WEAK = [
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES256-SHA",
  "ECDHE-ECDSA-AES128-SHA256",
  "AES128-GCM-SHA256",
  "AES256-SHA",
  "DHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES128-CCM",
  "NULL-SHA256",
];

test("T9: the Default server takes TLS 1.2 with the six suites, and TLS 1.3", async () => {
  const { port } = await listen(whole(tlsProfiles.defaultServer));
  for (const version of ["TLSv1", "TLSv1.1"] as const) {
    assert.equal(await handshake(port, old(version)), "refused", version);
  }
  for (const [suite, name] of TLS12) {
    assert.equal(await handshake(port, old("TLSv1.2", suite)), `TLSv1.2 ${name}`);
  }
  for (const suite of WEAK) {
    assert.equal(await handshake(port, old("TLSv1.2", suite)), "refused", suite);
  }
  for (const suite of TLS13) {
    assert.equal(await handshake(port, old("TLSv1.3", suite)), `TLSv1.3 ${suite}`);
  }
});

test("T9: the Secure server takes TLS 1.3 only", async () => {
  const { port } = await listen(whole(tlsProfiles.secureServer));
  for (const version of ["TLSv1", "TLSv1.1", "TLSv1.2"] as const) {
    assert.equal(await handshake(port, old(version)), "refused", version);
  }
  for (const [suite] of TLS12) {
    assert.equal(await handshake(port, old("TLSv1.2", suite)), "refused", suite);
  }
  for (const suite of TLS13) {
    assert.equal(await handshake(port, old("TLSv1.3", suite)), `TLSv1.3 ${suite}`);
  }
});

test("T9: clients refuse servers below their profile", async () => {
  const answer = async (profile: TlsProfile, server: TlsOptions): Promise<string> => {
    const { port } = await listen({ cert: pair.certificateChainPem, key: pair.privateKeyPem, ...server });
    return handshake(port, {
      ...clientTlsOptions(profile, { caPem: ca.certificatePem }),
      servername: "server.example",
    });
  };
  const only = (version: SecureVersion, ciphers: string): TlsOptions => ({
    minVersion: version,
    maxVersion: version,
    ciphers,
  });
  const ancient = only("TLSv1.1", "ALL:@SECLEVEL=0");
  const weak = only("TLSv1.2", "ECDHE-ECDSA-AES128-SHA");
  const modern = only("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256");
  const { defaultClient, secureClient } = tlsProfiles;
  assert.equal(await answer(defaultClient, ancient), "refused");
  assert.equal(await answer(defaultClient, weak), "refused");
  assert.equal(await answer(defaultClient, modern), "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
  assert.match(await answer(defaultClient, {}), /^TLSv1\.3 /);
  assert.equal(await answer(secureClient, modern), "refused");
  assert.match(await answer(secureClient, {}), /^TLSv1\.3 /);
});

test("a client trusts its bundle alone and checks the name", async () => {
  const { port } = await listen(whole(tlsProfiles.defaultServer, false));
  const other = await createCertificateAuthority({ commonName: "Other", notBefore, notAfter });
  const dial = (caPem: string | undefined, servername: string): Promise<string> =>
    handshake(port, { ...clientTlsOptions(tlsProfiles.defaultClient, { caPem }), servername });
  assert.match(await dial(ca.certificatePem, "server.example"), /^TLSv1\.3/);
  assert.equal(await dial(ca.certificatePem, "other.example"), "refused");
  assert.equal(await dial(other.certificatePem, "server.example"), "refused");
  assert.equal(await dial(undefined, "server.example"), "refused");
});

test("orders of suites: ours in TLS 1.3, the client's in TLS 1.2 (clarification 9)", async () => {
  const { tls12, tls13 } = splitByVersion(tlsProfiles.defaultServer);
  assert.ok(tls12 !== undefined);
  const second = await listen(whole(tls12));
  const both = await listen(whole(tlsProfiles.defaultServer));
  for (const suites of [TLS12, TLS12.toReversed()]) {
    const list = suites.map(([name]) => name).join(":");
    for (const { port } of [second, both]) {
      assert.equal(await handshake(port, old("TLSv1.2", list)), `TLSv1.2 ${suites[0]?.[1]}`);
    }
  }
  assert.equal(await handshake(second.port, old("TLSv1.3", TLS13.join(":"))), "refused");
  const third = await listen(whole(tls13));
  assert.equal(
    await handshake(third.port, old("TLSv1.3", TLS13.toReversed().join(":"))),
    "TLSv1.3 TLS_AES_128_GCM_SHA256",
  );
  assert.equal(await handshake(third.port, old("TLSv1.2")), "refused");
  assert.equal(splitByVersion(tlsProfiles.secureServer).tls12, undefined);
});

test("X25519 is preferred and P-256 is there", async () => {
  const { port } = await listen(whole(tlsProfiles.secureServer));
  const groupOf = async (ecdhCurve: string): Promise<unknown> => {
    let name: unknown;
    await handshake(port, { ecdhCurve }, (socket) => {
      name = (socket.getEphemeralKeyInfo() as { readonly name?: string } | null)?.name;
    });
    return name;
  };
  assert.equal(await groupOf("X25519:P-256"), "X25519");
  assert.equal(await groupOf("P-256"), "prime256v1");
  assert.equal(await groupOf("secp256k1"), undefined);
});

test("ALPN offers h2 and http/1.1; no session is resumed (T3)", async () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const { port } = await listen(whole(tlsProfiles.defaultServer));
    let session: Buffer | undefined;
    const alpn = await new Promise<unknown>((resolve) => {
      const socket = connect({
        host: "127.0.0.1",
        port,
        rejectUnauthorized: false,
        maxVersion: version,
        ALPNProtocols: ["http/1.1", "h2"],
      });
      socket.on("session", (ticket) => (session = ticket));
      socket.once("secureConnect", () => {
        session ??= socket.getSession();
        resolve(socket.alpnProtocol);
        socket.end();
      });
      socket.resume();
    });
    assert.equal(alpn, "h2");
    let reused: boolean | undefined;
    await handshake(
      port,
      { maxVersion: version, ...(session === undefined ? {} : { session }) },
      (socket) => {
        reused = socket.isSessionReused();
      },
    );
    assert.equal(reused, false, version);
  }
});

test("T8: setSecureContext with a whole set keeps the floor and swaps the certificate", async () => {
  const { server, port } = await listen(whole(tlsProfiles.secureServer));
  const next = await issueServingCertificate(ca, {
    dnsNames: ["next.example"],
    ipAddresses: [],
    notBefore,
    notAfter,
  });
  server.setSecureContext(
    serverTlsOptions(tlsProfiles.secureServer, {
      certificateChainPem: next.certificatePem,
      privateKeyPem: next.privateKeyPem,
      clientCaPem: ca.certificatePem,
    }),
  );
  assert.equal(await handshake(port, old("TLSv1.2")), "refused");
  let names: string | undefined;
  assert.match(
    await handshake(port, {}, (socket) => (names = socket.getPeerX509Certificate()?.subjectAltName)),
    /1\.3/,
  );
  assert.equal(names, "DNS:next.example");
});

test("T6: a listener without a client CA bundle is refused, junk included trusts nobody", async () => {
  for (const clientCaPem of ["", "junk", undefined as unknown as string, [] as unknown as string]) {
    assert.throws(() => serverTlsOptions(tlsProfiles.secureServer, { ...pair, clientCaPem }), {
      code: "tls.clientCa.missing",
    });
  }
  const issuer = createClientCertificateIssuer(ca);
  const leaf = await issuer.issue({ username: "u", groups: [], notBefore, notAfter });
  const seen = async (clientCaPem: string): Promise<boolean | undefined> => {
    const { server, port } = await listen(
      serverTlsOptions(tlsProfiles.secureServer, { ...pair, clientCaPem }),
    );
    const arrived = once(server, "secureConnection") as Promise<[TLSSocket]>;
    const client = connect({
      host: "127.0.0.1",
      port,
      rejectUnauthorized: false,
      cert: leaf.certificatePem,
      key: leaf.privateKeyPem ?? "",
    });
    client.on("error", () => {});
    const [socket] = await arrived;
    client.destroy();
    assert.notEqual(socket.getPeerX509Certificate(), undefined);
    return socket.authorized;
  };
  assert.equal(await seen(ca.certificatePem), true);
  assert.equal(await seen("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), false);
});

test("narrowing keeps the profile's order, knows the old names, and never empties a profile", async () => {
  const narrowed = narrowCiphers([
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
  ]);
  assert.deepEqual(narrowed.defaultServer.tls12Suites, [
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
  ]);
  assert.deepEqual(narrowed.defaultClient.tls12Suites, narrowed.defaultServer.tls12Suites);
  assert.equal(narrowed.secureServer, tlsProfiles.secureServer);
  assert.deepEqual(narrowCiphers([]), tlsProfiles);
  assert.deepEqual(narrowCiphers(["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]), tlsProfiles);
  const { port } = await listen(whole(narrowed.defaultServer));
  assert.equal(await handshake(port, old("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")), "refused");
  assert.match(await handshake(port, old("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")), /^TLSv1\.2/);
  assert.match(await handshake(port, old("TLSv1.3", "TLS_AES_128_GCM_SHA256")), /^TLSv1\.3/);
});

test("unknown suites are named in the contract's words", () => {
  const list =
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA";
  assert.throws(() => narrowCiphers(["a", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "toString"]), {
    code: "tls.ciphers.unrecognized",
    message: `validate tls: unrecognized ciphers [a, toString], ciphers must be from list [${list}]`,
  });
});

test("system roots are read once; profiles can be logged", () => {
  assert.equal(systemRoots(), systemRoots());
  assert.deepEqual(clientTlsOptions(tlsProfiles.defaultClient, { caPem: "" }).ca, systemRoots());
  assert.equal(describeProfile(tlsProfiles.secureServer), "min TLSv1.3, max TLSv1.3, TLS 1.2 suites: none");
  assert.match(describeProfile(tlsProfiles.defaultServer), /^min TLSv1\.2, .*AES_128_GCM_SHA256, /);
});
