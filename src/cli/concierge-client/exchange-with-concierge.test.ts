import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { after, test } from "node:test";
import type { CommandContext } from "../context.ts";
import { createTestContext } from "../http/testing/context.ts";
import { exchangeToken, type ExchangeOptions } from "./exchange-token.ts";
import { startStandaloneConcierge } from "./testing/standalone-concierge.ts";

// The real program in standalone mode: what the client believes about it must be so.
const concierge = await startStandaloneConcierge();
after(() => concierge.stop());
const { token } = concierge;

function exchange(
  options: Partial<ExchangeOptions>,
  overrides: Partial<CommandContext> = {},
): ReturnType<typeof exchangeToken> {
  return exchangeToken(createTestContext(overrides), {
    parameters: {
      endpoint: concierge.endpoint,
      caPem: concierge.caPem,
      authenticatorKind: "JWTAuthenticator",
      authenticatorName: concierge.authenticator,
      apiGroupSuffix: "pinniped.dev",
    },
    token: "",
    interactive: true,
    signal: new AbortController().signal,
    ...options,
  });
}

test("the Concierge certifies the key made here, and the answer's clock is measured", async () => {
  const issued = await exchange(
    { token: await token() },
    { environment: { LANYARD_REQUIRE_LOCAL_KEY: "true" } },
  );
  const { clientCertificateData = "", clientKeyData = "", expirationTimestamp = "" } = issued.credential;
  const certificate = new X509Certificate(clientCertificateData);
  assert.match(certificate.subject, /CN=ann/);
  assert.ok(certificate.checkPrivateKey(createPrivateKey(clientKeyData)));
  assert.equal(issued.credential.token, undefined);
  assert.ok(Math.abs(issued.clockOffset ?? Infinity) <= 2000, String(issued.clockOffset));
  assert.ok(Math.abs((issued.issuedAt ?? 0) - Date.now()) < 10_000);
  const lead = certificate.validToDate.getTime() - Date.parse(expirationTimestamp);
  assert.ok(lead > 0 && lead <= 55_000, String(lead));
});

test("a lifetime is asked for and given within the bounds", async () => {
  const issued = await exchange({ token: await token(), lifetimeSeconds: 120 });
  const certificate = new X509Certificate(issued.credential.clientCertificateData ?? "");
  const seconds = (certificate.validToDate.getTime() - Date.now()) / 1000;
  assert.ok(seconds > 100 && seconds <= 121, String(seconds));
});

test("a lifetime that is not fit is an error in the Concierge's words", async () => {
  await assert.rejects(
    exchange({ token: await token(), lifetimeSeconds: 30 }),
    /^CommandError: could not login: .*spec\.expirationSeconds.*\(audit ID [\w-]+\)$/,
  );
});

test("a bad token is refused with an audit ID", async () => {
  await assert.rejects(
    exchange({ token: "not-a-token" }),
    /^CommandError: login failed: authentication failed \(audit ID [\w-]+\)$/,
  );
});
