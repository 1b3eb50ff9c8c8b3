import type { Authorizer, RequestAttributes } from "./authorizer.ts";

const READ = new Set(["get", "head"]);
const EXACT_PATHS = new Set([
  "/",
  "/version",
  "/healthz",
  "/livez",
  "/readyz",
  "/apis",
  "/openapi/v2",
  "/openapi/v3",
]);

/**
 * What anybody may do where there is no cluster to ask (S22): exchange, WhoAmI, discovery, OpenAPI and health; nothing
 * else. `groups` are the two served API groups.
 */
export function createFixedAuthorizer(groups: {
  readonly login: string;
  readonly identity: string;
}): Authorizer {
  const resources = new Map([
    [groups.login, "tokencredentialrequests"],
    [groups.identity, "whoamirequests"],
  ]);
  const allows = (attributes: RequestAttributes): boolean => {
    if (attributes.kind === "resource") {
      const { group, version, resource, subresource, verb, namespace } = attributes;
      return (
        resources.get(group) === resource &&
        version === "v1alpha1" &&
        subresource === "" &&
        namespace === "" &&
        (verb === "create" || verb === "list")
      );
    }
    if (!READ.has(attributes.verb)) {
      return false;
    }
    if (EXACT_PATHS.has(attributes.path)) {
      return true;
    }
    return [...resources.keys()].some((group) =>
      [`/apis/${group}`, `/apis/${group}/v1alpha1`, `/openapi/v3/apis/${group}/v1alpha1`].includes(
        attributes.path,
      ),
    );
  };
  return {
    authorize: (_user, attributes) =>
      Promise.resolve(
        allows(attributes)
          ? { allowed: true, reason: "" }
          : { allowed: false, reason: "not on the fixed list of standalone mode" },
      ),
  };
}
