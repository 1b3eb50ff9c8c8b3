import { Type } from "./type.ts";
import type { KubernetesObject, ResourceType } from "../kube/objects.ts";
import { API_VERSION, objectSchema } from "./kind.ts";
import type { AggregatedKind } from "./kind.ts";
import type { TypeOf } from "./schema.ts";

const user = Type.Object(
  {
    username: Type.String({ description: "The user's name.", default: "" }),
    uid: Type.Optional(
      Type.String({ description: "What tells users apart who had the same name over time." }),
    ),
    groups: Type.Optional(
      Type.Array(Type.String(), { description: "The groups that the user is in, in the order they came." }),
    ),
    extra: Type.Optional(
      Type.Unsafe<Record<string, string[]>>({
        type: "object",
        additionalProperties: { type: "array", items: { type: "string" } },
        description: "What else the way of authenticating says about the user.",
      }),
    ),
  },
  { description: "The user, as authenticated." },
);

const kubernetesUserInfo = Type.Object(
  {
    user,
    audiences: Type.Optional(
      Type.Array(Type.String(), {
        description: "The audiences of the token that was used, where it has any.",
      }),
    ),
  },
  {
    description: "Who the Kubernetes API takes the caller for.",
  },
);

const spec = Type.Object({}, { description: "Empty: the request asks about its own caller." });

const status = Type.Object({ kubernetesUserInfo }, { description: "The answer." });

const schema = objectSchema(
  "A WhoAmIRequest tells its caller who the cluster takes them for. Nothing of it is stored.",
  Type.Optional(spec),
  { status: Type.Optional(status) },
);

/** `status` of a WhoAmIRequest (contract 3). */
export type WhoAmIRequestStatus = TypeOf<typeof status>;

/** `status.kubernetesUserInfo` of a WhoAmIRequest. */
export type KubernetesUserInfo = TypeOf<typeof kubernetesUserInfo>;

/** `status.kubernetesUserInfo.user` of a WhoAmIRequest. */
export type UserInfo = TypeOf<typeof user>;

/** `identity.concierge.pinniped.dev/v1alpha1 WhoAmIRequest`. */
export interface WhoAmIRequest extends KubernetesObject {
  readonly spec?: Readonly<Record<string, never>>;
  readonly status?: WhoAmIRequestStatus;
}

/** Where WhoAmIRequests are created. */
export const whoAmIRequests: ResourceType<WhoAmIRequest> = {
  group: "identity.concierge.pinniped.dev",
  version: API_VERSION,
  kind: "WhoAmIRequest",
  plural: "whoamirequests",
  namespaced: false,
};

/** All that the generators need to know about WhoAmIRequests (contract 1.1). */
export const whoAmIRequestKind: AggregatedKind<WhoAmIRequest> = {
  backing: "aggregated",
  resource: whoAmIRequests,
  singular: "whoamirequest",
  listKind: "WhoAmIRequestList",
  categories: ["pinniped"],
  verbs: ["create", "list"],
  schema,
};
