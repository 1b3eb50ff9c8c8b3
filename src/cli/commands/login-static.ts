import { cacheKey } from "../cache/cache-key.ts";
import { cachedCredential } from "../cache/cached-credential.ts";
import { CommandError } from "../command-error.ts";
import type { RunCommand } from "../command-line/command.ts";
import { readPluginCall, setLogLevel } from "../exec-credential/plugin-call.ts";

/**
 * `login static`: a given token becomes a credential, or is one (contract cli.md 5). The cache's key holds every argument and the token:
 * those of a hit were good when the credential was issued, and are not checked again.
 */
export const run: RunCommand = async (given, flags) => {
  setLogLevel(given);
  const [plain, variable] = [flags.string("token"), flags.string("token-env")];
  if (plain === "" && variable === "") {
    throw new CommandError("cli.login.token", "one of --token or --token-env must be set");
  }
  const call = readPluginCall(given);
  const { context, execInfo } = call;
  const token = variable === "" ? plain : (context.environment[variable] ?? "");
  const request = {
    context,
    file: flags.string("credential-cache"),
    key: cacheKey({ args: context.args, token, cluster: execInfo.cluster }),
    fromConcierge: true,
    endpoint: flags.string("concierge-endpoint"),
    execInfoGiven: execInfo.given,
  };
  const cached =
    token !== "" && flags.boolean("enable-concierge") ? await cachedCredential(request) : undefined;
  if (cached !== undefined) {
    call.print(cached);
    return;
  }
  const { supplyByToken } = await import("./login-static-renewal.ts");
  call.print(await supplyByToken(request, flags, token));
};
