import type { Kubeconfig } from "./kubeconfig.ts";
import { comparableServer, loginStanza } from "./login-stanza.ts";
import { isRecord, textIn, type UnknownRecord } from "./unknown-value.ts";

/** Another context whose tokens the new one's server could use, and the other way round (S23). */
export interface SharedAudience {
  readonly context: string;
  readonly server: string;
  readonly file: string;
}

/**
 * Contexts that log in at the same issuer for the same audience but at another server. A hostile cluster could publish its
 * neighbour's issuer and audience and be handed its users' tokens (S23).
 */
export function contextsWithAudience(
  configs: readonly Kubeconfig[],
  wanted: { readonly issuer: string; readonly audience: string; readonly cluster: UnknownRecord },
): readonly SharedAudience[] {
  const server = comparableServer(wanted.cluster);
  const found = new Map<string, SharedAudience>();
  for (const config of configs) {
    for (const [context, { value, file }] of config.contexts) {
      const user = config.users.get(textIn(value, "user"))?.value;
      const cluster = config.clusters.get(textIn(value, "cluster"))?.value;
      const stanza = isRecord(user) ? loginStanza(user) : undefined;
      if (
        stanza?.command === "oidc" &&
        sameIssuer(stanza.issuer, wanted.issuer) &&
        stanza.audience === wanted.audience &&
        comparableServer(cluster) !== server
      ) {
        const shared = { context, server: textIn(cluster, "server"), file };
        found.set(JSON.stringify([context, shared.server]), shared);
      }
    }
  }
  return [...found.values()];
}

function sameIssuer(a: string, b: string): boolean {
  return a.replace(/\/+$/, "") === b.replace(/\/+$/, "");
}
