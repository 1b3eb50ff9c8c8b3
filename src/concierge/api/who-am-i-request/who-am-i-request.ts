import { replaceApiGroupSuffix } from "../../../kube/api-group-suffix.ts";
import { API_VERSION } from "../../../resources/kind.ts";
import { whoAmIRequestKind } from "../../../resources/who-am-i-request.ts";
import type { Identity } from "../../../identity/identity.ts";
import { badRequest, internalError, StatusError } from "../../request/status.ts";
import type { Collection } from "../collections.ts";
import { refuseDryRun } from "../dry-run.ts";

/** `whoamirequests` (contract 3): the caller as authenticated, unchanged. */
export function createWhoAmIRequestCollection(options: { readonly apiGroupSuffix: string }): Collection {
  const group = replaceApiGroupSuffix(whoAmIRequestKind.resource.group, options.apiGroupSuffix);
  return {
    kind: whoAmIRequestKind,
    group,
    create: async ({ name, dryRun, context }) => {
      refuseDryRun(whoAmIRequestKind.resource.group, name, dryRun);
      const { attributes, identity } = context;
      if (attributes.kind === "resource" && attributes.namespace !== "") {
        throw new StatusError(
          badRequest(`namespace is not allowed on WhoAmIRequest: ${attributes.namespace}`),
        );
      }
      if (identity.username === "") {
        throw new StatusError(internalError("no user info on request"));
      }
      return {
        kind: whoAmIRequestKind.resource.kind,
        apiVersion: `${group}/${API_VERSION}`,
        metadata: { creationTimestamp: null },
        spec: {},
        status: { kubernetesUserInfo: { user: userInfo(identity) } },
      };
    },
  };
}

/** `UserInfo` in Go's key order, empty values left out, extra keys sorted by their bytes. */
function userInfo({ username, uid, groups, extra }: Identity): object {
  const entries = Object.entries(extra).toSorted(([a], [b]) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  return {
    username,
    ...(uid === undefined || uid === "" ? {} : { uid }),
    ...(groups.length === 0 ? {} : { groups }),
    ...(entries.length === 0 ? {} : { extra: Object.fromEntries(entries) }),
  };
}
