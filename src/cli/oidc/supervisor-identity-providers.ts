import { messageOf } from "../../errors.ts";
import { loginError, withAuditId } from "./failed-call.ts";
import { getDocument } from "./get-document.ts";
import type { LoginCall } from "./login-call.ts";
import { text } from "./provider.ts";

/** An entry of a Supervisor's list (contract supervisor.md 4.1). */
export interface SupervisorIdentityProvider {
  readonly name: string;
  readonly type: string;
  readonly flows: readonly string[];
}

export interface SupervisorIdentityProviders {
  readonly identityProviders: readonly SupervisorIdentityProvider[];
  /** Sorted; empty where an old Supervisor does not tell. */
  readonly supportedTypes: readonly string[];
}

/** Reads the list at the endpoint that discovery named (contract cli.md 4.4). */
export async function fetchSupervisorIdentityProviders(
  call: Pick<LoginCall, "http" | "signal">,
  endpoint: string,
): Promise<SupervisorIdentityProviders> {
  const answer = await getDocument(call.http, endpoint, call.signal).catch((error: unknown) => {
    throw loginError(`IDP Discovery response error: ${messageOf(error)}`, error);
  });
  if (answer.status !== 200) {
    throw loginError(
      withAuditId(
        `unable to fetch IDP discovery data from issuer: unexpected http response status: ${answer.statusLine}`,
        answer.auditId,
      ),
    );
  }
  let body: unknown;
  try {
    body = JSON.parse(answer.body);
  } catch (error) {
    throw loginError(
      `unable to fetch the Pinniped IDP discovery document: could not parse response JSON: ${messageOf(error)}`,
      error,
    );
  }
  const document = objectOf(body);
  return {
    identityProviders: objects(document["pinniped_identity_providers"]).map((entry) => ({
      name: text(entry["name"]) ?? "",
      type: text(entry["type"]) ?? "",
      flows: Array.isArray(entry["flows"])
        ? entry["flows"].filter((flow): flow is string => typeof flow === "string")
        : [],
    })),
    supportedTypes: objects(document["pinniped_supported_identity_provider_types"])
      .map((entry) => text(entry["type"]) ?? "")
      .toSorted(),
  };
}

function objects(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(objectOf) : [];
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
