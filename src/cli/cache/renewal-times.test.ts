import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import { certificateDates, tokenDates } from "./credential-dates.ts";
import { overlapFromEnvironment, renewalTimes, roundUpToSecond } from "./renewal-times.ts";
import { certificateCredential, tokenCredential } from "./testing/credential.ts";

const NOW = Date.UTC(2026, 4, 1, 12);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Seconds from the issue to hardExp and renewAt. */
function seconds(
  lifetime: number,
  more: Partial<Parameters<typeof renewalTimes>[0]> = {},
): readonly number[] {
  const times = renewalTimes({
    credential: certificateCredential(NOW - 5 * MINUTE, NOW + lifetime),
    fromConcierge: true,
    ...more,
  });
  assert.ok(times);
  return [(times.hardExpiry - NOW) / 1000, (times.renewAt - NOW) / 1000];
}

describe("the table of contract cli.md 13.3", () => {
  for (const [name, lifetime, hardExpiry, renewAt] of [
    ["5 min", 5 * MINUTE, 290, 200],
    ["2 min", 2 * MINUTE, 110, 74],
    ["1 h", HOUR, 3590, 3470],
  ] as const) {
    test(`column ${name}`, () => {
      assert.deepEqual(seconds(lifetime), [hardExpiry, renewAt]);
      const token = renewalTimes({ credential: tokenCredential(NOW, NOW + lifetime), fromConcierge: false });
      assert.deepEqual(token, {
        hardExpiry: NOW + hardExpiry * 1000,
        renewAt: NOW + renewAt * 1000,
        clockOffset: 0,
      });
    });
  }

  test("very short lives are used for half of them", () => {
    assert.deepEqual(seconds(40_000), [30, 20]);
    assert.deepEqual(seconds(60_000), [50, 32]);
  });

  test("nobody is told more than the server reported", () => {
    const credential = certificateCredential(NOW - 5 * MINUTE, NOW + 5 * MINUTE, NOW + 100_000);
    assert.deepEqual(seconds(0, { credential }), [290, 100]);
  });

  test("a server that is ahead shortens what is left, one that is behind lengthens it; 2 s cannot be told from none", () => {
    assert.deepEqual(seconds(5 * MINUTE, { clockOffset: 6_000 }), [284, 194]);
    assert.deepEqual(seconds(5 * MINUTE, { clockOffset: -6_000 }), [296, 206]);
    assert.deepEqual(seconds(5 * MINUTE, { clockOffset: 2_000 }), [290, 200]);
    assert.deepEqual(seconds(5 * MINUTE, { clockOffset: -2_000 }), [290, 200]);
  });

  test("without a Concierge only the token counts, unless clocks differ by more than a minute", () => {
    const credential = tokenCredential(NOW, NOW + 5 * MINUTE);
    const plain = renewalTimes({ credential, fromConcierge: false });
    assert.deepEqual(
      renewalTimes({
        credential,
        fromConcierge: false,
        clockOffset: -60_000,
        issuedAt: NOW - 30_000,
        storedAt: NOW + 9,
      }),
      plain,
    );
    assert.equal(
      renewalTimes({ credential, fromConcierge: false, clockOffset: 61_000 })?.renewAt,
      NOW + 200_000 - 61_000,
    );
  });

  test("the issue is told by Date, else by NotBefore and the usual backdating, as far as that makes sense", () => {
    const credential = certificateCredential(NOW, NOW + 100_000);
    // Not backdated: five minutes after NotBefore would be after its end.
    assert.deepEqual(seconds(0, { credential }), [90, 60]);
    assert.deepEqual(seconds(0, { credential, issuedAt: NOW }), [90, 60]);
    assert.deepEqual(
      seconds(0, { credential: certificateCredential(NOW - HOUR, NOW + 5 * MINUTE), issuedAt: NOW }),
      [290, 200],
    );
  });

  test("what is opaque is judged by the reported end", () => {
    const credential = { token: "opaque", expirationTimestamp: new Date(NOW + 5 * MINUTE).toISOString() };
    const times = { hardExpiry: NOW + 290_000, renewAt: NOW + 200_000, clockOffset: 0 };
    assert.deepEqual(renewalTimes({ credential, fromConcierge: true, issuedAt: NOW }), times);
    assert.deepEqual(renewalTimes({ credential, fromConcierge: true, storedAt: NOW }), times);
    assert.equal(renewalTimes({ credential: { token: "opaque" }, fromConcierge: true }), undefined);
  });

  test("the overlap can be set, but never to more than half of a life", () => {
    assert.deepEqual(seconds(5 * MINUTE, { overlap: 30_000 }), [290, 260]);
    assert.deepEqual(seconds(5 * MINUTE, { overlap: 0 }), [290, 290]);
    assert.deepEqual(seconds(5 * MINUTE, { overlap: HOUR }), [290, 150]);
    assert.equal(overlapFromEnvironment({ LANYARD_RENEW_OVERLAP: "1m30s" }), 90_000);
    assert.equal(overlapFromEnvironment({ LANYARD_RENEW_OVERLAP: "" }), undefined);
    for (const value of ["90", "-5s", "soon"]) {
      assert.throws(() => overlapFromEnvironment({ LANYARD_RENEW_OVERLAP: value }), {
        code: "cli.renew-overlap",
      });
    }
  });

  test("ends are rounded up to whole seconds", () => {
    assert.equal(roundUpToSecond(NOW + 1), NOW + 1000);
    assert.equal(roundUpToSecond(NOW), NOW);
  });
});

describe("dates in credentials", () => {
  test("of a real certificate equal OpenSSL's; of a chain the first counts", async () => {
    const authority = await createCertificateAuthority({
      commonName: "a test",
      notBefore: new Date(NOW),
      notAfter: new Date(NOW + HOUR),
    });
    const { certificatePem: certificate } = authority;
    const parsed = new X509Certificate(certificate);
    assert.deepEqual(certificateDates(certificate), {
      from: Date.parse(parsed.validFrom),
      until: Date.parse(parsed.validTo),
    });
    const first = certificateCredential(NOW, NOW + MINUTE).clientCertificateData ?? "";
    assert.equal(certificateDates(first + certificate)?.until, NOW + MINUTE);
  });

  test("what is no certificate or no token has none", () => {
    const pem = certificateCredential(NOW, NOW + MINUTE).clientCertificateData ?? "";
    const [begin, body = "", end] = pem.split("\n");
    for (let length = 0; length < body.length - 50; length += 4) {
      assert.equal(certificateDates([begin, body.slice(0, length), end].join("\n")), undefined);
    }
    assert.equal(certificateDates("no PEM"), undefined);
    for (const token of [
      "",
      "a.b",
      "a.b.c",
      "a.bnVsbA.c",
      "a.e30.c",
      `a.${Buffer.from('{"exp":"1"}').toString("base64url")}.c`,
    ]) {
      assert.equal(tokenDates(token), undefined);
    }
  });
});
