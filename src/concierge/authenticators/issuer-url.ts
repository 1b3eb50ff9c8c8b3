import type { ConditionFinding } from "../../kube/conditions.ts";
import { parseGoUrl } from "./go-url.ts";

export const WELL_KNOWN_PATH = "/.well-known/openid-configuration";

/** The condition `IssuerURLValid` (contract 4.4): the first rule that fails decides. */
export function checkIssuerUrl(issuer: string): ConditionFinding {
  const { url, error } = parseGoUrl(issuer);
  if (url === undefined) {
    return refusal("InvalidIssuerURL", `spec.issuer URL is invalid: ${error}`);
  }
  if (url.scheme !== "https") {
    return refusal("InvalidIssuerURLScheme", `spec.issuer ${issuer} has invalid scheme, require 'https'`);
  }
  if (url.path.endsWith(WELL_KNOWN_PATH)) {
    return refusal(
      "InvalidIssuerURLContainsWellKnownEndpoint",
      `spec.issuer ${issuer} cannot include path '${WELL_KNOWN_PATH}'`,
    );
  }
  if (url.rawQuery !== "") {
    return refusal(
      "InvalidIssuerURLContainsQueryParams",
      `spec.issuer ${issuer} cannot include query params`,
    );
  }
  if (url.fragment !== "") {
    return refusal("InvalidIssuerURLContainsFragment", `spec.issuer ${issuer} cannot include fragment`);
  }
  return { type: "IssuerURLValid", status: "True", reason: "Success", message: "issuer is a valid URL" };
}

function refusal(reason: string, message: string): ConditionFinding {
  return { type: "IssuerURLValid", status: "False", reason, message };
}
