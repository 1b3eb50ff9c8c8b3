import type { ClusterCredential } from "../cache/credential.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import { CommandError } from "../command-error.ts";
import {
  checkConciergeParameters,
  conciergeFlags,
  type ConciergeParameters,
} from "../concierge-client/parameters.ts";
import type { CommandContext } from "../context.ts";
import { type ExecInfo, readExecInfo } from "./exec-info.ts";
import { execCredentialLine } from "./output.ts";

/** What `login oidc` and `login static` have in common: the client's words to them, the Concierge's flags, the answer. */
export interface PluginCall {
  /** As given, but with a standard input that is not used where the client keeps it (`interactiveMode`). */
  readonly context: CommandContext;
  readonly execInfo: ExecInfo;
  /** Absent without `--enable-concierge`. */
  readonly concierge?: ConciergeParameters;
  /** `--credential-lifetime`, in seconds. */
  readonly lifetimeSeconds?: number;
  /** Prints the one line that the client reads. */
  print(credential: ClusterCredential): void;
}

const MINIMUM_LIFETIME_MILLISECONDS = 60_000;
const MAXIMUM_LIFETIME_SECONDS = 2 ** 31 - 1;

/** Log lines show down to debug exactly with `PINNIPED_DEBUG=true` (contract cli.md 1). */
export function setLogLevel(context: CommandContext): void {
  if (context.environment["PINNIPED_DEBUG"] === "true") {
    context.log.setLevel("debug");
  }
}

/** Checks the Concierge's flags, before anything is looked up (contract cli.md 4.2 step 1). */
export function readPluginCall(context: CommandContext, flags: ParsedFlags): PluginCall {
  const concierge = readConcierge(flags);
  const lifetimeSeconds = readLifetime(flags);
  const execInfo = readExecInfo(context.environment["KUBERNETES_EXEC_INFO"]);
  return {
    context: execInfo.interactive ? context : withoutStandardInput(context),
    execInfo,
    ...(concierge === undefined ? {} : { concierge }),
    ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
    print: (credential) => {
      context.stdout.write(`${execCredentialLine(credential, execInfo.version)}\n`);
    },
  };
}

/** Inherits, so that what costs to find out is still found out only when somebody asks. */
function withoutStandardInput(context: CommandContext): CommandContext {
  return Object.create(context, { stdinIsTerminal: { value: false } }) as CommandContext;
}

function readConcierge(flags: ParsedFlags): ConciergeParameters | undefined {
  if (!flags.boolean("enable-concierge")) {
    return undefined;
  }
  try {
    return checkConciergeParameters(conciergeFlags(flags));
  } catch (error) {
    if (error instanceof CommandError) {
      throw new CommandError(error.code, `invalid Concierge parameters: ${error.message}`, error);
    }
    throw error;
  }
}

function readLifetime(flags: ParsedFlags): number | undefined {
  const milliseconds = flags.duration("credential-lifetime");
  if (milliseconds === 0) {
    return undefined;
  }
  const seconds = Math.floor(milliseconds / 1000);
  if (milliseconds < MINIMUM_LIFETIME_MILLISECONDS || seconds > MAXIMUM_LIFETIME_SECONDS) {
    throw new CommandError(
      "cli.flag.invalid",
      "invalid --credential-lifetime: a credential lives for one minute (1m0s) at least; give a longer time",
    );
  }
  return seconds;
}

/** The error of a failed exchange in both commands (contract cli.md 4.2, 5). */
export function exchangeFailure(error: unknown): unknown {
  return error instanceof CommandError
    ? new CommandError(
        error.code,
        `could not complete Concierge credential exchange: ${error.message}`,
        error,
      )
    : error;
}
