import type { ClusterCredential } from "../cache/credential.ts";
import type { CommandContext } from "../context.ts";
import { type ExecInfo, readExecInfo } from "./exec-info.ts";
import { execCredentialLine } from "./output.ts";

/** What `login oidc` and `login static` have in common: the client's words to them, and the answer. */
export interface PluginCall {
  /** As given, but with a standard input that is not used where the client keeps it (`interactiveMode`). */
  readonly context: CommandContext;
  readonly execInfo: ExecInfo;
  /** Prints the one line that the client reads. */
  print(credential: ClusterCredential): void;
}

/** Log lines show down to debug exactly with `PINNIPED_DEBUG=true` (contract cli.md 1). */
export function setLogLevel(context: CommandContext): void {
  if (context.environment["PINNIPED_DEBUG"] === "true") {
    context.log.setLevel("debug");
  }
}

/** Reads what the client said. */
export function readPluginCall(context: CommandContext): PluginCall {
  const execInfo = readExecInfo(context.environment["KUBERNETES_EXEC_INFO"]);
  return {
    context: execInfo.interactive ? context : withoutStandardInput(context),
    execInfo,
    print: (credential) => {
      context.stdout.write(`${execCredentialLine(credential, execInfo.version)}\n`);
    },
  };
}

/** Inherits, so that what costs to find out is still found out only when somebody asks. */
function withoutStandardInput(context: CommandContext): CommandContext {
  return Object.create(context, { stdinIsTerminal: { value: false } }) as CommandContext;
}
