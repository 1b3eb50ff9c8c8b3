import { cacheKey } from "../cache/cache-key.ts";
import { cachedCredential } from "../cache/cached-credential.ts";
import type { RunCommand } from "../command-line/command.ts";
import { readPluginCall, setLogLevel } from "../exec-credential/plugin-call.ts";

/**
 * `login oidc`: the cached credential, or a login at an OIDC issuer and what the Concierge gives for its token (contract cli.md 4.2). The
 * cache's key holds every argument: those of a hit were good when the credential was issued, and are not checked again.
 */
export const run: RunCommand = async (given, flags) => {
  setLogLevel(given);
  const call = readPluginCall(given);
  const { context, execInfo } = call;
  const fromConcierge = flags.boolean("enable-concierge");
  const request = {
    context,
    file: flags.string("credential-cache"),
    key: cacheKey({ args: context.args, cluster: execInfo.cluster }),
    fromConcierge,
    endpoint: flags.string(fromConcierge ? "concierge-endpoint" : "issuer"),
    execInfoGiven: execInfo.given,
  };
  const cached = await cachedCredential(request);
  if (cached !== undefined) {
    call.print(cached);
    return;
  }
  const { supplyByOidc } = await import("./login-oidc-renewal.ts");
  call.print(await supplyByOidc(request, flags));
};
