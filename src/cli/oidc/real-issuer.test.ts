import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { browse } from "../../../test/oidc/cli-browser.ts";
import type { CliIssuer } from "../../../test/oidc/cli-issuer.ts";
import { startCliIssuer } from "../../../test/oidc/cli-issuer.ts";
import type { TestLogin } from "../../../test/oidc/cli-login.ts";
import { createTestLogin } from "../../../test/oidc/cli-login.ts";
import { systemClock } from "../../clock.ts";
import type { CommandContext } from "../context.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { TestContext } from "../http/testing/context.ts";
import { createTestContext } from "../http/testing/context.ts";
import type { OidcLoginOptions } from "./login.ts";
import { revokeSession } from "./revoke.ts";

describe("against certified issuer code", { timeout: 80_000 }, () => {
  let issuer: CliIssuer;
  let context: TestContext;
  let login: TestLogin;
  let options: Partial<OidcLoginOptions>;

  before(async () => {
    issuer = await startCliIssuer();
    options = { clientId: issuer.clientId, scopes: ["openid", "offline_access"] };
  });
  after(() => issuer.stop());
  beforeEach(() => prepare());
  afterEach(() => {
    const session = login.sessions.only();
    const told = context.errors() + context.output() + JSON.stringify(context.lines);
    for (const secret of [session?.id?.token, session?.access?.token, session?.refresh?.token]) {
      assert.equal(secret !== undefined && told.includes(secret), false);
    }
  });

  function prepare(changes: Partial<CommandContext> = {}): void {
    context = createTestContext(changes);
    login = createTestLogin(context, issuer, {
      openBrowser: async (_context, url) => {
        const page = await browse(url, { caPem: issuer.caPem, fields: { username: "ann" } });
        assert.equal(page.text, "you have been logged in and may now close this tab");
      },
    });
  }

  test("code flow with PKCE and form_post, then refreshes with rotation", async () => {
    const first = await login.run(options);
    const session = login.sessions.only();
    assert.match(context.errors(), /response_mode=form_post/);
    assert.equal(session?.id?.claims?.["username"], "ann");
    assert.deepEqual(session?.id?.claims?.["groups"], ["developers"]);
    assert.equal(typeof first.clockOffset, "number");

    expire();
    const second = await login.run({ ...options, interactive: false });
    assert.notEqual(second.idToken, first.idToken);
    const rotated = login.sessions.only()?.refresh?.token;
    assert.notEqual(rotated, session?.refresh?.token);
    expire();
    await login.run({ ...options, interactive: false });
    assert.notEqual(login.sessions.only()?.refresh?.token, rotated);
  });

  test("a plain issuer without user info, by query", async (t) => {
    const plain = await startCliIssuer({ plain: true, idTokenSeconds: 90 });
    t.after(() => plain.stop());
    const other = createTestLogin(context, plain, {
      openBrowser: async (_context, url) => {
        const query = new URL(url);
        query.searchParams.delete("response_mode");
        await browse(query.href, { caPem: plain.caPem, fields: { username: "bob" } });
      },
    });
    const { expirationTimestamp } = await other.run(options);
    const left = Date.parse(expirationTimestamp) - Date.now();
    assert.ok(left > 80_000 && left <= 90_000, `${left}`);
    assert.equal(other.sessions.only()?.id?.claims?.["username"], "bob");
  });

  test("the device grant: code and link are shown, the person logs in elsewhere", async () => {
    const waits: number[] = [];
    prepare({
      environment: { LANYARD_DEVICE_CODE: "true" },
      clock: {
        ...systemClock,
        sleep: async (milliseconds) => {
          waits.push(milliseconds);
          if (waits.length === 2) {
            const link = /with the code in it:\n\n {4}(?<link>\S+)\n/.exec(context.errors())?.groups?.[
              "link"
            ];
            const page = await browse(link ?? "", { caPem: issuer.caPem, fields: { username: "carol" } });
            assert.equal(page.text, "logged in");
          }
        },
      },
    });
    await login.run(options);
    assert.equal(login.sessions.only()?.id?.claims?.["username"], "carol");
    assert.equal(typeof login.sessions.only()?.refresh?.token, "string");
    assert.deepEqual(waits, [5000, 5000]);
    assert.match(
      context.errors(),
      /^Log in with a browser on any machine by visiting this link:\n\n {4}https:\S+\/device\n\nand entering this code:\n\n {4}[A-Z-]{9}\n\n/,
    );
  });

  test("revocation ends both tokens at the issuer", async () => {
    await login.run(options);
    const [entry] = await login.sessions.list();
    assert.ok(entry !== undefined);
    const results = await revokeSession(context, { ...entry, caBundlePem: issuer.caPem }, createHttpClient);
    assert.deepEqual(results, [
      { token: "refresh", outcome: "revoked" },
      { token: "access", outcome: "revoked" },
    ]);
    expire();
    await assert.rejects(
      login.run({ ...options, interactive: false }),
      /could not be refreshed: .*invalid_grant/,
    );
  });

  test("revocation where it is not offered, or the issuer is away", async (t) => {
    const plain = await startCliIssuer({ plain: true });
    t.after(() => plain.stop());
    const key = { issuer: plain.url, clientID: plain.clientId };
    const tokens = { refresh: { token: "r" }, access: { token: "a", expiryTimestamp: null } };
    const reason = "the issuer's discovery document has no revocation_endpoint";
    assert.deepEqual(await revokeSession(context, { key, tokens, caBundlePem: plain.caPem }), [
      { token: "refresh", outcome: "not-offered", reason },
      { token: "access", outcome: "not-offered", reason },
    ]);
    await plain.stop();
    const [failed] = await revokeSession(context, { key, tokens, caBundlePem: plain.caPem });
    assert.equal(failed?.outcome, "failed");
    assert.match(failed?.reason ?? "", /could not perform OIDC discovery .*connection refused/);
    assert.deepEqual(await revokeSession(context, { key, tokens: { id: null } }), []);
  });

  /** Makes the session's ID and access token old. */
  function expire(): void {
    for (const [name, { key, tokens }] of login.sessions.sessions) {
      login.sessions.sessions.set(name, { key, tokens: { refresh: tokens.refresh ?? null } });
    }
  }
});
