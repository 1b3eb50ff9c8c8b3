import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { TestLogin } from "../../../test/oidc/cli-login.ts";
import { createScriptedTerminal, createTestLogin } from "../../../test/oidc/cli-login.ts";
import type { ScriptedIssuer } from "../../../test/oidc/cli-scripted-issuer.ts";
import { startScriptedIssuer } from "../../../test/oidc/cli-scripted-issuer.ts";
import { sendJson } from "../../../test/oidc/tls-server.ts";
import { createManualClock, systemClock } from "../../clock.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { TestContext } from "../http/testing/context.ts";
import { createTestContext } from "../http/testing/context.ts";
import type { OidcLoginParts } from "./login-call.ts";

const PROMPT = "    Optionally, paste your authorization code: ";

describe("a login in the browser", { timeout: 80_000 }, () => {
  let issuer: ScriptedIssuer;
  let context: TestContext;
  let login: TestLogin;
  let opened: string[];
  let testEnd: AbortController;

  before(async () => {
    issuer = await startScriptedIssuer();
  });
  after(() => issuer.stop());
  beforeEach(() => {
    issuer.requests.length = 0;
    issuer.answers.clear();
    issuer.metadata = {};
    opened = [];
    testEnd = new AbortController();
  });
  afterEach(() => {
    testEnd.abort();
    assert.equal(context.output(), "");
    assert.doesNotMatch(JSON.stringify(context.lines), /refresh-auth|access-auth|eyJ/);
  });

  function prepare(
    changes: Partial<CommandContext> & { terminal?: boolean },
    parts: Partial<OidcLoginParts> = {},
  ): void {
    context = createTestContext({ signal: testEnd.signal, ...changes });
    login = createTestLogin(context, issuer, { openBrowser: visit, ...parts });
  }

  /** The browser: asks the issuer, follows its redirect to the listener. */
  async function visit(_context: unknown, url: string): Promise<void> {
    opened.push(url);
    const location = await authorize(url);
    const answer = await fetch(location);
    assert.equal(await answer.text(), "you have been logged in and may now close this tab");
  }

  async function authorize(url: string): Promise<string> {
    const http = createHttpClient(createTestContext(), {
      profile: "default",
      caPem: issuer.caPem,
      timeout: 5000,
      logAuditIds: "failures",
    });
    const answer = await http.request({ method: "GET", url });
    await http.close();
    return answer.headers["location"] ?? "";
  }

  test("opens and prints the URL, takes the callback", async () => {
    prepare({});
    const { idToken } = await login.run();
    assert.equal(login.sessions.only()?.id?.token, idToken);
    assert.equal(opened.length, 1);
    assert.equal(context.errors(), `Log in by visiting this link:\n\n    ${opened[0]}\n\n`);
    const query = new URL(opened[0] ?? "").searchParams;
    assert.deepEqual(
      [...query.keys()],
      [
        "access_type",
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
      ],
    );
    assert.match(query.get("redirect_uri") ?? "", /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
    const redemption = issuer.requests.find(({ path }) => path === "/oauth2/token");
    assert.deepEqual(
      [...(redemption?.form.keys() ?? [])],
      ["code", "code_verifier", "grant_type", "redirect_uri"],
    );
    assert.equal(redemption?.form.get("redirect_uri"), query.get("redirect_uri"));
  });

  test("the listen port is the one asked for", async () => {
    const port = await freePort();
    prepare({});
    await login.run({ listenPort: port });
    assert.equal(
      new URL(opened[0] ?? "").searchParams.get("redirect_uri"),
      `http://127.0.0.1:${port}/callback`,
    );
    assert.equal(
      [...login.sessions.sessions.values()][0]?.key.redirect_uri,
      `http://localhost:${port}/callback`,
    );
  });

  test("PINNIPED_SKIP_PRINT_LOGIN_URL: nothing is printed if a browser opened", async () => {
    const environment = { PINNIPED_SKIP_PRINT_LOGIN_URL: "true" };
    prepare({ environment, stdinIsTerminal: true });
    await login.run();
    assert.equal(context.errors(), "");
    prepare({ environment }, { openBrowser: () => Promise.reject(new Error("no display")) });
    const run = login.run();
    const url = await printedUrl();
    assert.deepEqual(
      context.lines.find(({ message }) => message === "could not open browser"),
      { level: "info", message: "could not open browser", values: { error: "no display" } },
    );
    await visit(undefined, url);
    await run;
  });

  test("--skip-browser only prints", async () => {
    prepare({}, { openBrowser: () => Promise.reject(new Error("must not be opened")) });
    const run = login.run({ skipBrowser: true });
    await visit(undefined, await printedUrl());
    await run;
    assert.equal(
      context.lines.some(({ message }) => message === "could not open browser"),
      false,
    );
  });

  test("the prompt of a login that the browser ends first is cancelled with [...]", async () => {
    prepare({ stdinIsTerminal: true });
    await login.run();
    assert.equal(context.errors(), `Log in by visiting this link:\n\n    ${opened[0]}\n\n${PROMPT}[...]\n`);
  });

  test("a pasted code is redeemed at once; the listener is closed", async () => {
    const terminal = createScriptedTerminal({ [PROMPT.trim()]: " pin_ac_pasted " }, { write: () => {} });
    prepare(
      { stdinIsTerminal: true },
      { createTerminal: () => terminal, openBrowser: (_context, url) => authorize(url).then(() => {}) },
    );
    issuer.answers.set("/oauth2/token", async (request, response) => {
      const nonce = new URL(await printedUrl()).searchParams.get("nonce");
      assert.equal(request.form.get("code"), "pin_ac_pasted");
      sendJson(response, 200, { access_token: "a", expires_in: 9, id_token: await issuer.sign({ nonce }) });
    });
    await login.run();
    const redirectUri = new URL(await printedUrl()).searchParams.get("redirect_uri") ?? "";
    await assert.rejects(fetch(redirectUri));
    assert.deepEqual(terminal.asked, [{ text: PROMPT, echo: true }]);
  });

  test("without a listener the code is pasted, or the address that the browser could not open", async () => {
    let pasted = "";
    prepare(
      { stdinIsTerminal: true },
      {
        createTerminal: () => ({
          prompt: async () => {
            const location = await authorize(await printedUrl());
            assert.match(location, /^http:\/\/127\.0\.0\.1:0\/callback\?/);
            pasted = location.replace("pin_ac_1", "pin_ac_9");
            return pasted;
          },
        }),
        openBrowser: () => Promise.resolve(),
      },
    );
    await login.run({ skipListen: true });
    assert.equal(issuer.requests.at(-2)?.form.get("code"), "pin_ac_9");
    assert.equal(issuer.requests.at(-2)?.form.get("redirect_uri"), "http://127.0.0.1:0/callback");
  });

  test("an address of another login is not taken", async () => {
    const terminal = createScriptedTerminal(
      { [PROMPT.trim()]: "http://127.0.0.1:0/callback?code=c&state=x" },
      { write: () => {} },
    );
    prepare({ stdinIsTerminal: true }, { createTerminal: () => terminal });
    await assert.rejects(
      login.run({ skipListen: true, skipBrowser: true }),
      /missing or invalid state parameter/,
    );
    assert.equal(
      issuer.requests.some(({ path }) => path === "/oauth2/token"),
      false,
    );
  });

  test("there is no prompt without form_post, without a terminal, or where the caller forbids it", async () => {
    issuer.metadata = { response_modes_supported: ["query"] };
    prepare({ stdinIsTerminal: true });
    await login.run();
    assert.doesNotMatch(context.errors(), /paste/);
    assert.equal(new URL(opened[0] ?? "").searchParams.has("response_mode"), false);
    issuer.metadata = {};
    prepare({
      stdinIsTerminal: true,
      environment: { KUBERNETES_EXEC_INFO: '{"spec":{"interactive":false}}' },
    });
    await login.run();
    assert.doesNotMatch(context.errors(), /paste/);
    assert.equal(opened.length, 2);
  });

  test("a prompt that fails ends the login", async () => {
    const failing = (error: Error): Partial<OidcLoginParts> => ({
      createTerminal: () => createScriptedTerminal({ [PROMPT.trim()]: error }, { write: () => {} }),
    });
    prepare({ stdinIsTerminal: true }, failing(new Error("the input ended")));
    await assert.rejects(login.run({ skipBrowser: true }), {
      message: "error handling callback: failed to prompt for manual authorization code: the input ended",
    });
    prepare({ stdinIsTerminal: true }, failing(new CommandError("cli.interrupted", "interrupted")));
    await assert.rejects(login.run({ skipBrowser: true }), { message: "interrupted" });
  });

  test("what the callback says ends the login", async () => {
    prepare({}, { openBrowser: () => Promise.resolve() });
    const run = login.run();
    const settled = assert.rejects(run, {
      message: 'error handling callback: login failed with code "access_denied": no way',
    });
    const query = new URL(await printedUrl()).searchParams;
    const answer = await fetch(
      `${query.get("redirect_uri")}?error=access_denied&error_description=no+way&state=${query.get("state")}`,
    );
    assert.equal(answer.status, 400);
    await settled;
  });

  test("neither listener nor terminal is an error that names the device login where there is one", async () => {
    prepare({});
    await assert.rejects(login.run({ skipListen: true }), {
      message: "login failed: must have either a localhost listener or stdin must be a TTY",
    });
    assert.equal(opened.length, 0);
    issuer.metadata = { device_authorization_endpoint: `${issuer.url}/device` };
    await assert.rejects(login.run({ skipListen: true }), {
      message:
        "login failed: must have either a localhost listener or stdin must be a TTY (the issuer also offers logins by device code: use --device-code, or set LANYARD_DEVICE_CODE=true)",
    });
  });

  test("a busy port is logged, and fatal only without a terminal", async () => {
    const busy = createServer().unref();
    await new Promise<void>((resolve) => {
      busy.listen(0, "127.0.0.1", resolve);
    });
    const { port: listenPort } = busy.address() as AddressInfo;
    prepare({});
    await assert.rejects(login.run({ listenPort }), /must have either a localhost listener/);
    const logged = context.lines.find(({ message }) => message === "could not open callback listener");
    assert.match(String(logged?.values["error"]), /EADDRINUSE/);
    const terminal = createScriptedTerminal({ [PROMPT.trim()]: "pin_ac_2" }, { write: () => {} });
    prepare({ stdinIsTerminal: true }, { createTerminal: () => terminal });
    await assert.rejects(login.run({ listenPort, skipBrowser: true }), /invalid nonce/);
    busy.close();
  });

  test("90 minutes and an abort end the wait and close the listener", async () => {
    const clock = createManualClock(Date.now());
    prepare({ clock }, { openBrowser: () => Promise.resolve() });
    const run = login.run();
    const settled = assert.rejects(run, {
      message: "timed out waiting for token callback: context deadline exceeded",
    });
    const redirectUri = new URL(await printedUrl()).searchParams.get("redirect_uri") ?? "";
    await clock.advance(89 * 60_000);
    assert.equal((await fetch(redirectUri, { method: "PUT" })).status, 405);
    await clock.advance(61_000);
    await settled;
    await assert.rejects(fetch(redirectUri));

    const caller = new AbortController();
    prepare({ clock: systemClock }, { openBrowser: () => Promise.resolve() });
    const cancelled = assert.rejects(login.run({ signal: caller.signal }), {
      message: "timed out waiting for token callback: context canceled",
    });
    await printedUrl();
    caller.abort();
    await cancelled;
  });

  test("a terminal sees that a browser is awaited, and nothing of it stays", async () => {
    const clock = createManualClock(Date.now());
    prepare({ terminal: true, stdinIsTerminal: false, clock }, { openBrowser: () => Promise.resolve() });
    const run = login.run();
    const url = await printedUrl();
    await clock.advance(2000);
    assert.match(context.errors(), /\r {4}Waiting for the login in the browser… \(2 s\)$/);
    await visit(undefined, url);
    await run;
    assert.match(context.errors(), /\r +\r$/);
  });

  async function printedUrl(): Promise<string> {
    for (;;) {
      const url = /^ {4}(?<url>https:\S+)$/m.exec(context.errors())?.groups?.["url"];
      if (url !== undefined) {
        return url;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
