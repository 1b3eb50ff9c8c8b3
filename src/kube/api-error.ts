import { LanyardError } from "../errors.ts";

/** `metav1.Status` as an API server sends it. */
export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly status?: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

/** `metav1.StatusDetails`. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly {
    readonly reason?: string;
    readonly message?: string;
    readonly field?: string;
  }[];
  readonly retryAfterSeconds?: number;
}

/** An API server's refusal; `message` is the one of its `Status`. */
export class KubernetesApiError extends LanyardError {
  readonly status: Status;

  constructor(status: Status) {
    super({
      code: `kubernetes.${(status.reason ?? "Unknown").toLowerCase()}`,
      message: status.message ?? `the API server answered ${status.code ?? "without a code"}`,
      httpStatus: status.code,
    });
    this.name = "KubernetesApiError";
    this.status = status;
  }

  get reason(): string {
    return this.status.reason ?? "";
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubernetesApiError && error.reason === "NotFound";
}

export function isConflict(error: unknown): boolean {
  return error instanceof KubernetesApiError && error.reason === "Conflict";
}

export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubernetesApiError && error.reason === "AlreadyExists";
}
