import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { basename, delimiter, isAbsolute, join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { CommandContext } from "../context.ts";
import { readCacheContents } from "../exec-credential/cache-contents.ts";
import {
  configuredToken,
  type ConfiguredPlugin,
  readConfiguredPlugin,
} from "../exec-credential/configured-plugin.ts";
import type { SourceContext } from "../kubeconfig/kubeconfig.ts";
import { isRecord, textIn } from "../kubeconfig/unknown-value.ts";
import type { Findings } from "./finding.ts";

const VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
const REWRITE = "make the kubeconfig anew with `get kubeconfig`";

/** Looks at the user's entry; answers the plugin where the user logs in with one of ours. */
export function checkPluginEntry(
  context: CommandContext,
  findings: Findings,
  source: SourceContext,
): ConfiguredPlugin | undefined {
  const { contextName, userName, user } = source;
  const exec = user["exec"];
  if (!isRecord(exec)) {
    const remedy = "nothing here can be said about logins: choose another context with --kubeconfig-context";
    findings.warn(
      "kubeconfig",
      `user "${userName}" of context "${contextName}" starts no credential plugin`,
      remedy,
    );
    return undefined;
  }
  let plugin: ConfiguredPlugin | undefined;
  try {
    plugin = readConfiguredPlugin(context, user);
  } catch (error) {
    findings.fail("kubeconfig", `the plugin's arguments cannot be read: ${messageOf(error)}`, REWRITE);
    return undefined;
  }
  if (plugin === undefined) {
    const remedy = "ask who made that program, or choose another context with --kubeconfig-context";
    findings.warn(
      "kubeconfig",
      `user "${userName}" of context "${contextName}" logs in with another program, ${basename(textIn(exec, "command"))}`,
      remedy,
    );
    return undefined;
  }
  if (!VERSIONS.includes(plugin.apiVersion)) {
    findings.fail("kubeconfig", `the exec entry has the unknown apiVersion "${plugin.apiVersion}"`, REWRITE);
    return plugin;
  }
  findings.ok(
    "kubeconfig",
    `context "${contextName}", user "${userName}", logs in by \`login ${plugin.login}\``,
  );
  return plugin;
}

/** Whether clients will find the program that they are to start. */
export async function checkCommand(
  context: CommandContext,
  findings: Findings,
  { command }: Pick<ConfiguredPlugin, "command">,
): Promise<void> {
  const found = isAbsolute(command) || /[\\/]/.test(command) ? [command] : candidatesInPath(context, command);
  for (const path of found) {
    try {
      await access(path, context.platform === "win32" ? constants.F_OK : constants.X_OK);
      findings.ok("command", `${path} can be started`);
      return;
    } catch {
      // The next folder may have it.
    }
  }
  findings.fail(
    "command",
    command === "" ? "no command is given" : `${command} is not there or cannot be started`,
    "install it there, or put the right path into the kubeconfig's exec entry",
  );
}

function candidatesInPath({ environment, platform }: CommandContext, command: string): readonly string[] {
  const folders = (environment["PATH"] ?? environment["Path"] ?? "")
    .split(delimiter)
    .filter((each) => each !== "");
  const endings = platform === "win32" ? [".exe", ".cmd", ".bat", ""] : [""];
  return folders.flatMap((folder) => endings.map((ending) => join(folder, `${command}${ending}`)));
}

/** Whether the cache files may be used (S23), and what `login static` logs in with. */
export async function checkFiles(findings: Findings, plugin: ConfiguredPlugin): Promise<void> {
  const { flags, context, login } = plugin;
  await checkFile(findings, context, "credential cache", flags.string("credential-cache"));
  if (login === "oidc") {
    await checkFile(findings, context, "session cache", flags.string("session-cache"));
  }
  if (login === "static" && !configuredToken(plugin)) {
    const name = flags.string("token-env");
    findings.fail(
      "token",
      name === "" ? "no token is configured" : `the environment variable ${name} is not set`,
      name === "" ? REWRITE : "set it where kubectl is started",
    );
  }
}

async function checkFile(
  findings: Findings,
  context: CommandContext,
  check: "credential cache" | "session cache",
  file: string,
): Promise<void> {
  if (file === "") {
    findings.warn(
      check,
      "nothing is kept",
      `every call logs in anew: give --${check.replace(" ", "-")} a path`,
    );
    return;
  }
  try {
    const kind = check === "session cache" ? "SessionCache" : "CredentialCache";
    const { problem } = await readCacheContents(context, file, kind);
    if (problem === undefined) {
      findings.ok(check, `${file} may be used`);
    } else {
      findings.fail(check, problem, "until then every call logs in anew");
    }
  } catch (error) {
    findings.fail(check, messageOf(error), "correct the environment variable");
  }
}
