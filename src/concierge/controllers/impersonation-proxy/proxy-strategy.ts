import { messageOf } from "../../../errors.ts";
import type { StrategyReport } from "../credential-issuer-status.ts";
import { isPending } from "./setup-fault.ts";

/** What the strategy `ImpersonationProxy` says (contract 5.3). */
type ProxyReport = StrategyReport & { readonly type: "ImpersonationProxy" };

function error(reason: StrategyReport["reason"], message: string): ProxyReport {
  return { type: "ImpersonationProxy", status: "Error", reason, message };
}

/** Mode `disabled`. */
export const explicitlyDisabled = error(
  "Disabled",
  "impersonation proxy was explicitly disabled by configuration",
);

/** Mode `auto`, and the cluster shows control-plane nodes. */
export const automaticallyDisabled = error(
  "Disabled",
  "automatically determined that impersonation proxy should be disabled",
);

/** No name yet, whatever Service it is to come from. */
export const endpointUnknown = error(
  "Pending",
  "waiting for load balancer Service to be assigned IP or hostname",
);

/** `clientEndpoint` is `host` or `host:port`. */
export function listening(clientEndpoint: string, caPem: string): ProxyReport {
  return {
    type: "ImpersonationProxy",
    status: "Success",
    reason: "Listening",
    message: "impersonation proxy is ready to accept client connections",
    frontend: {
      type: "ImpersonationProxy",
      impersonationProxyInfo: {
        endpoint: `https://${clientEndpoint}`,
        certificateAuthorityData: Buffer.from(caPem).toString("base64"),
      },
    },
  };
}

/** The server did not start, or it died. */
export function serverFailed(message: string): ProxyReport {
  return error("ErrorDuringSetup", message === "" ? "the impersonation proxy's server failed" : message);
}

/** What passes by itself is `Pending`: clients wait for that and give up on `ErrorDuringSetup`. */
export function setupFailed(fault: unknown): ProxyReport {
  const message = messageOf(fault);
  return error(
    isPending(fault) ? "Pending" : "ErrorDuringSetup",
    message === "" ? "the impersonation proxy could not be set up" : message,
  );
}
