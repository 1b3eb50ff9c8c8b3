import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import { missingRules } from "../../kube/access-review.ts";
import { permissionText } from "../../kube/access-rule.ts";
import { KubernetesApiError, isNotFound } from "../../kube/api-error.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import { resolveInstallationOwners } from "../../kube/owner-references.ts";
import type { InstallationOwners } from "../../kube/owner-references.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ConciergeConfig } from "../config/config.ts";
import { missingCustomResourceDefinitions } from "./custom-resource-definitions.ts";
import { missingCustomResourceDefinition, missingPermission } from "./obstacles.ts";
import type { Obstacle } from "./obstacles.ts";
import { othersRules, requiredRules } from "./required-rules.ts";
import { waitUntilReady } from "./wait-until-ready.ts";
import type { Findings } from "./wait-until-ready.ts";
import { startWaitingServer } from "./waiting-server.ts";
import type { WaitingServer } from "./waiting-server.ts";

export interface PreflightOptions {
  readonly client: Pick<KubernetesClient, "get" | "raw" | "review">;
  readonly config: Pick<
    ConciergeConfig,
    "apiGroupSuffix" | "names" | "kubeCertAgent" | "extensions" | "aggregatedAPIServerPort"
  >;
  readonly namespace: string;
  readonly podName: string;
  readonly loginApiServiceName: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Waits until this process has every permission and every CustomResourceDefinition that it needs, and answers who owns it.
 * While something is missing, probes are answered: alive, but not ready.
 *
 * @throws LanyardError `installation.owner.unresolved` for what waiting cannot heal (contract 9.1), and as the client does
 *   when the API server does not answer the first look.
 */
export async function passPreflight(options: PreflightOptions): Promise<InstallationOwners> {
  const { config, clock } = options;
  const log = options.log.named("preflight");
  let server: WaitingServer | undefined;
  try {
    const owners = await waitUntilReady({
      look: () => lookAtInstallation(options),
      announce: async (obstacles) => {
        server ??= await startWaitingServer({ host: "::", port: config.aggregatedAPIServerPort, clock });
        server.setMissing(obstacles.map(({ name }) => name));
      },
      clock,
      log,
    });
    void tellWhatOthersLack({ ...options, log }, owners);
    return owners;
  } finally {
    await server?.close();
  }
}

/** One look at what this process needs. */
export async function lookAtInstallation(
  options: Omit<PreflightOptions, "clock" | "log">,
): Promise<Findings<InstallationOwners>> {
  const { client, config, namespace } = options;
  const owners = await resolveInstallationOwners(options).catch((error: unknown) =>
    ownersObstacle(error, options),
  );
  const app = "name" in owners ? undefined : owners.deployment.metadata.name;
  const [rules, definitions] = await Promise.all([
    missingRules({ client, rules: requiredRules({ config, namespace, app }) }),
    missingCustomResourceDefinitions({ client, apiGroupSuffix: config.apiGroupSuffix }),
  ]);
  const permissions = (rules ?? []).map(missingPermission);
  // That our owners could not be read follows from the rules then.
  const ownersMissing = "name" in owners && !(owners.isForbidden && permissions.length > 0);
  const obstacles = [
    ...permissions,
    ...definitions.map((name) => missingCustomResourceDefinition(name, config)),
    ...(ownersMissing ? [owners] : []),
  ];
  return obstacles.length > 0 || "name" in owners ? { obstacles } : { obstacles: [], found: owners };
}

/** Why our owners cannot be known, where somebody can put it right while we wait. */
function ownersObstacle(
  error: unknown,
  { loginApiServiceName }: Pick<PreflightOptions, "loginApiServiceName">,
): Obstacle & { readonly isForbidden: boolean } {
  const cause = error instanceof LanyardError ? error.cause : undefined;
  const isForbidden = cause instanceof KubernetesApiError && cause.reason === "Forbidden";
  if (isForbidden) {
    return {
      name: "owners",
      text: (error as LanyardError).message,
      remedy: "put the chart's roles back (helm upgrade)",
      isForbidden,
    };
  }
  if (isNotFound(cause) && (cause as KubernetesApiError).status.details?.name === loginApiServiceName) {
    return {
      name: `api-service/${loginApiServiceName}`,
      text: `APIService: ${loginApiServiceName}`,
      remedy: "put the chart's APIServices back (helm upgrade)",
      isForbidden,
    };
  }
  throw error;
}

/** Once, at the start: it stops nothing. */
async function tellWhatOthersLack(
  options: Pick<PreflightOptions, "client" | "config" | "namespace" | "log">,
  owners: InstallationOwners,
): Promise<void> {
  const { client, config, namespace, log } = options;
  for (const others of othersRules({ config, namespace, app: owners.deployment.metadata.name })) {
    try {
      const missing = (await missingRules({ client, ...others })) ?? [];
      if (missing.length > 0) {
        log.warning("somebody else lacks a permission", {
          subject: others.subjectText,
          missing: missing.map(permissionText),
          consequence: others.consequence,
        });
      }
    } catch (error) {
      log.debug("could not ask for the permissions of others", {
        subject: others.subjectText,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }
}
