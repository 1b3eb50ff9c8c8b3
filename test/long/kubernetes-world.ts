import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureKubernetes, type KubernetesRelease } from "../../hack/cluster/binaries.ts";
import { writeKubeconfig } from "../../hack/cluster/kubeconfig.ts";
import type { CommandResult } from "../../hack/cluster/run-command.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { eventually } from "../integration/harness/eventually.ts";
import type { IssuedCertificate } from "../integration/harness/exchange.ts";
import { readText } from "../integration/harness/http.ts";
import { type ProxyWorld, startProxyWorld } from "../integration/harness/proxy-world.ts";

/** Whose signature a certificate has. */
export type SignedBy =
  /** The cluster's CA, through the CertificateSigningRequest API: the kube-apiserver takes it. */
  | "cluster"
  /** The impersonation proxy's CA, which the kube-apiserver does not know. */
  | "proxy";

/** A Kubernetes of that release with the Concierge in it, and users who have logged in. */
export interface KubernetesWorld {
  readonly world: ProxyWorld;
  certificate(user: string, signedBy: SignedBy): IssuedCertificate;
  /** This Kubernetes' own kubectl, through the impersonation proxy. */
  kubectlThroughProxy(user: string, args: readonly string[]): Promise<CommandResult>;
  stop(): Promise<void>;
}

/** `users` are usernames and their groups. */
export async function startKubernetesWorld(
  release: KubernetesRelease,
  users: Readonly<Record<string, readonly string[]>>,
): Promise<KubernetesWorld> {
  // Says what it does, as it takes minutes the first time.
  await ensureKubernetes(undefined, release);
  const world = await startProxyWorld({
    name: `versions-${release}`,
    kubernetes: release,
    values: [
      "kubeCertAgent.enabled=false",
      "certificateSigningRequestAPI.mode=Enabled",
      // Kubernetes signs for ten minutes or longer.
      "clientCertificate.maximumLifetimeSeconds=900",
    ],
  });
  const folder = mkdtempSync(join(tmpdir(), "lanyard-versions-"));
  const stop = async (): Promise<void> => {
    rmSync(folder, { recursive: true, force: true });
    await world.stop();
  };
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  try {
    const cluster = await logIn(world, users, "cluster");
    await kubectl(world.cluster, [
      "patch",
      "credentialissuer",
      `${world.installation.app}-config`,
      "--type=merge",
      `--patch=${JSON.stringify({ spec: { certificateSigningRequestAPI: { mode: "Disabled" } } })}`,
    ]);
    const certificates = { cluster, proxy: await logIn(world, users, "proxy") };
    const certificate = (user: string, signedBy: SignedBy): IssuedCertificate =>
      certificates[signedBy].get(user) ?? assert.fail(`${user} did not log in`);
    return {
      world,
      certificate,
      kubectlThroughProxy: (user, args) => {
        const { certificatePem, privateKeyPem } = certificate(user, "proxy");
        const kubeconfig = join(folder, `${user}.conf`);
        writeKubeconfig(kubeconfig, world.proxy.server, file("proxy-ca.crt", world.proxy.caPem), {
          name: user,
          clientCertificate: {
            cert: file(`${user}.crt`, certificatePem),
            key: file(`${user}.key`, privateKeyPem),
          },
        });
        return world.cluster.exec(["kubectl", `--kubeconfig=${kubeconfig}`, ...args]);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function logIn(
  world: ProxyWorld,
  users: Readonly<Record<string, readonly string[]>>,
  signedBy: SignedBy,
): Promise<ReadonlyMap<string, IssuedCertificate>> {
  const { publicKey } = new X509Certificate(readText(world.cluster.ca.cert));
  const certificates = new Map<string, IssuedCertificate>();
  for (const [user, groups] of Object.entries(users)) {
    const issued = await eventually(
      `a certificate of the ${signedBy} for ${user}\n${world.logs()}`,
      async () => {
        const candidate = await world.login(user, groups);
        const isClusters = new X509Certificate(candidate.certificatePem).verify(publicKey);
        return isClusters === (signedBy === "cluster") ? candidate : undefined;
      },
    );
    certificates.set(user, issued);
  }
  return certificates;
}
