import type { Identity } from "../../identity/identity.ts";

/** What a request wants, as a SubjectAccessReview asks it (`k8s.io/apiserver RequestInfo`). */
export type RequestAttributes =
  | {
      readonly kind: "resource";
      readonly verb: string;
      readonly group: string;
      readonly version: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly kind: "path"; readonly verb: string; readonly path: string };

export interface AuthorizationDecision {
  readonly allowed: boolean;
  readonly reason: string;
}

/** May this user do this? Throws when no answer could be had, which is a refusal (S4). */
export interface Authorizer {
  authorize(user: Identity, attributes: RequestAttributes): Promise<AuthorizationDecision>;
  /** The decision that needs no answer from anywhere, if there is one now; what `authorize` would answer. */
  known?(user: Identity, attributes: RequestAttributes): AuthorizationDecision | undefined;
}
