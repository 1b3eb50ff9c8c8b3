import type { ClusterCredential } from "../cache/credential.ts";
import { goJson } from "../../go-json.ts";

/** The versions of `client.authentication.k8s.io` that clients ask in. */
export type ExecCredentialVersion = "v1beta1" | "v1";

/**
 * The one line that a credential plugin prints, without its newline (contract cli.md 3). A client refuses an answer in another version
 * than it asked in, so `version` is that of `KUBERNETES_EXEC_INFO`, v1beta1 without one.
 */
export function execCredentialLine(
  credential: ClusterCredential,
  version: ExecCredentialVersion = "v1beta1",
): string {
  const { expirationTimestamp, token, clientCertificateData, clientKeyData } = credential;
  return goJson({
    kind: "ExecCredential",
    apiVersion: `client.authentication.k8s.io/${version}`,
    spec: { interactive: false },
    status: {
      expirationTimestamp: expirationTimestamp || undefined,
      token: token || undefined,
      clientCertificateData: clientCertificateData || undefined,
      clientKeyData: clientKeyData || undefined,
    },
  });
}
