import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { createLoopbackCertificate } from "../oidc/certificates.ts";
import { startIssuer } from "../oidc/issuer.ts";
import { authenticationGroup } from "../integration/harness/exchange.ts";

/**
 * Inside the network of a node cluster: an OIDC issuer at `address`, which Pods can reach, with the user ada of the group
 * engineers, and a JWTAuthenticator of this name for it.
 */
export async function startNodeIssuer(
  address: string,
  authenticator: string,
): ReturnType<typeof startIssuer> {
  const issuer = await startIssuer({
    users: [{ username: "ada", groups: ["engineers"] }],
    certificate: await createLoopbackCertificate({ ipAddresses: [address], dnsNames: [] }),
    host: address,
    listenAddress: address,
  });
  kubectl(["apply", "--filename=-"], {
    apiVersion: `${authenticationGroup}/v1alpha1`,
    kind: "JWTAuthenticator",
    metadata: { name: authenticator },
    spec: {
      issuer: issuer.issuerUrl,
      audience: issuer.clientId,
      tls: { certificateAuthorityData: Buffer.from(issuer.caPem).toString("base64") },
    },
  });
  return issuer;
}

/** kubectl of a program that runs inside the cluster's network, with the administrator's KUBECONFIG. */
export function kubectl(args: readonly string[], input?: object): string {
  const { status, stdout, stderr } = spawnSync("kubectl", [...args], {
    encoding: "utf8",
    input: input === undefined ? "" : JSON.stringify(input),
  });
  if (status !== 0) {
    throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  }
  return stdout;
}

/** The kube-apiserver of a program that runs inside the cluster's network, as its KUBECONFIG names it. */
export function apiServer(): { readonly server: string; readonly caPem: string } {
  const { clusters } = parse(readFileSync(process.env["KUBECONFIG"] ?? "", "utf8")) as {
    readonly clusters: readonly {
      readonly cluster: { readonly server: string; readonly "certificate-authority-data": string };
    }[];
  };
  const cluster = clusters[0]?.cluster;
  return {
    server: cluster?.server ?? "",
    caPem: Buffer.from(cluster?.["certificate-authority-data"] ?? "", "base64").toString("utf8"),
  };
}
