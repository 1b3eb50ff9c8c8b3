import { Type } from "./type.ts";
import type { TSchema } from "typebox";
import type { KubernetesObject, ObjectMeta, ResourceType } from "../kube/objects.ts";
import type { JsonSchema } from "./schema.ts";

/** The one version of every kind. */
export const API_VERSION = "v1alpha1";

/** `additionalPrinterColumns` of a CustomResourceDefinition. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "date";
  readonly jsonPath: string;
}

/** The OpenAPI name of `metav1.ObjectMeta`. */
export const OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

interface BaseKind<T extends KubernetesObject> {
  readonly resource: ResourceType<T>;
  readonly singular: string;
  readonly listKind: string;
  readonly categories: readonly string[];
  readonly schema: JsonSchema;
}

/** A kind that the kube-apiserver stores for us. */
export interface CustomResourceKind<T extends KubernetesObject = KubernetesObject> extends BaseKind<T> {
  readonly backing: "crd";
  readonly printerColumns: readonly PrinterColumn[];
}

/** A kind that our aggregated API answers for; nothing is stored. */
export interface AggregatedKind<T extends KubernetesObject = KubernetesObject> extends BaseKind<T> {
  readonly backing: "aggregated";
  readonly verbs: readonly string[];
}

/** Any of our kinds. */
export type ResourceKind = CustomResourceKind | AggregatedKind;

/** The column that shows an object's age, last in every table. */
export const AGE_COLUMN: PrinterColumn = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
};

/** The name of a type in OpenAPI documents: the group's labels turned round, the version, the type. */
export function definitionName(group: string, typeName: string): string {
  return [...group.split(".").toReversed(), API_VERSION, typeName].join(".");
}

/** The fields that every kind has, with what makes them up. */
export function objectSchema(
  description: string,
  spec: TSchema,
  rest: Readonly<Record<string, TSchema>>,
): TSchema {
  return Type.Object(
    {
      apiVersion: Type.Optional(
        Type.String({
          description: "The group and version that the fields of this object follow, as <group>/<version>.",
        }),
      ),
      kind: Type.Optional(Type.String({ description: "The name of the type of this object, in CamelCase." })),
      metadata: Type.Optional(
        Type.Unsafe<ObjectMeta>({
          type: "object",
          "x-lanyard-ref": OBJECT_META,
          description: "Name, labels, annotations and what the server keeps about every object.",
        }),
      ),
      spec,
      ...rest,
    },
    { description },
  );
}
