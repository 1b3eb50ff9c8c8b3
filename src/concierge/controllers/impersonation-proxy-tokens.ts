import type { Clock } from "../../clock.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ProxyToken } from "../state/concierge-state.ts";
import type { Holder } from "../state/holder.ts";

export interface ImpersonationProxyTokensOptions {
  readonly client: Pick<KubernetesClient, "raw">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly holder: Holder<ProxyToken | undefined>;
  readonly namespace: string;
  /** `names.impersonationProxyServiceAccount`. */
  readonly serviceAccountName: string;
}

const LIFETIME_SECONDS = 86_400;
const FIRST_RETRY_MILLISECONDS = 10;
const LARGEST_RETRY_MILLISECONDS = 10_000;

/**
 * Keeps a token of the proxy's ServiceAccount at hand (contract 6.9): no audience, a day long, renewed after 4/5 of what
 * is left, retried for ever. Every replica needs its own, so it is no write of the leader. In memory only.
 */
export function createImpersonationProxyTokens(options: ImpersonationProxyTokensOptions): {
  /** Resolves when the signal has aborted. */
  run(signal: AbortSignal): Promise<void>;
} {
  const { clock, holder } = options;
  const log = options.log.named("impersonation-proxy-tokens");
  return {
    run: async (signal) => {
      let retry = FIRST_RETRY_MILLISECONDS;
      while (!signal.aborted) {
        try {
          const token = await requestToken(options, signal);
          holder.set(token);
          retry = FIRST_RETRY_MILLISECONDS;
          await clock.sleep(Math.max(0, (token.expiresAt - clock.now()) * 0.8), signal);
        } catch (error) {
          if (signal.aborted) {
            return;
          }
          log.error("could not get a token for the impersonation proxy's ServiceAccount", error);
          await clock.sleep(retry, signal);
          retry = Math.min(retry * 2, LARGEST_RETRY_MILLISECONDS);
        }
      }
    },
  };
}

async function requestToken(
  options: ImpersonationProxyTokensOptions,
  signal: AbortSignal,
): Promise<ProxyToken> {
  const { client, namespace, serviceAccountName } = options;
  const answer = await client.raw({
    method: "POST",
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccountName}/token`,
    body: {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      metadata: {},
      spec: { audiences: [], expirationSeconds: LIFETIME_SECONDS },
    },
    signal,
  });
  if (answer.status !== 201) {
    throw new Error(`the kube-apiserver answered ${answer.status}`);
  }
  const { status } = parseTokenRequest(answer.text);
  const expiresAt = Date.parse(status?.expirationTimestamp ?? "");
  if (status?.token === undefined || status.token === "" || Number.isNaN(expiresAt)) {
    throw new Error("the kube-apiserver answered without a token");
  }
  return { token: status.token, expiresAt };
}

interface TokenRequestAnswer {
  readonly status?: { readonly token?: string; readonly expirationTimestamp?: string };
}

function parseTokenRequest(text: string): TokenRequestAnswer {
  try {
    return JSON.parse(text) as TokenRequestAnswer;
  } catch {
    // The parser's own message quotes its input, which may hold the token.
    throw new Error("the kube-apiserver answered with something that is not JSON");
  }
}
