// The cipher and protocol matrix of the proxy's port, by the scanner that contract 8.3 quotes.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { startProxy, startRawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";
import type { ProxyHarness, ProxyHarnessOptions } from "../../src/concierge/impersonator/testing/harness.ts";
import { narrowCiphers } from "../../src/tls/profiles.ts";

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

const SUITES = (key: string): string[] => [
  `TLS_ECDHE_${key}_WITH_AES_128_GCM_SHA256 (secp256r1) - A`,
  `TLS_ECDHE_${key}_WITH_AES_256_GCM_SHA384 (secp256r1) - A`,
  `TLS_ECDHE_${key}_WITH_CHACHA20_POLY1305_SHA256 (secp256r1) - A`,
];
const TLS13 = [
  "TLSv1.3:",
  "ciphers:",
  "TLS_AKE_WITH_AES_128_GCM_SHA256 (ecdh_x25519) - A",
  "TLS_AKE_WITH_AES_256_GCM_SHA384 (ecdh_x25519) - A",
  "TLS_AKE_WITH_CHACHA20_POLY1305_SHA256 (ecdh_x25519) - A",
  "cipher preference: server",
  "least strength: A",
];

async function nmap(port: number): Promise<string[]> {
  const { stdout } = await promisify(execFile)("nmap", [
    "--script",
    "ssl-enum-ciphers",
    "-Pn",
    "-p",
    String(port),
    "127.0.0.1",
  ]);
  const lines = stdout.split("\n").map((line) => line.replace(/^\|[_ ]*/, "").trim());
  const from = lines.findIndex((line) => line === "ssl-enum-ciphers:");
  return lines.slice(from + 1, lines.findIndex((line) => line.startsWith("least strength")) + 1);
}

test("the cipher matrix is textually that of contract 8.3", async () => {
  const proxy = await started();
  assert.deepEqual(await nmap(proxy.port), [
    "TLSv1.2:",
    "ciphers:",
    ...SUITES("ECDSA"),
    ...SUITES("RSA"),
    "compressors:",
    "NULL",
    "cipher preference: client",
    ...TLS13,
  ]);
});

test("allowed ciphers narrow TLS 1.2 only (contract 8.2)", async () => {
  const { defaultServer } = narrowCiphers([
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  ]);
  const proxy = await started({ serverTlsProfile: defaultServer });
  assert.deepEqual(await nmap(proxy.port), [
    "TLSv1.2:",
    "ciphers:",
    ...SUITES("ECDSA").slice(1),
    "compressors:",
    "NULL",
    "cipher preference: client",
    ...TLS13,
  ]);
});
