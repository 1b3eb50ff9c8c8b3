import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { later, PASSWORD_FLOW, SECRETS, useScriptedLogin } from "../../../test/oidc/cli-login-fixture.ts";
import { sendJson } from "../../../test/oidc/tls-server.ts";
import { InteractionRequired } from "../interaction-required.ts";

describe("sessions", { timeout: 80_000 }, () => {
  const at = useScriptedLogin();
  /** What an issuer of whom all is well answers: new tokens for a refresh token, else one for the audience `prod`. */
  const answerGrant: Parameters<typeof at.issuer.answers.set>[1] = async (request, response) =>
    request.form.get("grant_type") === "refresh_token"
      ? sendJson(response, 200, {
          access_token: "new-access",
          expires_in: 120,
          refresh_token: "new-refresh",
          id_token: await at.issuer.sign({}),
        })
      : sendJson(response, 200, {
          access_token: await at.issuer.sign({ aud: ["prod"] }),
          issued_token_type: "urn:ietf:params:oauth:token-type:jwt",
          token_type: "N_A",
        });

  test("a good ID token answers with one log line and no call", async () => {
    const token = await at.issuer.sign({});
    const expiryTimestamp = later(900);
    at.remember({ id: { token, expiryTimestamp, claims: { iat: Date.now() / 1000 } } });
    for (const interactive of [true, false]) {
      at.context.lines.length = 0;
      assert.deepEqual(await at.login.run({ interactive }), {
        idToken: token,
        expirationTimestamp: expiryTimestamp.replace(/\.\d+Z/, "Z"),
      });
      assert.deepEqual(at.context.lines, [
        {
          level: "info",
          message: "Pinniped: Found unexpired cached token.",
          values: { type: "id_token" },
        },
      ]);
    }
    assert.equal(at.issuer.requests.length, 0);
    assert.equal(at.context.errors(), "");
  });

  test("a good access token is exchanged and the result is not kept", async () => {
    at.remember({ access: { token: SECRETS.access, expiryTimestamp: later(60) } });
    const result = await at.login.run({ requestAudience: "prod", interactive: false });
    assert.deepEqual(at.context.lines, [
      {
        level: "info",
        message: "Pinniped: Found unexpired cached token.",
        values: { type: "access_token" },
      },
      { level: "info", message: "Pinniped: Performing OIDC discovery", values: { issuer: at.issuer.url } },
      {
        level: "info",
        message: "Pinniped: Performing RFC8693 token exchange",
        values: { requestedAudience: "prod" },
      },
    ]);
    const exchange = at.issuer.requests.find(({ path }) => path === "/oauth2/token");
    assert.equal(exchange?.headers.authorization, undefined);
    assert.equal(exchange?.headers["content-type"], "application/x-www-form-urlencoded");
    assert.deepEqual(Object.fromEntries(exchange?.form ?? []), {
      audience: "prod",
      client_id: "pinniped-cli",
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      requested_token_type: "urn:ietf:params:oauth:token-type:jwt",
      subject_token: SECRETS.access,
      subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    });
    assert.equal(at.login.sessions.puts.length, 0);
    assert.equal(typeof result.clockOffset, "number");
    assert.deepEqual(
      JSON.parse(Buffer.from(result.idToken.split(".")[1] ?? "", "base64url").toString()).aud,
      ["prod"],
    );
    at.assertNothingSecretWasTold();
  });

  test("a refused access token is replaced by a refresh, once", async () => {
    at.remember({
      access: { token: SECRETS.access, expiryTimestamp: later(60) },
      refresh: { token: SECRETS.refresh },
    });
    let refused = 0;
    at.issuer.answers.set("/oauth2/token", async (request, response) => {
      if (request.form.get("subject_token") === SECRETS.access) {
        refused += 1;
        sendJson(response, 401, { error: "request_unauthorized" });
      } else {
        await answerGrant(request, response);
      }
    });
    await at.login.run({ requestAudience: "prod", interactive: false });
    assert.equal(refused, 1);
    assert.equal(at.login.sessions.only()?.refresh?.token, "new-refresh");
    at.assertNothingSecretWasTold();
  });

  test("an exchange that is refused for other reasons costs no refresh", async () => {
    at.remember({
      access: { token: SECRETS.access, expiryTimestamp: later(60) },
      refresh: { token: SECRETS.refresh },
    });
    for (const [status, error] of [
      [403, "access_denied"],
      [400, "unsupported_grant_type"],
      [500, "server_error"],
    ] as const) {
      at.issuer.requests.length = 0;
      at.issuer.answers.set("/oauth2/token", (_request, response) => sendJson(response, status, { error }));
      await assert.rejects(at.login.run({ requestAudience: "prod" }), {
        message: `failed to exchange token: unexpected HTTP response status ${status}`,
      });
      assert.deepEqual(at.grants(), ["urn:ietf:params:oauth:grant-type:token-exchange"]);
    }
  });

  test("a refresh token that another program used at the same time: the session that it stored is taken", async () => {
    for (const [stored, shown] of [
      // Theirs is as good as ours would have been.
      [
        { access: { token: "their-access", expiryTimestamp: later(120) }, refresh: { token: "theirs" } },
        [SECRETS.refresh, "their-access"],
      ],
      // Its refresh token is used, once.
      [{ refresh: { token: "theirs" } }, [SECRETS.refresh, "theirs", "new-access"]],
    ] as const) {
      at.issuer.requests.length = 0;
      at.remember({ refresh: { token: SECRETS.refresh } });
      at.issuer.answers.set("/oauth2/token", async (request, response) => {
        if (request.form.get("refresh_token") === SECRETS.refresh) {
          sendJson(response, 400, { error: "invalid_grant" });
          // It needs a moment to store what it got.
          setTimeout(() => at.remember(stored), 50);
        } else {
          await answerGrant(request, response);
        }
      });
      await at.login.run({ requestAudience: "prod", interactive: false });
      const tokens = at.issuer.requests
        .filter(({ path }) => path === "/oauth2/token")
        .map(({ form }) => form.get("refresh_token") ?? form.get("subject_token"));
      // A refresh may be tried with and without Basic.
      assert.deepEqual([...new Set(tokens)], shown);
    }
  });

  test("a refresh tries Basic with an empty secret first and keeps the rotated token", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    await at.login.run({ interactive: false });
    assert.deepEqual(at.messages(), [
      "Pinniped: Performing OIDC discovery",
      "Pinniped: Refreshing cached tokens.",
    ]);
    const call = at.issuer.requests.find(({ path }) => path === "/oauth2/token");
    assert.equal(call?.headers.authorization, `Basic ${Buffer.from("pinniped-cli:").toString("base64")}`);
    assert.equal(call?.body, `grant_type=refresh_token&refresh_token=${SECRETS.refresh}`);
    const tokens = at.login.sessions.only();
    assert.match(tokens?.refresh?.token ?? "", /^refresh-refresh_token-/);
    assert.match(tokens?.access?.token ?? "", /^access-refresh_token-/);
    assert.equal(tokens?.access?.type, "bearer");
    const left = Date.parse(tokens?.access?.expiryTimestamp ?? "") - Date.now();
    assert.ok(left > 110_000 && left <= 120_000, `${left}`);
    assert.equal(tokens?.id?.claims?.["username"], "ann");
    assert.equal(
      at.issuer.requests.some(({ path }) => path.includes("identity_providers")),
      false,
    );
    at.assertNothingSecretWasTold();
  });

  test("warnings of the issuer are shown to people, not during an early renewal", async () => {
    at.issuer.answers.set("/oauth2/token", async (_request, response) => {
      response.setHeader(
        "warning",
        '299 - "User \\"ann\\" has been added to the following groups: [\\"a\\"]"',
      );
      sendJson(response, 200, { access_token: "a", expires_in: 60, id_token: await at.issuer.sign({}) });
    });
    at.remember({ refresh: { token: SECRETS.refresh } });
    await at.login.run({ interactive: false });
    assert.equal(at.context.errors(), "");
    at.remember({ refresh: { token: SECRETS.refresh } });
    await at.login.run();
    assert.match(at.context.errors(), /has been added to the following groups/);
  });

  test("a refresh answer without a refresh token keeps the old one", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    at.issuer.tokenAnswer = { refresh_token: undefined, expires_in: undefined };
    await at.login.run({ interactive: false });
    assert.equal(at.login.sessions.only()?.refresh?.token, SECRETS.refresh);
    assert.equal(at.login.sessions.only()?.access?.expiryTimestamp, null);
  });

  test("the second try has the client ID in the form", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    const seen: (string | undefined)[][] = [];
    at.issuer.answers.set("/oauth2/token", async (request, response) => {
      seen.push([request.headers.authorization, request.body]);
      if (request.headers.authorization !== undefined) {
        sendJson(response, 401, { error: "invalid_client" });
        return;
      }
      sendJson(response, 200, { access_token: "a", expires_in: 60, id_token: await at.issuer.sign({}) });
    });
    await at.login.run({ interactive: false });
    assert.deepEqual(seen, [
      [
        `Basic ${Buffer.from("pinniped-cli:").toString("base64")}`,
        `grant_type=refresh_token&refresh_token=${SECRETS.refresh}`,
      ],
      [undefined, `client_id=pinniped-cli&grant_type=refresh_token&refresh_token=${SECRETS.refresh}`],
    ]);
  });

  test("a failed refresh is logged and becomes a full login", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    at.issuer.answers.set("/oauth2/token", async (request, response) => {
      if (request.form.get("grant_type") === "refresh_token") {
        sendJson(response, 400, { error: "invalid_grant", error_description: "gone" });
        return;
      }
      const authorize = at.issuer.requests.find(({ path }) => path === "/oauth2/authorize");
      const nonce = authorize?.query.get("nonce");
      sendJson(response, 200, {
        access_token: "a",
        expires_in: 9,
        id_token: await at.issuer.sign({ nonce }),
      });
    });
    await at.login.run(PASSWORD_FLOW);
    assert.deepEqual(
      at.context.lines.find(({ message }) => message === "Pinniped: Refresh failed.")?.values,
      {
        error: "the token endpoint answered 400 Bad Request: invalid_grant: gone",
      },
    );
    assert.equal(at.login.sessions.only()?.refresh, null);
    at.assertNothingSecretWasTold();
  });

  test("an early renewal never turns into a login", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    at.issuer.answers.set("/oauth2/token", (_request, response) =>
      sendJson(response, 400, { error: "invalid_grant" }),
    );
    await assert.rejects(at.login.run({ interactive: false }), (error) => {
      assert.ok(error instanceof InteractionRequired);
      assert.match(error.message, /^the session could not be refreshed: .*invalid_grant$/);
      return true;
    });
    at.remember({ access: { token: "a", expiryTimestamp: later(1) } });
    at.issuer.requests.length = 0;
    await assert.rejects(at.login.run({ interactive: false }), InteractionRequired);
    assert.equal(at.issuer.requests.length, 0);
    assert.equal(at.context.errors(), "");
  });

  test("a refresh with an invalid ID token is an error, not a login", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    at.issuer.claims = { aud: ["somebody-else"] };
    await assert.rejects(at.login.run(PASSWORD_FLOW), {
      message: 'received invalid ID token: unexpected "aud" claim value',
    });
    assert.equal(
      at.issuer.requests.some(({ path }) => path === "/oauth2/authorize"),
      false,
    );
    assert.equal(at.login.sessions.puts.length, 0);
  });

  test("a rotated refresh token survives a failure of what comes after it", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    at.issuer.answers.set("/jwks.json", (_request, response) => response.writeHead(503).end());
    await assert.rejects(at.login.run({ interactive: false }), {
      message: "received invalid ID token: could not fetch the issuer's keys: 503 Service Unavailable",
    });
    assert.match(at.login.sessions.only()?.refresh?.token ?? "", /^refresh-refresh_token-/);
    assert.equal(at.login.sessions.only()?.id, null);
  });

  test("twenty at once refresh a session once", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    at.issuer.claims = { exp: Math.floor(Date.now() / 1000) + 3600 };
    const results = await Promise.all(Array.from({ length: 20 }, () => at.login.run()));
    assert.equal(new Set(results.map(({ idToken }) => idToken)).size, 1);
    assert.deepEqual(at.grants(), ["refresh_token"]);
  });

  test("a nonce is not asked for after a refresh", async () => {
    at.remember({ refresh: { token: SECRETS.refresh } });
    at.issuer.claims = { nonce: "of-long-ago" };
    await at.login.run({ interactive: false });
  });
});
