import { replaceApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import type { KubernetesObject, ResourceType } from "../../kube/objects.ts";
import { credentialIssuers } from "../../resources/credential-issuer.ts";
import { jwtAuthenticators } from "../../resources/jwt-authenticator.ts";
import { webhookAuthenticators } from "../../resources/webhook-authenticator.ts";

const STORED_KINDS: readonly ResourceType<KubernetesObject>[] = [
  credentialIssuers,
  jwtAuthenticators,
  webhookAuthenticators,
];

/**
 * Names of the CustomResourceDefinitions that the cluster does not serve in our version, status included. It is asked by
 * discovery, which everybody may read who is authenticated; what it refuses to tell does not count as missing.
 */
export async function missingCustomResourceDefinitions(options: {
  readonly client: Pick<KubernetesClient, "raw">;
  readonly apiGroupSuffix: string;
  readonly signal?: AbortSignal | undefined;
}): Promise<readonly string[]> {
  const { client, apiGroupSuffix, signal } = options;
  const served = new Map<string, Promise<ReadonlySet<string> | undefined>>();
  const missing = await Promise.all(
    STORED_KINDS.map(async ({ group, version, plural }) => {
      const inCluster = replaceApiGroupSuffix(group, apiGroupSuffix);
      const path = `/apis/${inCluster}/${version}`;
      const known = served.get(path) ?? servedResources(client, path, signal);
      served.set(path, known);
      const resources = await known;
      return resources === undefined || (resources.has(plural) && resources.has(`${plural}/status`))
        ? undefined
        : `${plural}.${inCluster}`;
    }),
  );
  return missing.filter((name) => name !== undefined);
}

/** Plural names that a group's version serves; undefined: it is not told. */
async function servedResources(
  client: Pick<KubernetesClient, "raw">,
  path: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string> | undefined> {
  const { status, text } = await client.raw({
    method: "GET",
    path,
    ...(signal === undefined ? {} : { signal }),
  });
  if (status === 404) {
    return new Set();
  }
  if (status !== 200) {
    return undefined;
  }
  try {
    const { resources } = JSON.parse(text) as { readonly resources?: readonly { readonly name: string }[] };
    return new Set((resources ?? []).map(({ name }) => name));
  } catch {
    return undefined;
  }
}
