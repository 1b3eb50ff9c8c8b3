import { createHttpClient } from "../../src/cli/http/create-http-client.ts";
import type { TestContext } from "../../src/cli/http/testing/context.ts";
import type { OidcLoginOptions, OidcLoginResult } from "../../src/cli/oidc/login.ts";
import type { OidcLoginParts } from "../../src/cli/oidc/login-call.ts";
import { createOidcLogin } from "../../src/cli/oidc/perform-login.ts";
import type { Terminal } from "../../src/cli/terminal/terminal.ts";
import type { MemorySessionCache } from "./cli-session-cache.ts";
import { createMemorySessionCache } from "./cli-session-cache.ts";

/** A terminal where every prompt gets the answer that a test has for it; without one it waits for the signal. */
export function createScriptedTerminal(
  answers: Readonly<Record<string, string | Error>>,
  output: { write(text: string): void },
): Terminal & { readonly asked: { readonly text: string; readonly echo: boolean }[] } {
  const asked: { text: string; echo: boolean }[] = [];
  return {
    asked,
    prompt: async (text, { echo, signal }) => {
      output.write(text);
      asked.push({ text, echo });
      const answer = answers[text.trim()];
      if (answer instanceof Error) {
        throw answer;
      }
      if (answer !== undefined) {
        return answer;
      }
      const { promise, reject } = Promise.withResolvers<string>();
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      return await promise;
    },
  };
}

export interface TestLogin {
  readonly sessions: MemorySessionCache;
  run(changes?: Partial<OidcLoginOptions>): Promise<OidcLoginResult>;
}

/** A login against an issuer with real HTTP; browser and terminal are the test's. */
export function createTestLogin(
  context: TestContext,
  issuer: { readonly url: string; readonly caPem: string },
  parts: Partial<OidcLoginParts> = {},
): TestLogin {
  const sessions = createMemorySessionCache();
  const login = createOidcLogin(() =>
    Promise.resolve({
      createHttpClient,
      createTerminal: (output) => createScriptedTerminal({}, output),
      openBrowser: () => Promise.reject(new Error("there is no browser")),
      ...parts,
    }),
  );
  return {
    sessions,
    run: async (changes = {}) =>
      await login(context, {
        issuer: issuer.url,
        clientId: "pinniped-cli",
        scopes: ["offline_access", "openid", "pinniped:request-audience", "username", "groups"],
        listenPort: 0,
        skipBrowser: false,
        skipListen: false,
        caBundlePem: issuer.caPem,
        upstreamIdentityProvider: { name: "", type: "oidc" },
        sessions,
        interactive: true,
        signal: context.signal,
        ...changes,
      }),
  };
}
