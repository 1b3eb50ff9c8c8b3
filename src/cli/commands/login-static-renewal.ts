import type { CredentialRequest } from "../cache/credential-request.ts";
import type { ClusterCredential, RenewCredential } from "../cache/credential.ts";
import { supplyCredential } from "../cache/supply-credential.ts";
import { CommandError } from "../command-error.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import type { CommandContext } from "../context.ts";
import { exchangeFailure, type ExchangeFlags, readExchangeFlags } from "../exec-credential/exchange-flags.ts";
import { goQuote } from "../../go-text.ts";

/** What a given token comes to where the cache has no answer (contract cli.md 5): itself, or a credential of the Concierge. */
export async function supplyByToken(
  request: CredentialRequest & { readonly context: CommandContext },
  flags: ParsedFlags,
  token: string,
): Promise<ClusterCredential> {
  const checked = readExchangeFlags(flags);
  refuseBadVariable(request.context, flags.string("token-env"));
  return checked.concierge === undefined
    ? { token }
    : supplyCredential({
        ...request,
        renew: renewal(request.context, flags, { ...checked, concierge: checked.concierge }, token),
      });
}

/** `--token-env` wins over `--token`. */
function refuseBadVariable({ environment }: CommandContext, name: string): void {
  if (name !== "" && (environment[name] ?? "") === "") {
    const fault = environment[name] === undefined ? "is not set" : "is empty";
    throw new CommandError("cli.login.token", `--token-env variable ${goQuote(name)} ${fault}`);
  }
}

function renewal(
  context: CommandContext,
  flags: ParsedFlags,
  { concierge, lifetimeSeconds }: ExchangeFlags & Required<Pick<ExchangeFlags, "concierge">>,
  token: string,
): RenewCredential {
  return async ({ interactive, signal }) => {
    const values = {
      endpoint: concierge.endpoint,
      "authenticator type": flags.string("concierge-authenticator-type"),
      "authenticator name": concierge.authenticatorName,
    };
    context.log.debug("exchanging static token for cluster credential", values);
    const { exchangeToken } = await import("../concierge-client/exchange-token.ts");
    try {
      const issued = await exchangeToken(context, {
        parameters: concierge,
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
