import { CommandError } from "../command-error.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import {
  checkConciergeParameters,
  conciergeFlags,
  type ConciergeParameters,
} from "../concierge-client/parameters.ts";

/** The flags of both login commands that say how a token is exchanged, checked. */
export interface ExchangeFlags {
  /** Absent without `--enable-concierge`. */
  readonly concierge?: ConciergeParameters;
  /** `--credential-lifetime`, in seconds. */
  readonly lifetimeSeconds?: number;
}

const MINIMUM_LIFETIME_MILLISECONDS = 60_000;
const MAXIMUM_LIFETIME_SECONDS = 2 ** 31 - 1;

/** Checks the Concierge's flags (contract cli.md 4.2 step 1). Throws `CommandError`. */
export function readExchangeFlags(flags: ParsedFlags): ExchangeFlags {
  const concierge = readConcierge(flags);
  const lifetimeSeconds = readLifetime(flags);
  return {
    ...(concierge === undefined ? {} : { concierge }),
    ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
  };
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
