import { decodeBase64 } from "./ca-bundle.ts";
import { listIn, recordIn, textIn } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

/** How users get into a cluster; as `--concierge-mode` spells it. */
export type ConciergeMode = "TokenCredentialRequestAPI" | "ImpersonationProxy";

export const conciergeModes: readonly ConciergeMode[] = ["TokenCredentialRequestAPI", "ImpersonationProxy"];

/** One of `status.strategies[]` of a CredentialIssuer, for the log. */
export interface StrategySummary {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** Where and by what trust the Concierge is reached. */
export interface Frontend {
  readonly mode: ConciergeMode;
  /** Of the impersonation proxy; the other mode uses the source cluster's own. */
  readonly endpoint: string;
  /** Base64, as the status holds it. */
  readonly caBundleData: string;
}

export function strategySummaries(credentialIssuer: unknown): readonly StrategySummary[] {
  return strategiesOf(credentialIssuer).map((strategy) => ({
    type: textIn(strategy, "type"),
    status: textIn(strategy, "status"),
    reason: textIn(strategy, "reason"),
    message: textIn(strategy, "message"),
  }));
}

export function hasPendingStrategy(credentialIssuer: unknown): boolean {
  return strategySummaries(credentialIssuer).some(({ reason }) => reason === "Pending");
}

function strategiesOf(credentialIssuer: unknown): readonly unknown[] {
  return listIn(recordIn(credentialIssuer)["status"], "strategies");
}

/**
 * The first strategy in the list that works, has a frontend of a known type and is of the mode asked for (contract cli.md 2.3).
 *
 * @throws CommandError `cli.no-strategy`
 */
export function chooseFrontend(credentialIssuer: unknown, mode: ConciergeMode | undefined): Frontend {
  for (const strategy of strategiesOf(credentialIssuer)) {
    const frontend = recordIn(strategy)["frontend"];
    const type = conciergeModes.find((known) => known === textIn(frontend, "type"));
    if (
      textIn(strategy, "status") === "Success" &&
      type !== undefined &&
      (mode === undefined || mode === type)
    ) {
      const proxy = recordIn(frontend)["impersonationProxyInfo"];
      return {
        mode: type,
        endpoint: textIn(proxy, "endpoint"),
        caBundleData: textIn(proxy, "certificateAuthorityData"),
      };
    }
  }
  throw failure(
    "cli.no-strategy",
    mode === undefined
      ? "could not autodiscover --concierge-mode"
      : `could not find successful Concierge strategy matching --concierge-mode=${mode}`,
  );
}

/**
 * The PEM bundle of an impersonation proxy's frontend; empty: the system's roots.
 *
 * @throws CommandError `cli.concierge-ca-bundle`
 */
export function frontendCaBundle({ caBundleData }: Frontend): string {
  const decoded = decodeBase64(caBundleData);
  if ("error" in decoded) {
    throw failure(
      "cli.concierge-ca-bundle",
      `autodiscovered Concierge CA bundle is invalid: ${decoded.error}`,
    );
  }
  return decoded.text;
}
