import { messageOf } from "../../errors.ts";
import type { CommandContext } from "../context.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpClient } from "../http/http-client.ts";
import type { CommandLog } from "../log.ts";
import { clusterCaBundle, clusterConnection } from "./cluster-trust.ts";
import type { Deadline } from "./deadline.ts";
import { textIn, type UnknownRecord } from "./unknown-value.ts";
import { failure, visibleValues, withoutLog } from "./visible-text.ts";

const TRY_MILLISECONDS = 10_000;
const PAUSE_MILLISECONDS = 2_000;

/**
 * Calls the cluster of a new kubeconfig without credentials until something answers (contract cli.md 2.7). Its CA alone is
 * trusted, or the system's roots where it names none, as kubectl will do it.
 *
 * @throws CommandError `cli.invalid-kubeconfig`, `cli.deadline`
 */
export async function validateEndpoint(
  context: CommandContext,
  cluster: UnknownRecord,
  { deadline, log }: { readonly deadline: Deadline; readonly log: CommandLog },
): Promise<void> {
  const caBundle = await clusterCaBundle(cluster);
  if (caBundle === "" && cluster["insecure-skip-tls-verify"] === true) {
    // Whoever skips verification has nothing to validate against.
    throw failure("cli.invalid-kubeconfig", "invalid kubeconfig (no certificateAuthorityData)");
  }
  const client = createHttpClient(withoutLog(context), {
    profile: "default",
    ...clusterConnection({ ...cluster, "insecure-skip-tls-verify": false }, caBundle),
    timeout: TRY_MILLISECONDS,
    logAuditIds: "failures",
  });
  try {
    await validate(client, textIn(cluster, "server"), deadline, log);
  } finally {
    await client.close();
  }
}

async function validate(
  client: HttpClient,
  server: string,
  deadline: Deadline,
  log: CommandLog,
): Promise<void> {
  const first = await attempt(client, server, deadline);
  if (first === undefined) {
    log.info("validated connection to the cluster");
    return;
  }
  log.info(
    "could not immediately connect to the cluster but it may be initializing, will retry until timeout",
    visibleValues({
      error: first,
    }),
  );
  for (let attempts = 2; ; attempts++) {
    await deadline.pause(PAUSE_MILLISECONDS);
    const error = await attempt(client, server, deadline);
    if (error === undefined) {
      log.info("validated connection to the cluster", visibleValues({ attempts }));
      return;
    }
    log.error(
      "could not connect to cluster, retrying...",
      visibleValues({
        error,
        attempts,
        remaining: deadline.remaining(),
      }),
    );
  }
}

/** What went wrong; nothing when there was an answer below 500. */
async function attempt(client: HttpClient, server: string, deadline: Deadline): Promise<string | undefined> {
  return await deadline.within(async (signal) => {
    try {
      const { status } = await client.request({ method: "GET", url: server, signal });
      return status < 500 ? undefined : `unexpected status code ${status}`;
    } catch (error) {
      if (signal.aborted) {
        throw error;
      }
      return messageOf(error);
    }
  });
}
