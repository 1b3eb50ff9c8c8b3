import { messageOf } from "../../errors.ts";
import { CommandError } from "../command-error.ts";
import { loginError } from "./failed-call.ts";
import type { LoginCall } from "./login-call.ts";
import type { ReceivedSession } from "./redeem-authorization.ts";

const PROMPT = "    Optionally, paste your authorization code: ";

/**
 * Waits for a pasted code and redeems it at once (contract cli.md 4.6). An empty line asks again. The whole address that the browser
 * could not open does as well: that is all a person has where the issuer shows no code.
 */
export async function promptForCode(
  call: LoginCall,
  paste: {
    readonly redeem: (code: string, redirectUri: string) => Promise<ReceivedSession>;
    readonly redirectUri: string;
    readonly state: string;
  },
  over: AbortSignal,
): Promise<ReceivedSession> {
  const { context, parts } = call;
  const terminal = parts.createTerminal(context.stderr);
  let code = "";
  while (code === "") {
    try {
      code = (await terminal.prompt(PROMPT, { echo: true, signal: over })).trim();
    } catch (error) {
      if (over.aborted) {
        context.stderr.write("[...]\n");
        throw error;
      }
      if (error instanceof CommandError && error.code === "cli.interrupted") {
        throw error;
      }
      throw loginError(
        `error handling callback: failed to prompt for manual authorization code: ${messageOf(error)}`,
        error,
      );
    }
  }
  try {
    return await paste.redeem(codeOf(code, paste.state), paste.redirectUri);
  } catch (error) {
    throw loginError(
      `error handling callback: could not complete authorization code exchange: ${messageOf(error)}`,
      error,
    );
  }
}

function codeOf(pasted: string, state: string): string {
  if (!/^https?:\/\//.test(pasted) || !URL.canParse(pasted)) {
    return pasted;
  }
  const parameters = new URL(pasted).searchParams;
  if (parameters.get("state") !== state) {
    throw loginError("the pasted address belongs to another login: missing or invalid state parameter");
  }
  return parameters.get("code") ?? "";
}
