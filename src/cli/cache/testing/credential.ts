/* Credentials for the cache's tests: only their dates matter, so nothing in them is signed. */
import { formatSeconds } from "../../../rfc3339.ts";
import type { ClusterCredential } from "../credential.ts";

let serial = 0;

/** A certificate's shape with these dates (milliseconds since the epoch); each one is another. */
export function certificateCredential(
  notBefore: number,
  notAfter: number,
  reportedEnd = notAfter,
): ClusterCredential {
  const number = ++serial;
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1, number >> 16, (number >> 8) & 255, number & 255])),
    der(0x30),
    der(0x30),
    der(0x30, utcTime(notBefore), utcTime(notAfter)),
    der(0x30),
  );
  const signature = Buffer.alloc(24, `signature ${number}`);
  const certificate = der(0x30, body, der(0x30), der(0x03, signature));
  return {
    clientCertificateData: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`,
    clientKeyData: `-----BEGIN PRIVATE KEY-----\nkey ${number}\n-----END PRIVATE KEY-----\n`,
    expirationTimestamp: formatSeconds(reportedEnd),
  };
}

/** An ID token's shape; `issuedAt` and `until` are milliseconds since the epoch. */
export function tokenCredential(issuedAt: number, until: number): ClusterCredential {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iat: Math.floor(issuedAt / 1000), exp: Math.floor(until / 1000), jti: ++serial };
  return {
    token: `${part({ alg: "none" })}.${part(claims)}.c2lnbmF0dXJl${serial}`,
    expirationTimestamp: formatSeconds(until),
  };
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const length = content.length < 0x80 ? [content.length] : [0x82, content.length >> 8, content.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

function utcTime(time: number): Buffer {
  const text = `${new Date(time)
    .toISOString()
    .replaceAll(/[-T:]|\.\d+Z/g, "")
    .slice(2)}Z`;
  return der(0x17, Buffer.from(text));
}
