import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import { createCertificateAuthority } from "./certificate-authority.ts";
import { requireCertificateSays } from "./certificate-check.ts";
import { createClientCertificateIssuer } from "./client-certificate.ts";
import { derElement, derObjectIdentifier, derSequence, derSetOf, derTag, derUtf8String } from "./der.ts";

test("a certificate of somebody else, of other groups or of another key is caught", async () => {
  const now = Date.now();
  const validity = { notBefore: new Date(now - 60_000), notAfter: new Date(now + 60_000) };
  const issuer = createClientCertificateIssuer(
    await createCertificateAuthority({ commonName: "ca", ...validity }),
  );
  const issue = async (username: string, groups: readonly string[]) => {
    const { der, certificatePem } = await issuer.issue({ username, groups, ...validity });
    return { der, spki: createPublicKey(certificatePem).export({ format: "der", type: "spki" }) };
  };
  const { der, spki } = await issue("ann", ["b", "a", "b"]);
  requireCertificateSays(der, { username: "ann", groups: ["a", "b", "b"] }, spki);
  for (const [username, ...groups] of [
    ["anna", "a", "b", "b"],
    ["a", "ann", "b", "b"],
    ["ann", "a", "b"],
    ["ann", "a", "a", "b"],
    ["ann", "a", "b", "b", "system:masters"],
    ["ann"],
  ] as const) {
    assert.throws(() => requireCertificateSays(der, { username, groups }, spki), {
      message: "the encoded certificate names another subject than it was asked to",
    });
  }
  const other = await issue("ann", ["b", "a", "b"]);
  assert.throws(() => requireCertificateSays(der, { username: "ann", groups: ["a", "b", "b"] }, other.spki), {
    message: "the encoded certificate does not hold the key that it was asked to",
  });
  assert.throws(() => requireCertificateSays(der.subarray(0, -1), { username: "ann", groups: [] }, spki), {
    code: "der.malformed",
  });
});

test("only names of the form that is minted are taken for what they say", () => {
  const spki = derSequence(derUtf8String("key"));
  const filler = derSequence();
  const attribute = (type: string, value = derUtf8String("ann")): Buffer =>
    derSequence(derObjectIdentifier(type), value);
  const certificate = (...sets: readonly Buffer[]): Buffer =>
    derSequence(
      derSequence(filler, filler, filler, filler, filler, derSequence(...sets), spki, filler),
      filler,
      filler,
    );
  const [CN, O, UID] = ["2.5.4.3", "2.5.4.10", "1.3.6.1.4.1.57683.2"];
  const ann = { username: "ann", groups: [] };
  requireCertificateSays(certificate(derSetOf([attribute(CN)])), ann, spki);
  for (const sets of [
    [],
    [derSetOf([attribute(O)])],
    [derSetOf([attribute(UID)])],
    [derSetOf([attribute(CN)]), derSetOf([attribute(UID)])],
    [derSetOf([attribute(CN)]), derSetOf([attribute(CN)])],
    [derSetOf([attribute(CN)]), derSetOf([attribute(CN, derUtf8String("bob"))])],
    [derSetOf([attribute(CN), attribute(O)])],
    [derSetOf([attribute(CN, derElement(derTag.printableString, Buffer.from("ann")))])],
    [derSetOf([derSequence(derObjectIdentifier(CN), derUtf8String("ann"), derUtf8String("x"))])],
    [derSetOf([derSequence(derObjectIdentifier(CN))])],
  ]) {
    assert.throws(() => requireCertificateSays(certificate(...sets), ann, spki), {
      message: "the encoded certificate names another subject than it was asked to",
    });
  }
});

test("a look at thousands of groups takes no longer for each of them", () => {
  const spki = derSequence(derUtf8String("key"));
  const filler = derSequence();
  const groups = Array.from({ length: 20_000 }, (_, index) => `group-${index}`);
  const subject = derSequence(
    derSetOf(groups.map((group) => derSequence(derObjectIdentifier("2.5.4.10"), derUtf8String(group)))),
    derSetOf([derSequence(derObjectIdentifier("2.5.4.3"), derUtf8String("ann"))]),
  );
  const der = derSequence(
    derSequence(filler, filler, filler, filler, filler, subject, spki, filler),
    filler,
    filler,
  );
  const started = performance.now();
  requireCertificateSays(der, { username: "ann", groups: groups.toReversed() }, spki);
  assert.ok(performance.now() - started < 2000);
});
