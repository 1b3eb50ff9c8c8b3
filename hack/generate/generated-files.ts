import { chartValuesFiles } from "./chart-values.ts";
import { conciergeConfigurationFiles } from "./concierge-configuration.ts";
import { customResourceDefinitionFiles } from "./custom-resource-definitions.ts";
import { referenceFiles } from "./reference.ts";

/** Every generated file of the repository: path and content. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ...customResourceDefinitionFiles(),
    ...referenceFiles(),
    ...chartValuesFiles(),
    ...conciergeConfigurationFiles(),
  ]);
}
