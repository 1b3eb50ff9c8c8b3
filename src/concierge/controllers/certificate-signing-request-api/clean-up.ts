import type { Clock } from "../../../clock.ts";
import { messageOf } from "../../../errors.ts";
import { isConflict, isNotFound } from "../../../kube/api-error.ts";
import type { Controller, ReconcileResult } from "../../../kube/controller.ts";
import type { KubernetesClient } from "../../../kube/kubernetes-client.ts";
import { certificateSigningRequests } from "../../../kube/resources.ts";
import type { CertificateSigningRequest } from "../../../kube/resources.ts";
import type { Logger } from "../../../telemetry/log.ts";
import { REQUEST_LABEL } from "../../credentials/cluster-signing.ts";
import type { CredentialSettings } from "../../state/credential-settings.ts";
import type { ReadonlyHolder } from "../../state/holder.ts";

/** Three times as long as one can be under way. */
const ABANDONED_MILLISECONDS = 30_000;
const PERIOD_MILLISECONDS = 30_000;
const PAGE = 200;
const MOST_PAGES = 20;

export interface CertificateSigningRequestCleanUpOptions {
  readonly client: Pick<KubernetesClient, "list" | "delete">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether this replica leads. */
  readonly mayWrite: () => boolean;
  /** Our own, as `spec.username` shows it. */
  readonly username: string;
  readonly settings: ReadonlyHolder<CredentialSettings>;
}

/**
 * Deletes what a replica that died left behind (S6): CertificateSigningRequests with our label that our ServiceAccount
 * created, once they have been there for half a minute. Others are not touched, whatever their label. Nothing here
 * approves.
 */
export function createCertificateSigningRequestCleanUpController(
  options: CertificateSigningRequestCleanUpOptions,
): Controller {
  const { client, clock, mayWrite, username, settings } = options;
  const log = options.log.named("certificate-signing-request-clean-up-controller");
  const labelSelector = Object.entries(REQUEST_LABEL)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

  // Ages are measured here, by UID: the clocks of other machines do not matter.
  let firstSeen: ReadonlyMap<string, number> = new Map();

  const remove = async ({ metadata }: CertificateSigningRequest, signal: AbortSignal): Promise<void> => {
    const { name, uid } = metadata;
    try {
      await client.delete(
        certificateSigningRequests,
        { name },
        uid === undefined ? undefined : { uid },
        signal,
      );
      log.info("deleted an abandoned CertificateSigningRequest", { name });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) {
        throw error;
      }
    }
  };

  return {
    name: "certificate-signing-request-clean-up-controller",
    watch: (enqueue) => settings.subscribe(() => enqueue()),
    reconcile: async (signal): Promise<ReconcileResult | void> => {
      if (!settings.current.certificateSigningRequestApi || !mayWrite()) {
        firstSeen = new Map();
        return;
      }
      const now = clock.now();
      const seen = new Map<string, number>();
      try {
        let continueToken: string | undefined;
        for (let page = 0; page < MOST_PAGES; page++) {
          const list = await client.list(certificateSigningRequests, {
            labelSelector,
            limit: PAGE,
            signal,
            ...(continueToken === undefined ? {} : { continueToken }),
          });
          for (const each of list.items) {
            const { uid } = each.metadata;
            if (uid === undefined || each.spec.username !== username) {
              continue;
            }
            const since = firstSeen.get(uid) ?? now;
            seen.set(uid, since);
            if (now - since >= ABANDONED_MILLISECONDS) {
              await remove(each, signal);
            }
          }
          continueToken = list.continueToken;
          if (continueToken === undefined) {
            break;
          }
        }
      } catch (error) {
        // Missing rights are for the strategy's status to tell.
        log.debug("could not look for abandoned CertificateSigningRequests", { reason: messageOf(error) });
      }
      firstSeen = seen;
      return { requeueAfterMilliseconds: PERIOD_MILLISECONDS };
    },
  };
}
