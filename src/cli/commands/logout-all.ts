import { messageOf } from "../../errors.ts";
import { forgetAllCredentials } from "../cache/forget.ts";
import { createSessionCache } from "../cache/session-cache.ts";
import { sessionKeyOf, tokensOf } from "../cache/session-entry.ts";
import { loginOidcFlags } from "../command-line/login-flags.ts";
import { parseFlags } from "../command-line/parse-flags.ts";
import type { CommandContext } from "../context.ts";
import { readCacheContents } from "../exec-credential/cache-contents.ts";
import { type ConfiguredPlugin, readConfiguredPlugin } from "../exec-credential/configured-plugin.ts";
import { readCaBundle } from "../exec-credential/oidc-flags.ts";
import type { Kubeconfig } from "../kubeconfig/kubeconfig.ts";
import { forgetSession, type IssuerTrust, type LogoutReport, tellAndRevoke } from "./logout-context.ts";

/**
 * Forgets everything: the files of the configuration folder, and those that the contexts of the kubeconfig name. `kubeconfig` is a
 * text where it could not be read: the rest is done all the same.
 */
export async function logoutOfAll(
  context: CommandContext,
  report: LogoutReport,
  kubeconfig: Kubeconfig | string,
): Promise<void> {
  if (typeof kubeconfig === "string") {
    report.failed(
      `Only the default files are looked into, for the kubeconfig could not be read: ${kubeconfig}`,
    );
  }
  const plugins = typeof kubeconfig === "string" ? [] : pluginsOf(context, report, kubeconfig);
  const defaults = parseFlags(loginOidcFlags(context.environment), []).flags;
  const filesOf = (flag: string): readonly string[] =>
    [...new Set([defaults.string(flag), ...plugins.map((plugin) => fileOf(plugin, flag))])].filter(
      (file) => file !== "",
    );
  for (const file of filesOf("credential-cache")) {
    await forgetCredentials(context, report, file);
  }
  const trusts = await trustsOf(report, plugins);
  for (const file of filesOf("session-cache")) {
    await forgetSessions(context, report, file, trusts);
  }
}

function pluginsOf(
  context: CommandContext,
  report: LogoutReport,
  kubeconfig: Kubeconfig,
): readonly ConfiguredPlugin[] {
  return [...kubeconfig.users].flatMap(([name, { value }]) => {
    try {
      const plugin = readConfiguredPlugin(context, value);
      return plugin === undefined ? [] : [plugin];
    } catch (error) {
      report.failed(`The arguments of user "${name}" cannot be read: ${messageOf(error)}`);
      return [];
    }
  });
}

function fileOf({ flags, login }: ConfiguredPlugin, flag: string): string {
  return flag === "session-cache" && login === "static" ? "" : flags.string(flag);
}

async function forgetCredentials(context: CommandContext, report: LogoutReport, file: string): Promise<void> {
  const { entries, problem } = await readCacheContents(context, file, "CredentialCache");
  if (problem !== undefined) {
    report.failed(`The credential cache cannot be used: ${problem}`);
    return;
  }
  try {
    const count = await forgetAllCredentials({ context, file });
    if (count < entries.length) {
      report.failed(
        `The credentials in ${file} could not be removed: the file and its folder must be writable`,
      );
    } else {
      report.done(
        `Forgot ${count === 1 ? "1 cluster credential" : `${count} cluster credentials`} in ${file}.`,
      );
    }
  } catch (error) {
    report.failed(`The credentials in ${file} could not be removed: ${messageOf(error)}`);
  }
}

/**
 * By what each issuer was trusted, for the revocation: a session does not hold that, the contexts that log in at its issuer do. More
 * than one where contexts differ, as one of them may be out of date.
 */
async function trustsOf(
  report: LogoutReport,
  plugins: readonly ConfiguredPlugin[],
): Promise<ReadonlyMap<string, IssuerTrust>> {
  const bundles = new Map<string, Set<string | undefined>>();
  for (const { login, flags } of plugins) {
    if (login !== "oidc") {
      continue;
    }
    try {
      const bundle = await readCaBundle(flags);
      const issuer = flags.string("issuer");
      bundles.set(issuer, (bundles.get(issuer) ?? new Set()).add(bundle));
    } catch (error) {
      report.failed(messageOf(error));
    }
  }
  return new Map([...bundles].map(([issuer, each]) => [issuer, { caBundles: [...each] }]));
}

const UNKNOWN_ISSUER: IssuerTrust = {
  caBundles: [undefined],
  remark:
    "no context of the kubeconfig names this issuer, so only the system's roots were trusted: what it issued ends by itself, or whoever runs it can end it",
};

async function forgetSessions(
  context: CommandContext,
  report: LogoutReport,
  file: string,
  trusts: ReadonlyMap<string, IssuerTrust>,
): Promise<void> {
  const { entries, problem } = await readCacheContents(context, file, "SessionCache");
  if (problem !== undefined) {
    report.failed(`The session cache cannot be used: ${problem}`);
    return;
  }
  const sessions = createSessionCache({ context, file, debug: false });
  if (entries.length === 0) {
    report.done(`No session was kept in ${file}.`);
  }
  for (const entry of entries) {
    const key = sessionKeyOf(entry);
    if (key === undefined) {
      report.failed(`An entry of ${file} is no session: look at the file, or delete it`);
      continue;
    }
    try {
      const tokens = (await forgetSession(context, sessions, key)) ?? tokensOf(entry);
      const trust = trusts.get(key.issuer) ?? UNKNOWN_ISSUER;
      await tellAndRevoke(report, { context, file, key, tokens, trust });
    } catch (error) {
      report.failed(`The session at the issuer ${key.issuer} could not be ended: ${messageOf(error)}`);
    }
  }
}
