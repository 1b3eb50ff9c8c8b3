import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface AuthenticatorStatus {
  readonly kind: string;
  readonly name: string;
  /** `Ready`, `Pending`, `Error`; empty while nothing is known. */
  readonly phase: string;
  /** The first condition that is false, as one line. */
  readonly problem: string | undefined;
}

interface StoredAuthenticator {
  readonly object: {
    readonly kind: string;
    readonly metadata: { readonly name: string };
    readonly status?: {
      readonly phase?: string;
      readonly conditions?: readonly {
        readonly type: string;
        readonly status: string;
        readonly message: string;
      }[];
    };
  };
}

/** What a standalone server found out about its authenticators: the statuses in its state folder, one file per object. */
export function authenticatorStatuses(stateFolder: string): readonly AuthenticatorStatus[] {
  return globSync("*.authentication.concierge.pinniped.dev/*/*.json", { cwd: stateFolder })
    .toSorted()
    .map((file) => {
      const { object } = JSON.parse(readFileSync(join(stateFolder, file), "utf8")) as StoredAuthenticator;
      return {
        kind: object.kind,
        name: object.metadata.name,
        phase: object.status?.phase ?? "",
        // Ready only repeats that another one is false.
        problem: object.status?.conditions?.find(({ type, status }) => status === "False" && type !== "Ready")
          ?.message,
      };
    });
}
