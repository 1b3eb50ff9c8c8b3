import { loginWithBrowser } from "./browser-flow.ts";
import { chooseFlow } from "./choose-flow.ts";
import { loginWithDeviceCode } from "./device-flow.ts";
import type { LoginCall } from "./login-call.ts";
import { loginWithPassword } from "./password-flow.ts";
import type { Provider } from "./provider.ts";
import type { ReceivedSession } from "./redeem-authorization.ts";
import { fetchSupervisorIdentityProviders } from "./supervisor-identity-providers.ts";

/** A login with a person's help: by device code where it was asked for, else by the flow of contract cli.md 4.5. */
export async function loginInteractively(call: LoginCall, provider: Provider): Promise<ReceivedSession> {
  const deviceCode = call.options.deviceCode ?? call.context.environment["LANYARD_DEVICE_CODE"] === "true";
  if (deviceCode) {
    return await loginWithDeviceCode(call, provider);
  }
  const endpoint = provider.identityProvidersEndpoint;
  const offered = endpoint === undefined ? undefined : await fetchSupervisorIdentityProviders(call, endpoint);
  const chosen = chooseFlow(call, provider, offered);
  return chosen.flow === "cli_password"
    ? await loginWithPassword(call, provider, chosen)
    : await loginWithBrowser(call, provider, chosen);
}
