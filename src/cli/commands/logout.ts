import { messageOf } from "../../errors.ts";
import { CommandError } from "../command-error.ts";
import type { RunCommand } from "../command-line/command.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import type { CommandContext } from "../context.ts";
import { readConfiguredPlugin } from "../exec-credential/configured-plugin.ts";
import { sourceContext } from "../kubeconfig/kubeconfig.ts";
import { loadingRules, loadKubeconfig } from "../kubeconfig/load-kubeconfig.ts";
import { type LogoutReport, logoutOfContext } from "./logout-context.ts";
import { logoutOfAll } from "./logout-all.ts";

/** `logout`: forgets what is kept for a context, or for all, and revokes sessions at the issuer where that can be done. */
export const run: RunCommand = async (context, flags) => {
  const problems: string[] = [];
  const report: LogoutReport = {
    done: (line) => context.stdout.write(`${line}\n`),
    failed: (line) => {
      problems.push(line);
      context.stderr.write(`${line}\n`);
    },
  };
  if (flags.boolean("all")) {
    await logoutOfAll(
      context,
      report,
      await load(context, flags).catch((error: unknown) => messageOf(error)),
    );
  } else {
    const source = sourceContext(await load(context, flags), flags.string("kubeconfig-context"));
    const plugin = readConfiguredPlugin(context, source.user);
    if (plugin === undefined) {
      throw new CommandError(
        "cli.logout.not-ours",
        `the user of context "${source.contextName}" does not log in with this program, so there is nothing to log out of: choose another context with --kubeconfig-context, or --all`,
      );
    }
    await logoutOfContext(report, plugin, source);
  }
  if (problems.length > 0) {
    throw new CommandError(
      "cli.logout.incomplete",
      `the logout is not complete: ${problems.length === 1 ? "one step" : `${problems.length} steps`} failed, see above`,
    );
  }
};

function load(context: CommandContext, flags: ParsedFlags): ReturnType<typeof loadKubeconfig> {
  const flag = flags.given("kubeconfig") ? flags.string("kubeconfig") : undefined;
  return loadKubeconfig(loadingRules({ ...context, flag }));
}
