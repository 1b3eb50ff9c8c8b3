import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  certificateBelowIntermediate,
  testAuthority,
  testClientCertificate,
} from "../../src/concierge/api/testing/harness.ts";
import { certificateOf } from "../../src/concierge/impersonator/testing/pipeline-harness.ts";
import { issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import * as der from "../../src/pki/der.ts";
import { GET, HOST, useIdentityProxy } from "./harness/identity-suite.ts";
import {
  bmpString,
  COMMON_NAME,
  extension,
  oddCertificate,
  ORGANIZATION,
  printableString,
  rsaAuthority,
  t61String,
  withSubject,
} from "./harness/odd-certificates.ts";
import type { OddWish } from "./harness/odd-certificates.ts";

// Field test 23: client certificates of every kind, judged at every request.

const suite = useIdentityProxy();

describe("field 23: client certificates", () => {
  test("wrong CA, expired, not yet valid, for servers only: 401", async () => {
    const { world } = suite.proxy;
    const now = world.clock.now();
    const minutes = (count: number): Date => new Date(now + count * 60_000);
    const signer = world.authorities.signer;
    await suite.refusedUnseen([], await testClientCertificate(await testAuthority("signer"), "alice"));
    await suite.refusedUnseen(
      [],
      await testClientCertificate(signer, "alice", [], { notAfter: minutes(-5) }),
    );
    await suite.refusedUnseen(
      [],
      await testClientCertificate(signer, "alice", [], { notBefore: minutes(5) }),
    );
    const server = await issueServingCertificate(signer, {
      dnsNames: ["alice"],
      ipAddresses: [],
      notBefore: minutes(-5),
      notAfter: minutes(5),
    });
    await suite.refusedUnseen([], { cert: server.certificatePem, key: server.privateKeyPem, sha256Hex: "" });
  });

  test("an intermediate counts as far as it is shown", async () => {
    const below = await certificateBelowIntermediate(suite.proxy.world.authorities.signer, "deep");
    await suite.refusedUnseen([], below);
    await suite.served([], { ...below, cert: below.cert + below.intermediate });
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["deep"]);
  });

  test("500 groups in one certificate", async () => {
    const groups = Array.from({ length: 500 }, (_, index) => `group-${index}`).toSorted();
    await suite.served([], await certificateOf(suite.proxy.world, "many", groups));
    assert.equal(suite.proxy.valuesSeen("impersonate-group").length, 501);
  });
});

