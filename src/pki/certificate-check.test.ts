import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import { createCertificateAuthority } from "./certificate-authority.ts";
import { requireCertificateSays } from "./certificate-check.ts";
import { createClientCertificateIssuer } from "./client-certificate.ts";

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
