import type { Controller } from "../../kube/controller.ts";
import type { ResourceView } from "../../kube/resource-store.ts";
import type { AuthenticatorCache } from "../authenticators/authenticator-cache.ts";
import { AUTHENTICATION_GROUP } from "../authenticators/authenticator.ts";
import type { AuthenticatorReference } from "../authenticators/authenticator.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import type { AuthenticatorObject } from "./authenticator-reconcile.ts";

export interface FirstPassOptions {
  readonly kind: AuthenticatorReference["kind"];
  readonly objects: Pick<ResourceView<AuthenticatorObject>, "hasSynced" | "list">;
  readonly cache: Pick<AuthenticatorCache, "entry">;
}

/**
 * A replica that has just started would refuse good tokens of authenticators that it has not looked at yet (design.md section 4,
 * rule 8): it is ready once all that are known to be Ready are in force here, or have been looked at once without success, so that
 * an issuer that is down keeps no replica from serving the others.
 */
export function withFirstPass(
  controller: Controller,
  { kind, objects, cache }: FirstPassOptions,
): { readonly controller: Controller; readonly readiness: ReadinessCheck } {
  let isOver = false;
  const isAwaited = ({ metadata: { name }, status }: AuthenticatorObject): boolean =>
    status?.phase === "Ready" && cache.entry({ apiGroup: AUTHENTICATION_GROUP, kind, name }) === undefined;
  return {
    controller: {
      ...controller,
      reconcile: async (signal) => {
        let hasLooked = true;
        try {
          const result = await controller.reconcile(signal);
          // It comes again by itself when there was nothing to look at yet.
          hasLooked = result?.requeueAfterMilliseconds === undefined;
          return result;
        } finally {
          isOver ||= hasLooked && objects.hasSynced();
        }
      },
    },
    readiness: {
      name: `authenticators/${kind.toLowerCase()}`,
      problem: () => {
        if (isOver) {
          return undefined;
        }
        const names = objects.list().filter(isAwaited);
        return objects.hasSynced() && names.length === 0
          ? undefined
          : `${names.length} of kind ${kind} are not in force yet`;
      },
    },
  };
}
