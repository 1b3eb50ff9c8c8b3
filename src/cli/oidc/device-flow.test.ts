import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { TestLogin } from "../../../test/oidc/cli-login.ts";
import { createTestLogin } from "../../../test/oidc/cli-login.ts";
import type { ScriptedIssuer } from "../../../test/oidc/cli-scripted-issuer.ts";
import { startScriptedIssuer } from "../../../test/oidc/cli-scripted-issuer.ts";
import { sendJson } from "../../../test/oidc/tls-server.ts";
import { systemClock } from "../../clock.ts";
import type { TestContext } from "../http/testing/context.ts";
import { createTestContext } from "../http/testing/context.ts";

const STARTED = {
  device_code: "secret-device-code",
  user_code: "WDJB-MJHT",
  verification_uri: "https://issuer.example.com/device",
  expires_in: 100,
};

describe("device authorization", { timeout: 80_000 }, () => {
  let issuer: ScriptedIssuer;
  let context: TestContext;
  let login: TestLogin;
  let waits: number[];
  let elapsed: number;
  let script: (readonly [status: number, error: string] | "tokens" | "cut")[];

  before(async () => {
    issuer = await startScriptedIssuer();
  });
  after(() => issuer.stop());
  beforeEach(() => {
    issuer.requests.length = 0;
    issuer.answers.clear();
    issuer.metadata = { device_authorization_endpoint: `${issuer.url}/device` };
    waits = [];
    elapsed = 0;
    script = [];
    issuer.answers.set("/device", (_request, response) => sendJson(response, 200, STARTED));
    issuer.answers.set("/oauth2/token", async (_request, response) => {
      const next = script.shift();
      if (next === "cut" || next === undefined) {
        response.destroy();
      } else if (next === "tokens") {
        sendJson(response, 200, {
          access_token: "secret-access",
          token_type: "bearer",
          expires_in: 60,
          id_token: await issuer.sign({ iat: undefined, exp: Math.floor(Date.now() / 1000) + 4000 }),
        });
      } else {
        response.setHeader("audit-id", "a-5");
        sendJson(response, next[0], { error: next[1], error_description: "as it says" });
      }
    });
    // The issuer's clock and ours go together: only the wait is skipped.
    context = createTestContext({
      clock: {
        ...systemClock,
        now: () => Date.now() + elapsed,
        sleep: (milliseconds) => {
          waits.push(milliseconds / 1000);
          elapsed += milliseconds;
          return Promise.resolve();
        },
      },
    });
    login = createTestLogin(context, issuer);
  });

  test("waits as the issuer says, longer when told to, and through outages", async () => {
    script = [
      [400, "authorization_pending"],
      [400, "slow_down"],
      [400, "authorization_pending"],
      "cut",
      "tokens",
    ];
    await login.run({ deviceCode: true });
    assert.deepEqual(waits, [5, 5, 10, 10, 15]);
    const [start, ...polls] = issuer.requests.filter(({ method }) => method === "POST");
    assert.deepEqual(Object.fromEntries(start?.form ?? []), {
      client_id: "pinniped-cli",
      scope: "groups offline_access openid pinniped:request-audience username",
    });
    assert.equal(polls.length, 5);
    for (const poll of polls) {
      assert.equal(poll.headers.authorization, undefined);
      assert.deepEqual(Object.fromEntries(poll.form), {
        client_id: "pinniped-cli",
        device_code: "secret-device-code",
        grant_type: "urn:ietf:params:oauth:grant-type:device_code",
      });
    }
    assert.equal(
      context.errors(),
      "Log in with a browser on any machine by visiting this link:\n\n    https://issuer.example.com/device\n\nand entering this code:\n\n    WDJB-MJHT\n\n",
    );
    assert.doesNotMatch(context.errors() + JSON.stringify(context.lines), /secret|eyJ/);
  });

  test("the issuer's own interval counts", async () => {
    issuer.answers.set("/device", (_request, response) =>
      sendJson(response, 200, { ...STARTED, interval: 1 }),
    );
    script = [[400, "authorization_pending"], "tokens"];
    await login.run({ deviceCode: true });
    assert.deepEqual(waits, [1, 1]);
  });

  const ends: readonly [name: string, answers: typeof script, message: string | RegExp][] = [
    [
      "a refusal",
      [[400, "access_denied"]],
      "the login by device code was refused: the token endpoint answered 400 Bad Request: access_denied: as it says (audit ID a-5)",
    ],
    [
      "an expired code",
      [[400, "expired_token"]],
      "the device code has expired: nobody logged in with it in time; start again",
    ],
    [
      "another error",
      [[400, "invalid_client"]],
      "the login by device code failed: the token endpoint answered 400 Bad Request: invalid_client: as it says (audit ID a-5)",
    ],
    [
      "nobody in time",
      Array.from({ length: 30 }, () => [400, "authorization_pending"] as const),
      "the device code has expired: nobody logged in with it in time; start again",
    ],
  ];
  for (const [name, answers, message] of ends) {
    test(`${name} ends it`, async () => {
      script = [...answers];
      await assert.rejects(login.run({ deviceCode: true }), { message });
      assert.ok(waits.length <= 20);
    });
  }

  test("a start that fails", async () => {
    issuer.answers.set("/device", (_request, response) => {
      response.setHeader("audit-id", "a-6");
      sendJson(response, 401, { error: "unauthorized_client", error_description: "not this one" });
    });
    await assert.rejects(login.run({ deviceCode: true }), {
      message: "could not start a login by device code: unauthorized_client: not this one (audit ID a-6)",
    });
  });

  test("an issuer that does not offer it", async () => {
    issuer.metadata = {};
    await assert.rejects(login.run({ deviceCode: true }), {
      message: `a login by device code was asked for, but OIDC issuer "${issuer.url}" does not offer it: its discovery document has no device_authorization_endpoint`,
    });
  });

  test("is never begun by an early renewal", async () => {
    await assert.rejects(login.run({ deviceCode: true, interactive: false }), /must log in again/);
    assert.equal(issuer.requests.length, 0);
  });

  test("an abort ends it", async () => {
    const caller = new AbortController();
    script = [[400, "authorization_pending"]];
    issuer.answers.set("/device", (_request, response) => {
      sendJson(response, 200, STARTED);
      caller.abort();
    });
    await assert.rejects(login.run({ deviceCode: true, signal: caller.signal }), /./);
    assert.ok(waits.length <= 1);
  });
});
