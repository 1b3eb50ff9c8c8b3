import { loginError } from "./failed-call.ts";
import type { OidcLoginOptions } from "./login.ts";

/** How a person logs in at the issuer (contract cli.md 4.5). */
export type LoginFlow = "browser_authcode" | "cli_password";

const FLOW_VARIABLE = "PINNIPED_UPSTREAM_IDENTITY_PROVIDER_FLOW";

/**
 * The flow asked for, or undefined for none. The environment variable replaces the flag when it is set at all, and an empty value
 * asks for nothing (contract cli.md 1).
 */
export function requestedFlow(
  environment: Readonly<Record<string, string | undefined>>,
  asked: OidcLoginOptions["upstreamIdentityProvider"]["flow"],
): LoginFlow | undefined {
  const variable = environment[FLOW_VARIABLE];
  const flow = variable === undefined ? asked : { value: variable, source: FLOW_VARIABLE };
  if (flow === undefined || flow.value === "") {
    return undefined;
  }
  if (flow.value !== "browser_authcode" && flow.value !== "cli_password") {
    throw loginError(
      `WithLoginFlow error: loginFlow '${flow.value}' from '${flow.source}' must be 'cli_password' or 'browser_authcode'`,
    );
  }
  return flow.value;
}
