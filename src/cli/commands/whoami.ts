import { messageOf } from "../../errors.ts";
import type { RunCommand } from "../command-line/command.ts";
import { createDeadline, timerMilliseconds } from "../kubeconfig/deadline.ts";
import { effectiveConfig } from "../kubeconfig/effective-config.ts";
import { ApiError, createKubernetesApi } from "../kubeconfig/kubernetes-api.ts";
import { loadingRules, loadKubeconfig } from "../kubeconfig/load-kubeconfig.ts";
import { textIn } from "../kubeconfig/unknown-value.ts";
import { failure } from "../kubeconfig/visible-text.ts";
import { isWhoAmIFormat, unknownCluster, whoAmIOutput } from "../kubeconfig/who-am-i-output.ts";

/** `whoami` (contract cli.md 9): asks the cluster whom it takes the kubeconfig's user for. */
export const run: RunCommand = async (context, flags) => {
  const format = flags.string("output");
  if (!isWhoAmIFormat(format)) {
    // Told before a login, not after it.
    whoAmIOutput(format, {}, { cluster: unknownCluster, apiVersion: "" });
  }
  const timeout = timerMilliseconds(flags.duration("timeout"));
  const kubeconfig = flags.given("kubeconfig") ? flags.string("kubeconfig") : undefined;
  const config = await loadKubeconfig(loadingRules({ ...context, flag: kubeconfig })).catch(
    (error: unknown) => {
      const why = messageOf(error).replace(/^could not load --kubeconfig: /, "");
      throw failure("cli.kubeconfig-unreadable", `could not configure Kubernetes client: ${why}`, error);
    },
  );
  const effective = await effectiveConfig(config, flags.string("kubeconfig-context"), context);
  const cluster =
    effective.clusterName === undefined
      ? unknownCluster
      : { name: effective.clusterName, url: textIn(effective.cluster, "server") };
  const api = await createKubernetesApi(context, effective, {
    timeout,
  });
  const deadline = createDeadline(context, timeout);
  try {
    const group = `identity.concierge.${flags.string("api-group-suffix")}`;
    const apiVersion = `${group}/v1alpha1`;
    const body = { kind: "WhoAmIRequest", apiVersion, metadata: {}, spec: {}, status: {} };
    const answer = await deadline
      .within((signal) =>
        api.call(
          {
            method: "POST",
            path: `/apis/${encodeURIComponent(group)}/v1alpha1/whoamirequests`,
            resource: `whoamirequests.${group}`,
            body,
          },
          signal,
        ),
      )
      .catch((error: unknown) => {
        const isMissing = error instanceof ApiError && error.status === 404;
        const hint = isMissing ? " (is the Pinniped WhoAmI API running and healthy?)" : "";
        throw failure("cli.whoami", `could not complete WhoAmIRequest${hint}: ${messageOf(error)}`, error);
      });
    context.stdout.write(whoAmIOutput(format, answer, { cluster, apiVersion }));
  } finally {
    deadline.end();
    await api.close();
  }
};
