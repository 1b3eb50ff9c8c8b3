import { Type } from "./type.ts";
import type { Condition } from "../kube/objects.ts";

/** `metav1.Condition` with the validation rules that Kubernetes generates for it. */
const condition = Type.Object(
  {
    type: Type.String({
      description: "What the condition is about, in CamelCase; one condition per type.",
      maxLength: 316,
      pattern:
        "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
    }),
    status: Type.Unsafe<Condition["status"]>({
      type: "string",
      enum: ["True", "False", "Unknown"],
      description: "Whether the condition holds: True, False or Unknown.",
    }),
    reason: Type.String({
      description: "One word in CamelCase that programs can read: why the condition has this status.",
      minLength: 1,
      maxLength: 1024,
      pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    }),
    message: Type.String({
      description: "For people: details about the status; may be empty.",
      maxLength: 32768,
    }),
    observedGeneration: Type.Optional(
      Type.Integer({
        description:
          "The metadata.generation that was looked at. Older than the object's generation means: out of date.",
        format: "int64",
        minimum: 0,
      }),
    ),
    lastTransitionTime: Type.String({
      description: "When the status last changed from one value to another.",
      format: "date-time",
    }),
  },
  { description: "One observation about the state of the object." },
);

/** The list of conditions of a status, at most one per type. */
export const conditions = Type.Unsafe<Condition[]>(
  Type.Array(condition, {
    description: "What was observed about this object, one entry per type of condition.",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
  }),
);
