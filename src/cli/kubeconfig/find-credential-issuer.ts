import { messageOf } from "../../errors.ts";
import { replaceApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import type { CommandLog } from "../log.ts";
import type { Deadline } from "./deadline.ts";
import type { KubernetesApi } from "./kubernetes-api.ts";
import { hasPendingStrategy, strategySummaries } from "./strategy.ts";
import { listIn, recordIn, textIn } from "./unknown-value.ts";
import { failure, visibleValues } from "./visible-text.ts";

const POLL_MILLISECONDS = 2_000;

/** What looks into a cluster needs. */
export interface ClusterSearch {
  readonly api: KubernetesApi;
  readonly apiGroupSuffix: string;
  readonly deadline: Deadline;
  readonly log: CommandLog;
}

/**
 * The CredentialIssuer of the name, or the only one there is; waits while one of its strategies is pending (contract cli.md 2.3).
 *
 * @throws CommandError `cli.credential-issuer` or what the cluster said
 */
export async function findCredentialIssuer(
  search: ClusterSearch,
  options: { readonly name: string; readonly skipWait: boolean },
): Promise<unknown> {
  const { deadline, log } = search;
  let found = await lookUp(search, options.name);
  for (let attempts = 1; !options.skipWait && hasPendingStrategy(found); attempts++) {
    logStrategies(log, found);
    log.info(
      "waiting for CredentialIssuer pending strategies to finish",
      visibleValues({
        attempts,
        remaining: deadline.remaining(),
      }),
    );
    await deadline.pause(POLL_MILLISECONDS);
    found = await lookUp(search, options.name);
  }
  return found;
}

/** One line for each strategy. */
export function logStrategies(log: CommandLog, credentialIssuer: unknown): void {
  for (const { type, status, reason, message } of strategySummaries(credentialIssuer)) {
    log.info("found CredentialIssuer strategy", visibleValues({ type, status, reason, message }));
  }
}

async function lookUp({ api, apiGroupSuffix, deadline, log }: ClusterSearch, name: string): Promise<unknown> {
  const group = replaceApiGroupSuffix("config.concierge.pinniped.dev", apiGroupSuffix);
  const path = `/apis/${group}/v1alpha1/credentialissuers`;
  const resource = `credentialissuers.${group}`;
  if (name !== "") {
    return await deadline.within((signal) =>
      api.call({ method: "GET", path: `${path}/${encodeURIComponent(name)}`, resource, name }, signal),
    );
  }
  const items = await deadline.within(async (signal) => {
    try {
      return listIn(await api.call({ method: "GET", path, resource }, signal), "items");
    } catch (error) {
      throw failure(
        "cli.credential-issuer",
        `failed to list CredentialIssuer objects for autodiscovery: ${messageOf(error)}`,
        error,
      );
    }
  });
  const [only] = items;
  if (items.length !== 1) {
    throw failure(
      "cli.credential-issuer",
      items.length === 0
        ? "no CredentialIssuers were found"
        : "multiple CredentialIssuers were found, so the --concierge-credential-issuer flag must be specified",
    );
  }
  log.info(
    "discovered CredentialIssuer",
    visibleValues({ name: textIn(recordIn(only)["metadata"], "name") }),
  );
  return only;
}
