import { badRequest, invalid, StatusError } from "../../request/status.ts";
import { refuseDryRun } from "../dry-run.ts";

export interface ValidationInput {
  /** `spec.token`. */
  readonly token: string;
  /** `metadata.name`. */
  readonly name: string;
  /** Values of `?dryRun`. */
  readonly dryRun: readonly string[];
  /** Of the request's path; a cluster-scoped kind has none. */
  readonly namespace: string;
}

/** Texts name the default group whatever the suffix is (contract 1.2). */
const GROUP = "login.concierge.pinniped.dev";

/** The checks of contract 2.2, in that order; each refusal is a `StatusError`. */
export function validateTokenCredentialRequest({ token, name, dryRun, namespace }: ValidationInput): void {
  if (token === "") {
    throw new StatusError(
      invalid({ group: GROUP, kind: "" }, name, [
        {
          type: "FieldValueRequired",
          body: "Required value: token must be supplied",
          field: "spec.token.value",
        },
      ]),
    );
  }
  refuseDryRun(GROUP, name, dryRun);
  if (namespace !== "") {
    throw new StatusError(badRequest(`namespace is not allowed on TokenCredentialRequest: ${namespace}`));
  }
}