describe("field 23: certificates that no issuer of ours makes", () => {
  const CN = [COMMON_NAME, "mallory"] as const;
  const CONSTRAINTS = extension(
    "2.5.29.30",
    // Permitted: the DNS subtree example.org.
    der.derSequence(
      der.derContext(0, der.derSequence(der.derContextPrimitive(2, Buffer.from("example.org")))),
    ),
    true,
  );
  const REFUSED: readonly [name: string, wish: OddWish][] = [
    ["self-signed with a trusted issuer's name", { selfSigned: true }],
    ["signed with SHA-1", { hash: "sha1" }],
    ["for servers only", { usages: ["1.3.6.1.5.5.7.3.1"] }],
    ["with an unknown critical extension", { extensions: [extension("1.2.3.4.5", der.derNull(), true)] }],
    ["with an empty CN", { subject: [[COMMON_NAME, ""]] }],
    ["without any CN", { subject: [[ORGANIZATION, "system:masters"]] }],
    ["with NUL in its CN", { subject: [[COMMON_NAME, "root\0.example"]] }],
    ["with a line break in its CN", { subject: [[COMMON_NAME, "a\r\nImpersonate-Group: system:masters"]] }],
    ["with NUL in a group", { subject: [CN, [ORGANIZATION, "devs\0"]] }],

    ["with two UIDs", { subject: [CN, ["1.3.6.1.4.1.57683.2", "1"], ["1.3.6.1.4.1.57683.2", "2"]] }],
  ];
  for (const [name, wish] of REFUSED) {
    test(`${name}: nobody`, async () => {
      const certificate = oddCertificate(suite.proxy.world.authorities.signer, wish);
      // As nobody it may still be anonymous, where it names nobody at all.
      suite.decide = ({ username }) => ({ allowed: username !== "system:anonymous", reason: "" });
      await suite.refusedUnseen([], certificate);
      assert.ok(!suite.proxy.world.asked.some(({ user }) => user.username.includes("mallory")));
    });
  }

  test("signed with MD5: nobody", async () => {
    const { proxySignerTrust } = suite.proxy.world.state;
    const trusted = proxySignerTrust.current ?? "";
    const authority = rsaAuthority("rsa-signer");
    proxySignerTrust.set(trusted + authority.certificatePem);
    try {
      await suite.served([], oddCertificate(authority));
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["mallory"]);
      const weak = oddCertificate(authority, { hash: "md5" });
      suite.proxy.seen.length = 0;
      // OpenSSL's own client would not even show it at its default level.
      const socket = await suite.proxy.connect(weak, {
        ALPNProtocols: ["http/1.1"],
        ciphers: "DEFAULT@SECLEVEL=0",
      });
      assert.equal((await suite.proxy.raw([GET, HOST], { socket })).status, 401);
      assert.deepEqual(suite.proxy.seen, []);
      socket.destroy();
    } finally {
      proxySignerTrust.set(trusted);
    }
  });

  test("a leaf that is a CA is only itself: what it signs is nobody", async () => {
    const { signer } = suite.proxy.world.authorities;
    const leaf = oddCertificate(signer, { ca: false });
    const below = oddCertificate(leaf, { subject: [[COMMON_NAME, "root"]] });
    await suite.refusedUnseen([], { ...below, cert: below.cert + leaf.cert });
    const authority = oddCertificate(signer, { ca: true });
    await suite.served([], authority);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["mallory"], "as Go has it");
  });

  test("name constraints of an intermediate that cannot be applied refuse", async () => {
    const { signer } = suite.proxy.world.authorities;
    const constrained = oddCertificate(signer, { ca: true, extensions: [CONSTRAINTS] });
    const alternative = extension(
      "2.5.29.17",
      der.derSequence(der.derContextPrimitive(2, Buffer.from("evil.example"))),
    );
    const below = oddCertificate(constrained, { extensions: [alternative] });
    await suite.refusedUnseen([], { ...below, cert: below.cert + constrained.cert });
  });

  for (const [name, wish] of [
    ["of a weak curve", { curve: "secp112r1" }],
    ["of a short RSA key", { rsaBits: 768 }],
  ] satisfies [string, OddWish][]) {
    test(`${name}: nobody, on TLS 1.2 and 1.3`, async () => {
      const weak = oddCertificate(suite.proxy.world.authorities.signer, {
        ...wish,
        subject: [[COMMON_NAME, "weakling"]],
      });
      // A client that does not even show it is anonymous.
      suite.decide = ({ username }) => ({ allowed: username !== "system:anonymous", reason: "" });
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const socket = await suite.proxy
          .connect(weak, { ALPNProtocols: ["http/1.1"], ciphers: "DEFAULT@SECLEVEL=0", maxVersion })
          .catch(() => undefined);
        if (socket === undefined) {
          continue;
        }
        // On TLS 1.3 our side may end the handshake only after the client believes that it is done.
        const status = await suite.proxy.raw([GET, HOST], { socket }).then(
          (answer) => answer.status,
          () => 0,
        );
        assert.ok([0, 401, 403].includes(status), String(status));
        socket.destroy();
      }
      assert.deepEqual(suite.proxy.seen, []);
      assert.ok(!suite.proxy.world.asked.some(({ user }) => user.username === "weakling"));
    });
  }

  test("±5 minutes: valid to its last second, and from its first", async () => {
    const { world } = suite.proxy;
    const minutes = (count: number): Date => new Date(world.clock.now() + count * 60_000);
    const { signer } = world.authorities;
    await suite.served(
      [],
      await testClientCertificate(signer, "edge", [], { notBefore: minutes(-1), notAfter: minutes(1) }),
    );
    const late = await testClientCertificate(signer, "late", [], { notBefore: minutes(4) });
    await suite.refusedUnseen([], late);
    await suite.refusedUnseen([], await testClientCertificate(signer, "gone", [], { notAfter: minutes(-4) }));
  });

  test("a multi-valued RDN, PrintableString, BMPString and T61String are read as Go reads them; of two CNs the last counts", async () => {
    const { signer } = suite.proxy.world.authorities;
    await suite.served(
      [],
      withSubject(signer, [
        [
          [ORGANIZATION, "a"],
          [ORGANIZATION, "b+c"],
          [COMMON_NAME, "multi"],
        ],
      ]),
    );
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["multi"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["a", "b+c", "system:authenticated"]);
    await suite.served([], withSubject(signer, [[COMMON_NAME, printableString("printed")]]));
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["printed"]);
    await suite.served([], withSubject(signer, [[COMMON_NAME, bmpString("b\u00fc")]]));
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), [Buffer.from("b\u00fc").toString("latin1")]);
    await suite.served([], withSubject(signer, [[COMMON_NAME, t61String("b\xfc")]]));
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), [Buffer.from("bü").toString("latin1")]);
    await suite.served(
      [],
      withSubject(signer, [
        [COMMON_NAME, "first"],
        [COMMON_NAME, "second"],
      ]),
    );
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["second"]);
  });

  test("a name that reads like a DN in text stays a name", async () => {
    const { signer } = suite.proxy.world.authorities;
    await suite.served([], withSubject(signer, [[COMMON_NAME, "x, O=system:masters + CN=root"]]));
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["x, O=system:masters + CN=root"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["system:authenticated"]);
  });

  test("1,000 groups in one certificate", async () => {
    const groups = Array.from({ length: 1000 }, (_, index) => `group-${index}`).toSorted();
    await suite.served([], await certificateOf(suite.proxy.world, "many", groups));
    assert.equal(suite.proxy.valuesSeen("impersonate-group").length, 1001);
  });
});
