import { cacheKey } from "../cache/cache-key.ts";
import { cachedCredential } from "../cache/cached-credential.ts";
import type { RenewCredential } from "../cache/credential.ts";
import { CommandError } from "../command-error.ts";
import { goQuote } from "../../go-text.ts";
import type { RunCommand } from "../command-line/command.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import type { CommandContext } from "../context.ts";
import type { ConciergeParameters } from "../concierge-client/parameters.ts";
import {
  exchangeFailure,
  type PluginCall,
  readPluginCall,
  setLogLevel,
} from "../exec-credential/plugin-call.ts";

/** `login static`: a given token becomes a credential, or is one (contract cli.md 5). */
export const run: RunCommand = async (given, flags) => {
  setLogLevel(given);
  if (flags.string("token") === "" && flags.string("token-env") === "") {
    throw tokenError("one of --token or --token-env must be set");
  }
  const call = readPluginCall(given, flags);
  const { context, execInfo, concierge } = call;
  const token = readToken(context, flags);
  if (concierge === undefined) {
    call.print({ token });
    return;
  }
  const request = {
    context,
    file: flags.string("credential-cache"),
    key: cacheKey({ args: context.args, token, cluster: execInfo.cluster }),
    fromConcierge: true,
    endpoint: concierge.endpoint,
    execInfoGiven: execInfo.given,
  };
  const cached = await cachedCredential(request);
  if (cached !== undefined) {
    call.print(cached);
    return;
  }
  const { supplyCredential } = await import("../cache/supply-credential.ts");
  call.print(await supplyCredential({ ...request, renew: renewal(call, flags, concierge, token) }));
};

/** `--token-env` wins over `--token`. */
function readToken(context: CommandContext, flags: ParsedFlags): string {
  const name = flags.string("token-env");
  if (name === "") {
    return flags.string("token");
  }
  const value = context.environment[name];
  if (value === undefined) {
    throw tokenError(`--token-env variable ${goQuote(name)} is not set`);
  }
  if (value === "") {
    throw tokenError(`--token-env variable ${goQuote(name)} is empty`);
  }
  return value;
}

function renewal(
  call: PluginCall,
  flags: ParsedFlags,
  parameters: ConciergeParameters,
  token: string,
): RenewCredential {
  const { context, lifetimeSeconds } = call;
  return async ({ interactive, signal }) => {
    const values = {
      endpoint: parameters.endpoint,
      "authenticator type": flags.string("concierge-authenticator-type"),
      "authenticator name": parameters.authenticatorName,
    };
    context.log.debug("exchanging static token for cluster credential", values);
    const { exchangeToken } = await import("../concierge-client/exchange-token.ts");
    try {
      const issued = await exchangeToken(context, {
        parameters,
        token,
        ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
        interactive,
        signal,
      });
      context.log.debug("exchanged static token for cluster credential", values);
      return issued;
    } catch (error) {
      throw exchangeFailure(error);
    }
  };
}

function tokenError(message: string): CommandError {
  return new CommandError("cli.login.token", message);
}
