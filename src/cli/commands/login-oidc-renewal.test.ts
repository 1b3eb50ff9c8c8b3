import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandError } from "../command-error.ts";
import { loginOidcFlags } from "../command-line/login-flags.ts";
import { parseFlags } from "../command-line/parse-flags.ts";
import { readExchangeFlags } from "../exec-credential/exchange-flags.ts";
import { createTestContext } from "../http/testing/context.ts";
import { InteractionRequired } from "../interaction-required.ts";
import type { OidcLogin, OidcLoginOptions } from "../oidc/login.ts";
import { createOidcRenewal } from "./login-oidc-renewal.ts";

function renewal(
  args: readonly string[],
  logIn: OidcLogin,
  caBundlePem?: string,
): ReturnType<typeof createOidcRenewal> {
  const context = createTestContext({ args });
  const { flags } = parseFlags(loginOidcFlags({}), args);
  return createOidcRenewal({ ...readExchangeFlags(flags), context }, flags, caBundlePem, logIn);
}

const RESULT = { idToken: "token", expirationTimestamp: "2026-06-01T12:00:00Z", clockOffset: 70_000 };
const call = { interactive: true, signal: new AbortController().signal };

test("every flag reaches the login", async () => {
  let seen: OidcLoginOptions | undefined;
  const issued = await renewal(
    [
      ...["--issuer=https://i.test", "--client-id=c", "--scopes=a,b", "--listen-port=8080", "--skip-browser"],
      ...["--skip-listen", "--request-audience=aud", "--device-code"],
      ...["--upstream-identity-provider-name=n", "--upstream-identity-provider-type=ldap"],
      "--upstream-identity-provider-flow=cli_password",
    ],
    (_context, options) => {
      seen = options;
      return Promise.resolve(RESULT);
    },
    "pem",
  )({ ...call, interactive: false });
  const { sessions, signal, ...options } = seen ?? assert.fail();
  assert.equal(typeof sessions.get, "function");
  assert.equal(signal.aborted, false);
  assert.deepEqual(options, {
    issuer: "https://i.test",
    clientId: "c",
    scopes: ["a", "b"],
    listenPort: 8080,
    skipBrowser: true,
    skipListen: true,
    deviceCode: true,
    caBundlePem: "pem",
    requestAudience: "aud",
    upstreamIdentityProvider: {
      name: "n",
      type: "ldap",
      flow: { value: "cli_password", source: "--upstream-identity-provider-flow" },
    },
    interactive: false,
  });
  assert.deepEqual(issued, {
    credential: { token: "token", expirationTimestamp: "2026-06-01T12:00:00Z" },
    fromConcierge: false,
    clockOffset: 70_000,
    endpoint: "https://i.test",
  });
});

test("what was not given is absent", async () => {
  let seen: OidcLoginOptions | undefined;
  await renewal(["--issuer=https://i.test"], (_context, options) => {
    seen = options;
    return Promise.resolve(RESULT);
  })(call);
  const given = Object.keys(seen ?? {});
  for (const name of ["caBundlePem", "requestAudience", "deviceCode"]) {
    assert.ok(!given.includes(name), name);
  }
  assert.deepEqual(seen?.upstreamIdentityProvider, { name: "", type: "oidc" });
});

test("a failed login gets the contract's prefix; that a person is needed passes as it is", async () => {
  const failing = (cause: Error): Promise<unknown> => {
    const logIn: OidcLogin = async () => {
      throw cause;
    };
    return renewal(["--issuer=https://i.test"], logIn)(call);
  };
  await assert.rejects(failing(new CommandError("x", "why")), {
    message: "could not complete Pinniped login: why",
    code: "x",
  });
  const needed = new InteractionRequired("somebody must log in");
  await assert.rejects(failing(needed), (error) => error === needed);
  const bug = new TypeError("a bug");
  await assert.rejects(failing(bug), (error) => error === bug);
});

test("the whole login ends with its caller's signal", async () => {
  const stop = new AbortController();
  const running = renewal(["--issuer=https://i.test"], (_context, { signal }) => {
    stop.abort();
    return signal.aborted ? Promise.reject(new CommandError("x", "ended")) : Promise.resolve(RESULT);
  })({ interactive: true, signal: stop.signal });
  await assert.rejects(running, /ended/);
});
