import { chartValuesFiles } from "./chart-values.ts";
import { conciergeConfigurationFiles } from "./concierge-configuration.ts";
import { customResourceDefinitionFiles } from "./custom-resource-definitions.ts";
import { referenceFiles } from "./reference.ts";
import { sha256ModuleFiles } from "./sha256-module.ts";

/** Every generated file of the repository: path and content. */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ...customResourceDefinitionFiles(),
    ...referenceFiles(),
    ...chartValuesFiles(),
    ...conciergeConfigurationFiles(),
    ...(await sha256ModuleFiles()),
  ]);
}
