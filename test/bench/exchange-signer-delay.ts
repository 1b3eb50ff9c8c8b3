import { execFileSync } from "node:child_process";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { createCertificateAuthority } from "../../src/pki/certificate-authority.ts";
import { createClientCertificateIssuer } from "../../src/pki/client-certificate.ts";
import type { KeyPairPem } from "../../src/pki/key-pair.ts";

const PER_SECOND = 200;
const SECONDS = 10;
const USER = { username: "jane.doe@example.com", groups: ["developers", "on-call", "team-7"] };
const HOUR = 3_600_000;

/**
 * How long certificates hold up the event loop when the CA's key is P-256, signed with on the loop, and when it is RSA-4096, whose
 * signatures take milliseconds and have to be made elsewhere (L1). Both at the rate of an open loop, one after the other.
 */
export async function benchSignerDelay(): Promise<void> {
  const p256 = await loopDelay(await p256Authority());
  const rsa = await loopDelay(rsaAuthority());
  console.log(
    `event loop delay at ${PER_SECOND} certificates/s, p99: CA with P-256 ${p256.toFixed(1)} ms, with RSA-4096 ${rsa.toFixed(1)} ms`,
  );
}

/** The 99th percentile in milliseconds, of what timers are late beyond their own resolution. */
async function loopDelay(authority: KeyPairPem): Promise<number> {
  const issuer = createClientCertificateIssuer(authority);
  const now = Date.now();
  const request = { ...USER, notBefore: new Date(now - 60_000), notAfter: new Date(now + 300_000) };
  await issuer.issue(request);
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MILLISECONDS });
  const issued: Promise<unknown>[] = [];
  const started = performance.now();
  histogram.enable();
  for (let index = 0; index < PER_SECOND * SECONDS; index++) {
    const due = started + (index * 1000) / PER_SECOND;
    while (performance.now() < due) {
      await delay(1);
    }
    issued.push(issuer.issue(request));
  }
  histogram.disable();
  await Promise.all(issued);
  return Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MILLISECONDS);
}

const RESOLUTION_MILLISECONDS = 1;

function p256Authority(): Promise<KeyPairPem> {
  const now = Date.now();
  return createCertificateAuthority({
    commonName: "bench",
    notBefore: new Date(now - HOUR),
    notAfter: new Date(now + HOUR),
  });
}

function rsaAuthority(): KeyPairPem {
  const pem = execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "rsa:4096", "-nodes", "-keyout", "-", "-subj", "/CN=bench", "-days", "1"],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  const certificateAt = pem.indexOf("-----BEGIN CERTIFICATE-----");
  const keyAt = pem.indexOf("-----BEGIN PRIVATE KEY-----");
  const [certificatePem, privateKeyPem] =
    keyAt < certificateAt
      ? [pem.slice(certificateAt), pem.slice(keyAt, certificateAt)]
      : [pem.slice(certificateAt, keyAt), pem.slice(keyAt)];
  return { certificatePem, privateKeyPem };
}
