import { messageOf } from "../../errors.ts";
import { forgetCredential } from "../cache/forget.ts";
import { isSession, tokensOf } from "../cache/session-entry.ts";
import { createSessionCache } from "../cache/session-cache.ts";
import type { CommandContext } from "../context.ts";
import { readCacheContents } from "../exec-credential/cache-contents.ts";
import { configuredCacheKeys, type ConfiguredPlugin } from "../exec-credential/configured-plugin.ts";
import { oidcLoginOptions, readCaBundle } from "../exec-credential/oidc-flags.ts";
import type { SourceContext } from "../kubeconfig/kubeconfig.ts";
import type { OidcLoginOptions } from "../oidc/login.ts";
import { revokeSession, type TokenRevocation } from "../oidc/revoke.ts";
import { sessionKeyOf } from "../oidc/session-result.ts";
import type { SessionCache, SessionKey, SessionTokens } from "../oidc/session.ts";

/** Says what was done, in one line each; a failure ends nothing, but the command must not look successful. */
export interface LogoutReport {
  done(line: string): void;
  failed(line: string): void;
}

/** How long another login with the same session is waited for. */
const LOCK_WAIT_MILLISECONDS = 10_000;

/** Forgets one context's credential and session, and revokes the session. */
export async function logoutOfContext(
  report: LogoutReport,
  plugin: ConfiguredPlugin,
  source: Pick<SourceContext, "contextName" | "cluster">,
): Promise<void> {
  await forgetCachedCredential(report, plugin, source);
  if (plugin.login === "static") {
    report.done("The token itself stays where it is: its owner must withdraw it.");
    return;
  }
  const { context, flags } = plugin;
  const caBundlePem = await readCaBundle(flags).catch((error: unknown) => {
    report.failed(`${messageOf(error)}: the system's roots are trusted instead`);
    return undefined;
  });
  const file = flags.string("session-cache");
  const sessions = createSessionCache({ context, file, debug: flags.boolean("debug-session-cache") });
  const key = sessionKeyOf({
    ...oidcLoginOptions(flags, caBundlePem),
    sessions,
    interactive: false,
    signal: context.signal,
  } satisfies OidcLoginOptions);
  const { entries, problem } = await readCacheContents(context, file, "SessionCache");
  const entry = entries.find((each) => isSession(each, key));
  if (problem !== undefined) {
    report.failed(`The session cache cannot be used: ${problem}`);
  } else if (entry === undefined) {
    report.done(`No session was kept for the issuer ${key.issuer}.`);
  } else {
    const tokens = (await forgetSession(context, sessions, key)) ?? tokensOf(entry);
    await tellAndRevoke(report, { context, file, key, tokens, trust: { caBundles: [caBundlePem] } });
  }
}

async function forgetCachedCredential(
  report: LogoutReport,
  plugin: ConfiguredPlugin,
  { contextName, cluster }: Pick<SourceContext, "contextName" | "cluster">,
): Promise<void> {
  const { context, flags } = plugin;
  const file = flags.string("credential-cache");
  const keys = await configuredCacheKeys(plugin, cluster);
  const { entries, problem } = await readCacheContents(context, file, "CredentialCache");
  if (problem !== undefined) {
    report.failed(`The credential cache cannot be used: ${problem}`);
    return;
  }
  let found = 0;
  for (const key of keys) {
    const wasThere = entries.some((entry) => entry.key === key);
    // Also where there is none yet: another process may be just getting one.
    if (await forgetCredential({ context, file, key })) {
      found += 1;
      report.done(`Forgot the cluster credential of context "${contextName}".`);
    } else if (wasThere) {
      found += 1;
      report.failed(
        `The cluster credential of context "${contextName}" could not be removed: ${file} and its folder must be writable`,
      );
    }
  }
  if (found === 0) {
    report.done(`No cluster credential was kept for context "${contextName}".`);
  }
}

/** Takes a session out of the cache, and answers what it held. Nobody may refresh it meanwhile: its new tokens would stay. */
export async function forgetSession(
  context: CommandContext,
  sessions: SessionCache,
  key: SessionKey,
): Promise<SessionTokens | undefined> {
  const waited = new AbortController();
  const stopTimer = context.clock.schedule(LOCK_WAIT_MILLISECONDS, () => waited.abort());
  const take = async (): Promise<SessionTokens | undefined> => {
    const tokens = await sessions.get(key);
    await sessions.remove(key);
    return tokens;
  };
  try {
    return await sessions.exclusively(key, AbortSignal.any([context.signal, waited.signal]), take);
  } catch (error) {
    if (!waited.signal.aborted) {
      throw error;
    }
    // Who holds the lock waits for a person at a browser: better an early removal than none.
    return await take();
  } finally {
    stopTimer();
  }
}

/** What the issuer of a session may be trusted by. */
export interface IssuerTrust {
  /** PEM, or nothing for the system's roots; the next one is tried when the issuer's certificate does not fit. */
  readonly caBundles: readonly (string | undefined)[];
  /** Why it is no better, to be told with a failure. */
  readonly remark?: string;
}

/** Says that a session is gone from here, and revokes its tokens at the issuer. */
export async function tellAndRevoke(
  report: LogoutReport,
  session: {
    readonly context: CommandContext;
    readonly file: string;
    readonly key: SessionKey;
    readonly tokens: SessionTokens;
    readonly trust: IssuerTrust;
  },
): Promise<void> {
  const { context, file, key, trust } = session;
  const { entries } = await readCacheContents(context, file, "SessionCache");
  if (!entries.some((entry) => isSession(entry, key))) {
    report.done(`Forgot the session at the issuer ${key.issuer}.`);
  } else {
    report.failed(
      `The session at the issuer ${key.issuer} could not be removed: ${file} and its folder must be writable`,
    );
  }
  const revocations = await revokeWithAnyTrust(session);
  const [first] = revocations;
  if (first === undefined) {
    report.done(`The session at ${key.issuer} held no token that could be revoked.`);
  } else if (first.outcome === "not-offered") {
    report.done(`The issuer ${key.issuer} offers no revocation: what it issued ends by itself.`);
  } else if (revocations.every(({ outcome, reason }) => outcome === "failed" && reason === first.reason)) {
    const remark = trust.remark === undefined ? "" : `; ${trust.remark}`;
    report.failed(
      `The session could not be revoked at the issuer ${key.issuer}: ${first.reason ?? first.outcome}${remark}`,
    );
  } else {
    for (const { token, outcome, reason } of revocations) {
      if (outcome === "revoked") {
        report.done(`Revoked the ${token} token at the issuer ${key.issuer}.`);
      } else {
        report.failed(
          `The ${token} token could not be revoked at the issuer ${key.issuer}: ${reason ?? outcome}`,
        );
      }
    }
  }
}

async function revokeWithAnyTrust({
  context,
  key,
  tokens,
  trust,
}: {
  readonly context: CommandContext;
  readonly key: SessionKey;
  readonly tokens: SessionTokens;
  readonly trust: IssuerTrust;
}): Promise<readonly TokenRevocation[]> {
  let revocations: readonly TokenRevocation[] = [];
  for (const caBundlePem of trust.caBundles) {
    revocations = await revokeSession(context, { key, tokens, caBundlePem });
    if (!revocations.every(({ outcome, reason }) => outcome === "failed" && /\bx509: /.test(reason ?? ""))) {
      break;
    }
  }
  return revocations;
}
