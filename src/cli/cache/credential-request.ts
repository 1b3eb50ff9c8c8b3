import type { CommandContext } from "../context.ts";
import type { ParentProcess } from "./parent-process.ts";

/** Which credential is asked for, where it may be kept, and for whom. */
export interface CredentialRequest {
  readonly context: Pick<
    CommandContext,
    "environment" | "platform" | "clock" | "log" | "signal" | "userId" | "parentProcessId"
  >;
  /** Path of `credentials.yaml`; "" disables the cache. */
  readonly file: string;
  /** `cacheKey(...)` */
  readonly key: string;
  /** Whether a Concierge issues it; else it is an ID token. */
  readonly fromConcierge: boolean;
  /** Whose clock counts, as `IssuedCredential.endpoint` says it. */
  readonly endpoint?: string | undefined;
  /** Whether KUBERNETES_EXEC_INFO is set: a client asks, and not a person at a shell. */
  readonly execInfoGiven: boolean;
  /** How the parent process is found, if not as the platform does it. */
  readonly readParent?: (
    processId: number,
    now: number,
  ) => ParentProcess | undefined | Promise<ParentProcess | undefined>;
}
