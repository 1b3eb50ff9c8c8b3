import { configurationKeys } from "./concierge-configuration-keys.ts";
import type { ConfigurationKey } from "./concierge-configuration-keys.ts";
import { GENERATED_MARK } from "./files.ts";

/** docs/configuration.md: every key of concierge.yaml. */
export function conciergeConfigurationFiles(): ReadonlyMap<string, string> {
  const page = [
    `<!-- ${GENERATED_MARK} -->`,
    "",
    "# The configuration file",
    "",
    "`lanyard-concierge --config FILE` reads it once, at the start; without the flag it is `concierge.yaml` in the working folder. " +
      "In a cluster the chart writes it, as key `pinniped.yaml` of the ConfigMap `<appName>-config`: set [values of the chart](configuration-chart.md) " +
      "instead of editing it. A change of it through the chart replaces the Pods.",
    "",
    "- Keys are case-insensitive, `null` counts as absent, and unknown keys are ignored.",
    "- A value that breaks a rule stops the start with one line that names the key.",
    "- What may change without a restart (lifetimes, the impersonation proxy) stands in the " +
      "[CredentialIssuer](reference/credentialissuer.md), not here.",
    "",
    "| Key | Type | Default | Rules | Meaning |",
    "| --- | --- | --- | --- | --- |",
    ...configurationKeys.map(row),
    "",
    "Two things are not in it, but in the environment: `HTTPS_PROXY` and `NO_PROXY` (also in lower case) name the proxy for calls to " +
      "issuers and webhooks. `NODE_OPTIONS` and what else could change the runtime or its trust stop the start.",
  ];
  return new Map([["docs/configuration.md", `${page.join("\n")}\n`]]);
}

function row({ path, type, defaultValue, rules, meaning }: ConfigurationKey): string {
  const fallback = defaultValue === undefined ? "" : `\`${JSON.stringify(defaultValue)}\``;
  return `| \`${path}\` | ${type} | ${fallback} | ${(rules ?? "").replaceAll("|", "\\|")} | ${meaning} |`;
}
