import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import type { CommandContext } from "../../src/cli/context.ts";
import type { TestContext } from "../../src/cli/http/testing/context.ts";
import { createTestContext } from "../../src/cli/http/testing/context.ts";
import type { SessionTokens } from "../../src/cli/oidc/session.ts";
import type { TestLogin } from "./cli-login.ts";
import { createTestLogin } from "./cli-login.ts";
import type { ScriptedIssuer } from "./cli-scripted-issuer.ts";
import { startScriptedIssuer } from "./cli-scripted-issuer.ts";

export const SECRETS = {
  access: "pin_at_secret-access",
  refresh: "pin_rt_secret-refresh",
  password: "s3cret-password",
};

/** Asks for the flow that needs nobody: its answers are in the environment. */
export const PASSWORD_FLOW = {
  upstreamIdentityProvider: {
    name: "",
    type: "oidc",
    flow: { value: "cli_password", source: "--upstream-identity-provider-flow" },
  },
};

/** RFC 3339, so many seconds from now. */
export const later = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

/** A scripted issuer for a file of tests, and a fresh login for each of them. */
export interface LoginFixture {
  readonly issuer: ScriptedIssuer;
  readonly context: TestContext;
  readonly login: TestLogin;
  /** Another context and login in their place. */
  prepare(changes?: Partial<CommandContext>): void;
  /** Puts a session into the cache. */
  remember(tokens: SessionTokens): void;
  /** The grant types that the token endpoint was asked for. */
  grants(): (string | null)[];
  /** The messages that were logged. */
  messages(): string[];
  assertNothingSecretWasTold(): void;
}

/** Registers the hooks of the file or suite it is called in. */
export function useScriptedLogin(): LoginFixture {
  let issuer: ScriptedIssuer | undefined;
  let current: { readonly context: TestContext; readonly login: TestLogin } | undefined;
  const fixture: LoginFixture = {
    get issuer() {
      assert.ok(issuer !== undefined);
      return issuer;
    },
    get context() {
      assert.ok(current !== undefined);
      return current.context;
    },
    get login() {
      assert.ok(current !== undefined);
      return current.login;
    },
    prepare: (changes = {}) => {
      const context = createTestContext({
        environment: { PINNIPED_USERNAME: "ann", PINNIPED_PASSWORD: SECRETS.password },
        ...changes,
      });
      current = { context, login: createTestLogin(context, fixture.issuer) };
    },
    remember: (tokens) => {
      const key = {
        issuer: fixture.issuer.url,
        clientID: "pinniped-cli",
        scopes: ["groups", "offline_access", "openid", "pinniped:request-audience", "username"],
        redirect_uri: "http://localhost:0/callback",
      };
      fixture.login.sessions.sessions.set(JSON.stringify(key), { key, tokens });
    },
    grants: () =>
      fixture.issuer.requests
        .filter(({ path }) => path === "/oauth2/token")
        .map(({ form }) => form.get("grant_type")),
    messages: () => fixture.context.lines.map(({ message }) => message),
    assertNothingSecretWasTold: () => {
      const { context } = fixture;
      const told = `${context.errors()}${context.output()}${JSON.stringify(context.lines)}`;
      assert.doesNotMatch(told, /secret|eyJ/);
    },
  };
  before(async () => {
    issuer = await startScriptedIssuer();
  });
  after(() => issuer?.stop());
  beforeEach(() => {
    fixture.issuer.requests.length = 0;
    fixture.issuer.answers.clear();
    Object.assign(fixture.issuer, { metadata: {}, claims: {}, tokenAnswer: {}, foreignKey: false });
    fixture.prepare();
  });
  return fixture;
}
