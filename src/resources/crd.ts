import { defaultApiGroupSuffix, replaceApiGroupSuffix } from "../kube/api-group-suffix.ts";
import { API_VERSION } from "./kind.ts";
import type { CustomResourceKind, PrinterColumn } from "./kind.ts";
import { selectSchema } from "./schema.ts";
import type { JsonSchema } from "./schema.ts";

/** `apiextensions.k8s.io/v1 CustomResourceDefinition`, as far as it is written here. */
export interface CustomResourceDefinition {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly categories: readonly string[];
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
    };
    readonly scope: "Cluster" | "Namespaced";
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly additionalPrinterColumns: readonly PrinterColumn[];
      readonly schema: { readonly openAPIV3Schema: JsonSchema };
      readonly subresources: { readonly status: object };
    }[];
  };
}

/** What may differ between two sets of manifests. */
export interface CustomResourceDefinitionOptions {
  /** Tail of the API groups; `pinniped.dev` unless given. */
  readonly apiGroupSuffix?: string;
  /** False leaves the additive fields out; true unless given. */
  readonly extensions?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
}

/** The manifest that makes the kube-apiserver serve this kind (contract 1.1, 4.1, 5). */
export function customResourceDefinition(
  kind: CustomResourceKind,
  options: CustomResourceDefinitionOptions = {},
): CustomResourceDefinition {
  const { apiGroupSuffix = defaultApiGroupSuffix, extensions = true, labels } = options;
  const group = replaceApiGroupSuffix(kind.resource.group, apiGroupSuffix);
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${kind.resource.plural}.${group}`,
      ...(labels === undefined ? {} : { labels }),
    },
    spec: {
      group,
      names: {
        categories: kind.categories,
        kind: kind.resource.kind,
        listKind: kind.listKind,
        plural: kind.resource.plural,
        singular: kind.singular,
      },
      scope: kind.resource.namespaced ? "Namespaced" : "Cluster",
      versions: [
        {
          name: API_VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: kind.printerColumns,
          schema: { openAPIV3Schema: structuralSchema(kind.schema, { extensions }) },
          subresources: { status: {} },
        },
      ],
    },
  };
}

/** The schema as a CRD takes it: `metadata` is bare, since Kubernetes brings its own. */
export function structuralSchema(schema: JsonSchema, options: { readonly extensions: boolean }): JsonSchema {
  const { properties, ...root } = selectSchema(schema, options);
  return {
    ...root,
    ...(properties === undefined ? {} : { properties: { ...properties, metadata: { type: "object" } } }),
  };
}
