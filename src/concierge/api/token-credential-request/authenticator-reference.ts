import { defaultApiGroupSuffix, unreplaceApiGroupSuffix } from "../../../kube/api-group-suffix.ts";

/** Which authenticator a request names, group in the `pinniped.dev` form. */
export interface RequestedAuthenticator {
  readonly apiGroup: string;
  readonly kind: string;
  readonly name: string;
}

interface WireReference {
  readonly apiGroup?: string | null;
  readonly kind?: string | null;
  readonly name?: string | null;
}

/**
 * `spec.authenticator` as look-ups and audit lines use it (contract 1.2). With the default suffix the group is taken as
 * it came, nothing being empty; with another one, a group without that tail becomes one that never matches, so that the
 * answer is an ordinary failed authentication. `now` in milliseconds.
 */
export function requestedAuthenticator(
  reference: WireReference | null | undefined,
  apiGroupSuffix: string,
  now: number,
): RequestedAuthenticator {
  const group = reference?.apiGroup ?? undefined;
  const rest = { kind: reference?.kind ?? "", name: reference?.name ?? "" };
  if (apiGroupSuffix === defaultApiGroupSuffix) {
    return { apiGroup: group ?? "", ...rest };
  }
  if (group === undefined || !group.endsWith(`.${apiGroupSuffix}`)) {
    return { apiGroup: `_INVALID_API_GROUP_${new Date(now).toISOString()}`, ...rest };
  }
  return { apiGroup: unreplaceApiGroupSuffix(group, apiGroupSuffix), ...rest };
}
