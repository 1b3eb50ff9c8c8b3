import { cacheKey } from "../cache/cache-key.ts";
import { cachedCredential } from "../cache/cached-credential.ts";
import type { RunCommand } from "../command-line/command.ts";
import { readCaBundle } from "../exec-credential/oidc-flags.ts";
import { readPluginCall, setLogLevel } from "../exec-credential/plugin-call.ts";

/** `login oidc`: the cached credential, or a login at an OIDC issuer and what the Concierge gives for its token (contract cli.md 4.2). */
export const run: RunCommand = async (given, flags) => {
  setLogLevel(given);
  const call = readPluginCall(given, flags);
  const caBundlePem = await readCaBundle(flags);
  const { context, execInfo, concierge } = call;
  const request = {
    context,
    file: flags.string("credential-cache"),
    key: cacheKey({ args: context.args, cluster: execInfo.cluster }),
    fromConcierge: concierge !== undefined,
    endpoint: concierge?.endpoint ?? flags.string("issuer"),
    execInfoGiven: execInfo.given,
  };
  const cached = await cachedCredential(request);
  if (cached !== undefined) {
    call.print(cached);
    return;
  }
  const [{ supplyCredential }, { createOidcRenewal }] = await Promise.all([
    import("../cache/supply-credential.ts"),
    import("./login-oidc-renewal.ts"),
  ]);
  const renew = createOidcRenewal(call, flags, caBundlePem);
  call.print(await supplyCredential({ ...request, renew }));
};
