import { messageOf } from "../../errors.ts";
import { goQuote, toByteString } from "../../go-text.ts";
import { CommandError } from "../command-error.ts";
import type { HttpAnswer } from "../http/http-client.ts";
import { mayPrompt } from "../terminal/may-prompt.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { describeAuthorizationError } from "./authorization-error.ts";
import type { AuthorizationSecrets } from "./authorization-request.ts";
import { authorizationUrl, createAuthorizationSecrets } from "./authorization-request.ts";
import type { ChosenFlow } from "./choose-flow.ts";
import { loginError, onOneLine, withAuditId } from "./failed-call.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import type { ReceivedSession } from "./redeem-authorization.ts";
import { createRedeemer } from "./redeem-authorization.ts";

/** Username and password in headers of the authorization request, which only a Supervisor understands (contract cli.md 4.6). */
export async function loginWithPassword(
  call: LoginCall,
  provider: Provider,
  chosen: ChosenFlow,
): Promise<ReceivedSession> {
  const { context, options } = call;
  if (provider.identityProvidersEndpoint === undefined) {
    throw loginError(
      `the cli_password flow would send your password to OIDC issuer ${goQuote(provider.issuer)}, which does not appear to be a ` +
        "Pinniped Supervisor: nothing was sent; use the browser_authcode flow",
    );
  }
  if (chosen.identityProvider !== undefined) {
    context.stderr.write(`\nLog in to ${onOneLine(chosen.identityProvider.name)}\n\n`);
  }
  const terminal = call.parts.createTerminal(context.stderr);
  const username = await ask(call, terminal, "username", true);
  const password = await ask(call, terminal, "password", false);

  const secrets = createAuthorizationSecrets();
  const redirectUri = `http://127.0.0.1:${options.listenPort}/callback`;
  const answer = await call.http
    .request({
      method: "GET",
      url: authorizationUrl(call, provider, chosen, secrets, redirectUri),
      headers: {
        "Pinniped-Username": toByteString(username),
        "Pinniped-Password": toByteString(password),
      },
      signal: call.signal,
    })
    .catch((error: unknown) => {
      throw loginError(`error getting authorization: ${messageOf(error)}`, error);
    });
  const code = codeOfRedirect(answer, redirectUri, secrets);
  try {
    return await createRedeemer(call, provider, secrets)(code, redirectUri);
  } catch (error) {
    throw loginError(`could not complete authorization code exchange: ${messageOf(error)}`, error);
  }
}

async function ask(
  { context, signal }: LoginCall,
  terminal: Terminal,
  what: "username" | "password",
  echo: boolean,
): Promise<string> {
  const fromEnvironment = context.environment[`PINNIPED_${what.toUpperCase()}`];
  let value: string;
  if (fromEnvironment !== undefined && fromEnvironment !== "") {
    context.log.info(`Pinniped: Read ${what} from environment variable`, {
      name: `PINNIPED_${what.toUpperCase()}`,
    });
    value = fromEnvironment;
  } else {
    try {
      if (!mayPrompt(context)) {
        throw loginError("stdin is not connected to a terminal");
      }
      const title = `${what.slice(0, 1).toUpperCase()}${what.slice(1)}: `;
      value = await terminal.prompt(title, { echo, signal });
    } catch (error) {
      if (error instanceof CommandError && error.code === "cli.interrupted") {
        throw error;
      }
      throw loginError(`error prompting for ${what}: ${messageOf(error)}`, error);
    }
  }
  // A header cannot carry them, and an HTTP library's complaint might quote the value.
  if (/[\0-\u0008\u000a-\u001f\u007f]/.test(value)) {
    throw loginError(`the ${what} holds control characters, which cannot be sent`);
  }
  return value;
}

function codeOfRedirect(answer: HttpAnswer, redirectUri: string, secrets: AuthorizationSecrets): string {
  const fail = (text: string): CommandError => loginError(withAuditId(text, answer.auditId));
  if (answer.status !== 302 && answer.status !== 303) {
    throw fail(
      `error getting authorization: expected to be redirected, but response status was ${answer.statusLine}`,
    );
  }
  const location = answer.headers["location"] ?? "";
  const shown = onOneLine(location.replaceAll(/(?<=[?&]code=)[^&#]*/g, "redacted"));
  const query = location.indexOf("?");
  if ((query === -1 ? location : location.slice(0, query)) !== redirectUri) {
    throw fail(`error getting authorization: redirected to the wrong location: ${shown}`);
  }
  const parameters = new URLSearchParams(query === -1 ? "" : location.slice(query));
  if (parameters.get("state") !== secrets.state) {
    throw fail(`missing or invalid state parameter in authorization response: ${shown}`);
  }
  const code = parameters.get("code") ?? "";
  if (code === "") {
    throw fail(describeAuthorizationError(parameters));
  }
  return code;
}
