import { goQuote } from "../../go-text.ts";
import { loginError } from "./failed-call.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import type { LoginFlow } from "./requested-flow.ts";
import type { SupervisorIdentityProviders } from "./supervisor-identity-providers.ts";

/** The flow to run (contract cli.md 4.5), and whether the request names an identity provider. */
export interface ChosenFlow {
  readonly flow: LoginFlow;
  readonly identityProvider?: { readonly name: string; readonly type: string };
}

/** Chooses among what a Supervisor offers; `offered` is undefined for any other issuer. */
export function chooseFlow(
  call: Pick<LoginCall, "options" | "flow">,
  provider: Pick<Provider, "issuer">,
  offered: SupervisorIdentityProviders | undefined,
): ChosenFlow {
  const { name, type } = call.options.upstreamIdentityProvider;
  const { flow } = call;
  if (name === "") {
    return { flow: flow ?? "browser_authcode" };
  }
  if (offered === undefined) {
    throw loginError(
      `upstream identity provider name ${goQuote(name)} was specified, but OIDC issuer ${goQuote(provider.issuer)} does not offer ` +
        "Pinniped-style IDP discovery, so it does not appear to be a Pinniped Supervisor; specifying an upstream identity " +
        "provider name is only meant to be used with Pinniped Supervisors",
    );
  }
  const { identityProviders, supportedTypes } = offered;
  if (supportedTypes.length > 0 && !supportedTypes.includes(type)) {
    throw loginError(
      `unable to find upstream identity provider with type ${goQuote(type)}, this Pinniped Supervisor supports IDP types ` +
        `[${supportedTypes.map((supported) => goQuote(supported)).join(", ")}]`,
    );
  }
  const found = identityProviders.find(
    (candidate) =>
      candidate.name === name &&
      candidate.type === type &&
      (flow === undefined || candidate.flows.includes(flow)),
  );
  const named = `upstream identity provider with name ${goQuote(name)} and type ${goQuote(type)}`;
  if (found === undefined) {
    const withFlow = flow === undefined ? "" : ` and flow ${goQuote(flow)}`;
    throw loginError(
      `unable to find ${named}${withFlow}. Found these providers: ${listAsJson(identityProviders)}`,
    );
  }
  const chosen = flow ?? found.flows[0];
  if (chosen === undefined) {
    throw loginError(
      `unable to infer flow for ${named} because there were no flows discovered for that provider`,
    );
  }
  if (chosen !== "browser_authcode" && chosen !== "cli_password") {
    throw loginError(
      `the first flow of ${named} is ${goQuote(chosen)}, which this program does not know; choose one with --upstream-identity-provider-flow`,
    );
  }
  return { flow: chosen, identityProvider: { name, type } };
}

/** As Go writes the list: no `flows` member where there are none, `<`, `>` and `&` escaped. */
function listAsJson(identityProviders: SupervisorIdentityProviders["identityProviders"]): string {
  const entries = identityProviders.map(({ name, type, flows }) =>
    flows.length === 0 ? { name, type } : { name, type, flows },
  );
  return JSON.stringify(entries).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
