import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { systemClock } from "../../../src/clock.ts";
import { createKubernetesClient } from "../../../src/kube/client.ts";
import { kubeconfigEndpoint } from "../../../src/kube/configuration.ts";
import type { KubernetesClient } from "../../../src/kube/kubernetes-client.ts";
import { type ApiService, apiServices } from "../../../src/kube/resources.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import type { Cluster } from "../../../hack/cluster/cluster.ts";
import type { Installation, Replica } from "./concierge.ts";

export const apiServiceNames = [
  "v1alpha1.login.concierge.pinniped.dev",
  "v1alpha1.identity.concierge.pinniped.dev",
] as const;

/** A client of the kube-apiserver with the administrator's certificate. */
export async function administrator(cluster: Cluster): Promise<KubernetesClient> {
  return createKubernetesClient({
    endpoint: await kubeconfigEndpoint({ path: cluster.superAdminKubeconfig }),
    clock: systemClock,
    log: silentLogger,
    userAgent: "lanyard-test",
  });
}

interface Published {
  /** `caBundle` as PEM. */
  readonly bundlePem: string;
  /** What the aggregator has against the APIService; undefined while it is Available. */
  readonly unavailable: string | undefined;
}

function readApiServices(client: KubernetesClient): Promise<readonly Published[]> {
  return Promise.all(
    apiServiceNames.map(async (name) => {
      const { spec, status } = await client.get<ApiService & { readonly status?: ApiServiceStatus }>(
        apiServices,
        { name },
      );
      const available = status?.conditions?.find(({ type }) => type === "Available");
      return {
        bundlePem: Buffer.from(spec?.caBundle ?? "", "base64").toString("utf8"),
        unavailable: available?.status === "True" ? undefined : JSON.stringify(available),
      };
    }),
  );
}

/** `apiregistration.k8s.io/v1 APIServiceStatus`. */
interface ApiServiceStatus {
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

/** The `caBundle` of both APIServices as PEM. */
export async function publishedBundles(client: KubernetesClient): Promise<readonly string[]> {
  return (await readApiServices(client)).map(({ bundlePem }) => bundlePem);
}

export function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** The leaf that a replica shows in a TLS handshake of its own, as the aggregator's handshake is. */
export function servedCertificate(replica: Replica): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    // Judged by the caller, against more than one bundle.
    const socket = connect({ host: "127.0.0.1", port: replica.port, rejectUnauthorized: false });
    socket.setTimeout(10_000, () => socket.destroy(new Error("no TLS handshake within 10 s")));
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate === undefined) {
        reject(new Error("the server showed no certificate"));
      } else {
        resolve(certificate);
      }
    });
  });
}

/** Why the aggregator would refuse this certificate; undefined when it would not. */
export function refusal(leaf: X509Certificate, bundlePem: string, host: string): string | undefined {
  const now = Date.now();
  const issuers = certificatesOf(bundlePem).filter(
    (ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey) && ca.validToDate.getTime() > now,
  );
  if (issuers.length === 0) {
    return "no CA of the bundle signed it";
  }
  if (leaf.validFromDate.getTime() > now || leaf.validToDate.getTime() < now) {
    return "it is not valid now";
  }
  return leaf.checkHost(host) === undefined ? `it is not for ${host}` : undefined;
}

/** What was served and trusted, one entry per change. */
export interface CertificateChange {
  /** Milliseconds since the watching began. */
  readonly at: number;
  /** A replica's Pod name, or an APIService's name. */
  readonly of: string;
  /** SHA-256 of the leaf, or of each CA in the bundle. */
  readonly fingerprints: readonly string[];
}

export interface CertificateWatch {
  /** One line each: a moment at which a replica's certificate would have been refused, a handshake failed, or the
   * aggregator had something against an APIService. */
  readonly problems: readonly string[];
  readonly changes: readonly CertificateChange[];
  readonly samples: number;
}

/**
 * Looks at the bundles and, by a handshake, at every replica's certificate, every 200 ms. A certificate must verify
 * against the bundles read just before the handshake and against those read just after it, whatever changed in between.
 */
export async function watchCertificates(
  installation: Installation,
  client: KubernetesClient,
): Promise<{ stop(): Promise<CertificateWatch>; changes(): readonly CertificateChange[] }> {
  const host = `${installation.app}-api.${installation.namespace}.svc`;
  const problems: string[] = [];
  const changes: CertificateChange[] = [];
  const known = new Map<string, string>();
  const started = performance.now();
  const stopping = new AbortController();
  let samples = 0;

  const since = (): number => Math.round(performance.now() - started);
  const note = (of: string, certificates: readonly X509Certificate[]): void => {
    const fingerprints = certificates.map(({ fingerprint256 }) => fingerprint256);
    if (known.get(of) !== fingerprints.join()) {
      known.set(of, fingerprints.join());
      changes.push({ at: since(), of, fingerprints });
    }
  };
  const readBundles = async (): Promise<readonly string[]> => {
    const published = await readApiServices(client);
    published.forEach(({ bundlePem, unavailable }, index) => {
      const name = apiServiceNames[index] ?? "";
      note(name, certificatesOf(bundlePem));
      if (unavailable !== undefined) {
        problems.push(`${since()} ms: ${name} is not Available: ${unavailable}`);
      }
    });
    return published.map(({ bundlePem }) => bundlePem);
  };
  const serve = async (replica: Replica, before: readonly string[]): Promise<X509Certificate | undefined> => {
    try {
      const leaf = await servedCertificate(replica);
      note(replica.podName, [leaf]);
      judge(replica, leaf, before, "before");
      return leaf;
    } catch (error) {
      problems.push(`${since()} ms: ${replica.podName}: ${String(error)}`);
      return undefined;
    }
  };
  const judge = (replica: Replica, leaf: X509Certificate, bundles: readonly string[], when: string): void => {
    bundles.forEach((pem, index) => {
      const reason = refusal(leaf, pem, host);
      if (reason !== undefined) {
        problems.push(
          `${since()} ms: ${replica.podName}: by the bundle of ${apiServiceNames[index]} read just ${when}: ${reason}`,
        );
      }
    });
  };
  const run = async (first: readonly string[]): Promise<void> => {
    let before = first;
    while (!stopping.signal.aborted) {
      const next = new Promise((resolve) => setTimeout(resolve, 200));
      const leaves = await Promise.all(installation.replicas.map((replica) => serve(replica, before)));
      const after = await readBundles();
      installation.replicas.forEach((replica, index) => {
        const leaf = leaves[index];
        if (leaf !== undefined) {
          judge(replica, leaf, after, "after");
        }
      });
      before = after;
      samples++;
      await next;
    }
  };
  const running = run(await readBundles());
  // Without a listener a failed read would end the test run before anybody asks for the result.
  running.catch(() => {});
  return {
    changes: () => [...changes],
    stop: async () => {
      stopping.abort();
      await running;
      return { problems, changes, samples };
    },
  };
}
