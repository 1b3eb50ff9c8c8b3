import { messageOf } from "../../errors.ts";
import { CommandError } from "../command-error.ts";
import { goQuote } from "../../go-text.ts";
import type { RunCommand } from "../command-line/command.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import type { CommandContext } from "../context.ts";
import { checkCluster, checkCredential } from "../doctor/check-cluster.ts";
import { checkConcierge } from "../doctor/check-concierge.ts";
import { checkIssuer } from "../doctor/check-issuer.ts";
import { checkCommand, checkFiles, checkPluginEntry } from "../doctor/check-plugin.ts";
import { createFindings, findingLine, type Findings } from "../doctor/finding.ts";
import { type SourceContext, sourceContext } from "../kubeconfig/kubeconfig.ts";
import { loadingRules, loadKubeconfig } from "../kubeconfig/load-kubeconfig.ts";

/** `doctor`: checks a kubeconfig from end to end. Its output holds nothing secret, so that it can be sent to somebody. */
export const run: RunCommand = async (context, flags) => {
  const output = flags.string("output");
  if (output !== "text" && output !== "json") {
    throw new CommandError("cli.flag.invalid", `unknown output format: ${goQuote(output)}: use text or json`);
  }
  const findings = createFindings((finding) => {
    if (output === "text") {
      context.stdout.write(findingLine(finding, context));
    }
  });
  await check(context, flags, findings);
  const failed = findings.all.filter(({ status }) => status === "fail").length;
  if (output === "json") {
    const warned = findings.all.filter(({ status }) => status === "warn").length;
    context.stdout.write(`${JSON.stringify({ failed, warned, findings: findings.all }, undefined, 2)}\n`);
  }
  if (failed > 0) {
    throw new CommandError(
      "cli.doctor.failed",
      `${failed} of ${findings.all.length} checks failed: the first one that failed is where to begin`,
    );
  }
};

async function check(context: CommandContext, flags: ParsedFlags, findings: Findings): Promise<void> {
  let source: SourceContext;
  try {
    const flag = flags.given("kubeconfig") ? flags.string("kubeconfig") : undefined;
    const kubeconfig = await loadKubeconfig(loadingRules({ ...context, flag }));
    source = sourceContext(kubeconfig, flags.string("kubeconfig-context"));
  } catch (error) {
    findings.fail(
      "kubeconfig",
      messageOf(error),
      "name the right file with --kubeconfig and context with --kubeconfig-context",
    );
    return;
  }
  const plugin = checkPluginEntry(context, findings, source);
  if (plugin === undefined) {
    await checkCluster(context, findings, source, undefined);
    return;
  }
  await checkCommand(plugin.context, findings, plugin);
  await checkFiles(findings, plugin);
  if (plugin.login === "oidc") {
    await checkIssuer(findings, plugin);
  }
  await checkConcierge(findings, plugin);
  await checkCluster(context, findings, source, await checkCredential(findings, plugin, source));
}
