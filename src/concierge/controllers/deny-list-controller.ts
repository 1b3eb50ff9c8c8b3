import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Controller } from "../../kube/controller.ts";
import { configMaps } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { AuditLog } from "../../telemetry/audit.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { parseDenyList } from "../request/deny-list.ts";
import type { Holder } from "../state/holder.ts";
import type { DenyList, DenyListEntry } from "../state/proxy.ts";
import type { ReadinessCheck } from "../state/readiness.ts";

const KEY = "entries";
const EMPTY: DenyList = { entries: [], problems: [] };

export interface DenyListControllerOptions {
  readonly store: Pick<ResourceStore, "view">;
  readonly holder: Holder<DenyList | undefined>;
  readonly namespace: string;
  /** `<app>-deny-list` (clarification 28). */
  readonly configMapName: string;
  readonly log: Logger;
  readonly audit: AuditLog;
  readonly metrics: Pick<Metrics, "denyListRead">;
}

/**
 * Follows the deny list (S15). Absent is empty; a broken watch, or text that is no list at all, keeps the last one. Every
 * change is an audit line, its deletion too. The Concierge never writes it.
 */
export function createDenyListController(options: DenyListControllerOptions): {
  readonly controller: Controller;
  /** Not before the first read is in. */
  readonly readiness: ReadinessCheck;
} {
  const { store, holder, namespace, configMapName, metrics } = options;
  const log = options.log.named("deny-list-controller");
  const view = store.view(configMaps, { namespace, fieldSelector: `metadata.name=${configMapName}` });

  const publish = (next: DenyList, deleted: boolean, resourceVersion: string): void => {
    const before = holder.current;
    metrics.denyListRead(next.entries.length, next.problems.length);
    // An empty list at the start is what nobody has written.
    if (isDeepStrictEqual(next, before ?? EMPTY) && before !== undefined) {
      return;
    }
    if (!isDeepStrictEqual(next, before ?? EMPTY)) {
      recordChange(options.audit, before ?? EMPTY, next, { deleted, resourceVersion });
    }
    for (const problem of next.problems) {
      log.warning("the deny list holds something that is not enforced", {
        configMap: configMapName,
        problem,
      });
    }
    // The audit line first: what follows may be streams that end because of it.
    holder.set(next);
  };

  return {
    controller: {
      name: "deny-list-controller",
      watch: (enqueue) => view.subscribe(() => enqueue()),
      reconcile: () => {
        const configMap = view.get({ namespace, name: configMapName });
        if (configMap === undefined) {
          if (view.hasSynced()) {
            publish(EMPTY, true, "");
          }
          return Promise.resolve();
        }
        const { entries, problems, unreadable } = parseDenyList(configMap.data?.[KEY] ?? "");
        publish(
          { entries: unreadable ? (holder.current?.entries ?? []) : entries, problems },
          false,
          configMap.metadata.resourceVersion ?? "",
        );
        return Promise.resolve();
      },
    },
    readiness: {
      name: "deny-list",
      problem: () => (holder.current === undefined ? "the deny list has not been read yet" : undefined),
    },
  };
}

function recordChange(
  audit: AuditLog,
  before: DenyList,
  after: DenyList,
  { deleted, resourceVersion }: { readonly deleted: boolean; readonly resourceVersion: string },
): void {
  const missingFrom = (list: DenyList, other: DenyList): readonly DenyListEntry[] =>
    list.entries.filter((entry) => !other.entries.some((known) => isDeepStrictEqual(known, entry)));
  const added = missingFrom(after, before);
  const removed = missingFrom(before, after);
  const users = (entries: readonly DenyListEntry[]): readonly string[] =>
    entries.flatMap(({ user }) => (user === undefined ? [] : [user]));
  audit.record({
    message: "Deny List Changed",
    auditID: randomUUID(),
    personalInfo: { addedUsers: users(added), removedUsers: users(removed) },
    fields: {
      entries: after.entries.length,
      added: added.length,
      removed: removed.length,
      problems: after.problems.length,
      ...(deleted ? { deleted: true } : { resourceVersion }),
    },
  });
}

/** For the message of the ImpersonationProxy strategy (S15); undefined when there is nothing to say. */
export function denyListMessage(list: DenyList | undefined): string | undefined {
  const [first, ...more] = list?.problems ?? [];
  if (first === undefined) {
    return undefined;
  }
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return `the deny list holds what is not enforced: ${first}${others}`;
}
