import { readFile, realpath } from "node:fs/promises";
import { messageOf } from "../../errors.ts";
import { validateApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import type { RunCommand } from "../command-line/command.ts";
import type { CommandContext } from "../context.ts";
import { contextsWithAudience } from "../kubeconfig/audience-check.ts";
import { writeBackup } from "../kubeconfig/backup-file.ts";
import { createDeadline, type Deadline } from "../kubeconfig/deadline.ts";
import { discoverLogin } from "../kubeconfig/discover-login.ts";
import { execArguments, type LoginArguments } from "../kubeconfig/exec-arguments.ts";
import { type Kubeconfig, sourceContext } from "../kubeconfig/kubeconfig.ts";
import { createKubernetesApi } from "../kubeconfig/kubernetes-api.ts";
import {
  type LoadingRules,
  loadingRules,
  loadKubeconfig,
  parseKubeconfig,
} from "../kubeconfig/load-kubeconfig.ts";
import { mergeKubeconfig } from "../kubeconfig/merge-kubeconfig.ts";
import { type MergeTarget, openMergeTarget } from "../kubeconfig/merge-target.ts";
import { openOutputFile } from "../kubeconfig/output-file.ts";
import { readSettings, type Settings } from "../kubeconfig/settings.ts";
import { validateEndpoint } from "../kubeconfig/validate-endpoint.ts";
import { failure, visibleValues } from "../kubeconfig/visible-text.ts";
import {
  kubeconfigText,
  writtenCluster,
  type WrittenKubeconfig,
  writtenUser,
} from "../kubeconfig/written-kubeconfig.ts";

const LOOKUP_MILLISECONDS = 20_000;

/** Where the new kubeconfig goes once everything went well. */
interface Destination {
  /** Kubeconfigs whose contexts will be beside the new one, besides those that were read. */
  readonly neighbours: readonly Kubeconfig[];
  write(written: WrittenKubeconfig): Promise<void>;
  discard(): Promise<void>;
}

/** `get kubeconfig` (contract cli.md 2): writes a kubeconfig whose user logs in with this program. */
export const run: RunCommand = async (context, flags) => {
  const settings = await readSettings(flags, context.executablePath);
  const rules = loadingRules({ ...context, flag: settings.kubeconfig });
  // Before anything else, so that nobody logs in or waits for a file that cannot be written.
  const destination = await openDestination(context, settings, rules);
  const deadline = createDeadline(context, settings.timeout);
  try {
    context.log.setLevel("info");
    checkApiGroupSuffix(settings.concierge.apiGroupSuffix);
    const source = await loadKubeconfig(rules);
    const written = await makeKubeconfig(context, settings, source, { deadline, destination });
    await destination.write(written);
  } finally {
    deadline.end();
    await destination.discard();
  }
};

function checkApiGroupSuffix(suffix: string): void {
  try {
    validateApiGroupSuffix(suffix);
  } catch (error) {
    throw failure("cli.api-group-suffix", `invalid API group suffix: ${messageOf(error)}`, error);
  }
}

async function makeKubeconfig(
  context: CommandContext,
  settings: Settings,
  source: Kubeconfig,
  { deadline, destination }: { readonly deadline: Deadline; readonly destination: Destination },
): Promise<WrittenKubeconfig> {
  const { log } = context;
  const { clusterName, contextName, userName, cluster, user } = sourceContext(source, settings.contextName);
  const api = await createKubernetesApi(context, { cluster, user }, { timeout: LOOKUP_MILLISECONDS });
  try {
    const { apiGroupSuffix } = settings.concierge;
    const login = await discoverLogin(context, settings, { api, apiGroupSuffix, deadline, log }, cluster);
    const args = execArguments(login);
    if (settings.command === "") {
      throw failure(
        "cli.executable-path",
        "could not determine the Pinniped executable path: give it with --pinniped-cli-path",
      );
    }
    const suffix = settings.nameSuffix;
    const written: WrittenKubeconfig = {
      names: { context: contextName + suffix, cluster: clusterName + suffix, user: userName + suffix },
      cluster: writtenCluster(cluster, login.concierge),
      user: writtenUser({ command: settings.command, args, installHint: settings.installHint }),
    };
    checkAudience(context, login, written, [source, ...destination.neighbours]);
    if (!settings.skipValidation) {
      await validateEndpoint(context, written.cluster, { deadline, log });
    }
    return written;
  } finally {
    await api.close();
  }
}

/** Says, or refuses under `LANYARD_STRICT_AUDIENCE=true`, that another cluster's tokens are good at this one (S23). */
function checkAudience(
  { environment, log }: CommandContext,
  login: LoginArguments,
  { names, cluster }: WrittenKubeconfig,
  configs: readonly Kubeconfig[],
): void {
  if (login.staticToken !== "" || login.staticTokenEnvironment !== "") {
    return;
  }
  const { issuer, requestAudience, clientId } = login.oidc;
  const audience = requestAudience || clientId;
  for (const other of contextsWithAudience(configs, { issuer, audience, cluster })) {
    if (environment["LANYARD_STRICT_AUDIENCE"] === "true") {
      throw failure(
        "cli.shared-audience",
        `contexts "${names.context}" and "${other.context}" (${other.file}) would use the same issuer "${issuer}" and audience "${audience}" for different servers, and LANYARD_STRICT_AUDIENCE is true: give each cluster an audience of its own`,
      );
    }
    log.error(
      "another context uses the same issuer and audience for another server, so each server can use the other's tokens",
      visibleValues({
        context: names.context,
        server: cluster["server"],
        otherContext: other.context,
        otherServer: other.server,
        issuer,
        audience,
      }),
    );
  }
}

async function openDestination(
  context: CommandContext,
  settings: Settings,
  rules: LoadingRules,
): Promise<Destination> {
  if (settings.merge) {
    return mergingInto(context, await openMergeTarget(rules, settings.output, context));
  }
  if (settings.output === "") {
    return {
      neighbours: [],
      write: async (written) => context.stdout.write(kubeconfigText(written)),
      discard: async () => {},
    };
  }
  const file = await openOutputFile(settings.output);
  return {
    neighbours: [],
    write: async (written) => {
      await keepSource(context, settings.output, rules);
      await file.commit(kubeconfigText(written));
    },
    discard: file.discard,
  };
}

/** Whoever writes over the kubeconfig that was read keeps a copy: it may be the only way into the cluster. */
async function keepSource(
  { clock, log }: CommandContext,
  output: string,
  { paths }: LoadingRules,
): Promise<void> {
  const target = await realpath(output).catch(() => undefined);
  const sources = await Promise.all(paths.map((path) => realpath(path).catch(() => path)));
  if (target !== undefined && sources.includes(target)) {
    const backup = await writeBackup(target, await readFile(target, "utf8"), clock);
    log.info("kept a copy of the kubeconfig that is replaced", visibleValues({ backup }));
  }
}

async function mergingInto(context: CommandContext, target: MergeTarget): Promise<Destination> {
  const { path } = target;
  try {
    return {
      neighbours: [parseKubeconfig(target.text, path)],
      write: async (written) => {
        const backup = await target.commit((text) => mergeKubeconfig(text, written, path));
        context.log.info(
          "merged into kubeconfig",
          visibleValues({
            path,
            context: written.names.context,
            ...(backup === undefined ? {} : { backup }),
          }),
        );
      },
      discard: target.discard,
    };
  } catch (error) {
    await target.discard();
    throw error;
  }
}
