import { LanyardError, messageOf } from "../../errors.ts";
import type { KubernetesEndpoint } from "../../kube/configuration.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";

const TIMEOUT_MILLISECONDS = 10_000;

/** The same API server, for somebody who is nobody. */
export function withoutCredentials(endpoint: KubernetesEndpoint): KubernetesEndpoint {
  const { token: _token, clientCertificate: _clientCertificate, ...anonymous } = endpoint;
  return anonymous;
}

/**
 * Whether the kube-apiserver lets anonymous requests in (contract 7.2): one `GET /healthz` without any credential. Throws
 * `impersonator.anonymousUnknown` when the answer says neither; the proxy does not start then.
 */
export async function probeAnonymousAuthentication(options: {
  /** Of `withoutCredentials`. */
  readonly client: Pick<KubernetesClient, "raw">;
  readonly signal?: AbortSignal | undefined;
}): Promise<boolean> {
  const { client, signal } = options;
  let status: number;
  try {
    ({ status } = await client.raw({
      method: "GET",
      path: "/healthz",
      timeoutMilliseconds: TIMEOUT_MILLISECONDS,
      ...(signal === undefined ? {} : { signal }),
    }));
  } catch (error) {
    throw unknown(messageOf(error), error);
  }
  switch (status) {
    case 200:
    case 403:
      return true;
    case 401:
      return false;
    default:
      throw unknown(`the kube-apiserver answered /healthz with status ${status}`);
  }
}

function unknown(why: string, cause?: unknown): LanyardError {
  return new LanyardError({
    code: "impersonator.anonymousUnknown",
    message: `could not detect if anonymous authentication is enabled: ${why}`,
    cause,
  });
}
