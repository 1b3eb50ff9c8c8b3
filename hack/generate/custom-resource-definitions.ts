import { stringify } from "yaml";

import { customResourceDefinition } from "../../src/resources/crd.ts";
import { customResourceKinds } from "../../src/resources/kinds.ts";
import { GENERATED_MARK } from "./files.ts";

/**
 * The CRDs for the default suffix, where Helm installs them from, and both forms (with and without the additive fields) for the
 * chart that can render them for any suffix.
 */
export function customResourceDefinitionFiles(): ReadonlyMap<string, string> {
  return new Map(
    customResourceKinds.flatMap((kind) => {
      const file = `${kind.resource.group}_${kind.resource.plural}.yaml`;
      const forms: readonly [string, string][] = [
        [
          `charts/lanyard-concierge/crds/${file}`,
          manifest(customResourceDefinition(kind, { labels: { app: "lanyard-concierge" } })),
        ],
        [
          `charts/lanyard-concierge-crds/generated/extended/${file}`,
          manifest(customResourceDefinition(kind, { extensions: true })),
        ],
        [
          `charts/lanyard-concierge-crds/generated/plain/${file}`,
          manifest(customResourceDefinition(kind, { extensions: false })),
        ],
      ];
      return forms;
    }),
  );
}

function manifest(object: object): string {
  return `# ${GENERATED_MARK}\n${stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}
