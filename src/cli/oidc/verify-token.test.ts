import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { exportJWK, generateKeyPair } from "jose";
import { PASSWORD_FLOW, useScriptedLogin } from "../../../test/oidc/cli-login-fixture.ts";
import { sendJson } from "../../../test/oidc/tls-server.ts";
import { systemClock } from "../../clock.ts";

describe("tokens", { timeout: 80_000 }, () => {
  const at = useScriptedLogin();

  const now = (): number => Math.floor(Date.now() / 1000);
  const rows: readonly [name: string, arrange: () => void, message: string | RegExp | undefined][] = [
    [
      "no ID token",
      () => (at.issuer.tokenAnswer = { id_token: undefined }),
      "received response missing ID token",
    ],
    ["no JWT", () => (at.issuer.tokenAnswer = { id_token: "abc" }), /^received invalid ID token: /],
    [
      "a foreign signature",
      () => (at.issuer.foreignKey = true),
      "received invalid ID token: signature verification failed",
    ],
    [
      "another issuer",
      () => (at.issuer.claims = { iss: "https://x" }),
      /^received invalid ID token: unexpected "iss"/,
    ],
    [
      "another audience",
      () => (at.issuer.claims = { aud: ["x"] }),
      /^received invalid ID token: unexpected "aud"/,
    ],
    ["several audiences", () => (at.issuer.claims = { aud: ["x", "pinniped-cli"] }), undefined],
    [
      "no end",
      () => (at.issuer.claims = { exp: undefined }),
      /^received invalid ID token: missing required "exp"/,
    ],
    ["an end 61 s ago", () => (at.issuer.claims = { exp: now() - 62 }), /^received invalid ID token: "exp"/],
    ["an end within the leeway", () => (at.issuer.claims = { exp: now() - 50 }), undefined],
    ["a start in 62 s", () => (at.issuer.claims = { nbf: now() + 65 }), /^received invalid ID token: "nbf"/],
    ["a start within the leeway", () => (at.issuer.claims = { nbf: now() + 50 }), undefined],
    [
      "another at_hash",
      () => (at.issuer.claims = { at_hash: "AAAAAAAAAAAAAAAAAAAAAA" }),
      "received invalid ID token: access token hash does not match value in ID token",
    ],
    [
      "another nonce",
      () => (at.issuer.claims = { nonce: "forged" }),
      /^received ID token with invalid nonce: invalid nonce \(expected "[0-9a-f]{32}", got "forged"\)$/,
    ],
    [
      "no nonce",
      () => (at.issuer.claims = { nonce: undefined }),
      /^received ID token with invalid nonce: invalid nonce \(expected "[0-9a-f]{32}", got ""\)$/,
    ],
    [
      "no access token",
      () => (at.issuer.tokenAnswer = { access_token: undefined }),
      /holds no access token$/,
    ],
  ];
  for (const [name, arrange, message] of rows) {
    test(`an answer with ${name}`, async () => {
      arrange();
      if (message === undefined) {
        await at.login.run(PASSWORD_FLOW);
        return;
      }
      const prefixed =
        typeof message === "string"
          ? `could not complete authorization code exchange: ${message}`
          : new RegExp(message.source.replace(/^\^/, "^could not complete authorization code exchange: "));
      await assert.rejects(at.login.run(PASSWORD_FLOW), { message: prefixed });
      assert.equal(at.login.sessions.puts.length, 0);
      at.assertNothingSecretWasTold();
    });
  }

  test("a right at_hash", async () => {
    const hash = createHash("sha256").update("chosen").digest();
    at.issuer.tokenAnswer = { access_token: "chosen" };
    at.issuer.claims = { at_hash: hash.subarray(0, 16).toString("base64url") };
    await at.login.run(PASSWORD_FLOW);
  });

  test("several keys without names are tried in turn", async () => {
    const other = await exportJWK((await generateKeyPair("ES256", { extractable: true })).publicKey);
    const own: { keys: unknown[] } = { keys: [] };
    at.issuer.answers.set("/jwks.json", (_request, response) => sendJson(response, 200, own));
    own.keys = [other, at.issuer.publicJwk];
    await at.login.run(PASSWORD_FLOW);
    own.keys = [other, other];
    await assert.rejects(
      at.login.run({ ...PASSWORD_FLOW, scopes: ["openid"] }),
      /signature verification failed/,
    );
  });

  test("a client whose clock is wrong by minutes goes by the issuer's Date", async () => {
    for (const minutes of [-4, 4]) {
      at.prepare({ clock: { ...systemClock, now: () => Date.now() + minutes * 60_000 } });
      const { clockOffset } = await at.login.run(PASSWORD_FLOW);
      assert.ok(Math.abs((clockOffset ?? 0) + minutes * 60_000) < 3000, `${clockOffset}`);
    }
  });

  test("user info is asked for, must be of the same subject, and is merged", async () => {
    at.issuer.metadata = { userinfo_endpoint: `${at.issuer.url}/userinfo` };
    let subject = "ann";
    at.issuer.answers.set("/userinfo", (request, response) => {
      assert.match(request.headers.authorization ?? "", /^Bearer access-/i);
      response.setHeader("audit-id", "a-9");
      sendJson(response, subject === "" ? 500 : 200, {
        sub: subject,
        email: "ann@example.com",
        iss: "forged",
      });
    });
    await at.login.run(PASSWORD_FLOW);
    assert.equal(at.login.sessions.only()?.id?.claims?.["email"], "ann@example.com");
    assert.equal(at.login.sessions.only()?.id?.claims?.["iss"], at.issuer.url);
    subject = "bob";
    await assert.rejects(at.login.run({ ...PASSWORD_FLOW, scopes: ["openid"] }), {
      message:
        /^could not complete authorization code exchange: could not fetch user info claims: .*sub.*\(audit ID a-9\)$/,
    });
    subject = "";
    await assert.rejects(at.login.run({ ...PASSWORD_FLOW, scopes: ["openid"] }), {
      message: /could not fetch user info claims: .*500.*\(audit ID a-9\)$/,
    });
  });
});
