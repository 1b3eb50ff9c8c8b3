import { goQuote } from "../../go-text.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import { readCaBundleFlag } from "./ca-bundle.ts";
import { goDuration, timerMilliseconds } from "./deadline.ts";
import type { UpstreamChoice } from "./exec-arguments.ts";
import { type ConciergeMode, conciergeModes } from "./strategy.ts";
import { failure } from "./visible-text.ts";

/** The flags of `get kubeconfig` (contract cli.md 2.1), read and with their files. Empty texts are to be discovered. */
export interface Settings {
  /** `--kubeconfig` where it was typed. */
  readonly kubeconfig: string | undefined;
  readonly contextName: string;
  /** Empty: standard output. */
  readonly output: string;
  readonly merge: boolean;
  /** Milliseconds. */
  readonly timeout: number;
  readonly skipValidation: boolean;
  readonly nameSuffix: string;
  readonly command: string;
  readonly installHint: string;
  readonly credentialCache: string | undefined;
  readonly staticToken: string;
  readonly staticTokenEnvironment: string;
  readonly concierge: {
    readonly disabled: boolean;
    readonly credentialIssuer: string;
    readonly authenticatorType: string;
    readonly authenticatorName: string;
    readonly apiGroupSuffix: string;
    readonly skipWait: boolean;
    /** PEM */
    readonly caBundle: string | undefined;
    readonly endpoint: string;
    readonly mode: ConciergeMode | undefined;
    /** In Go's notation. */
    readonly credentialLifetime: string;
  };
  readonly oidc: {
    readonly issuer: string;
    readonly clientId: string;
    readonly scopes: readonly string[];
    readonly listenPort: number;
    readonly skipBrowser: boolean;
    readonly skipListen: boolean;
    readonly deviceCode: boolean;
    readonly sessionCache: string;
    readonly debugSessionCache: boolean;
    /** PEM */
    readonly caBundle: string | undefined;
    readonly requestAudience: string;
    readonly upstream: UpstreamChoice;
  };
}

/**
 * Reads the flags; those that name a file of certificates are read here and now.
 *
 * @throws CommandError as the parser of flags would
 */
export async function readSettings(flags: ParsedFlags, executablePath: string): Promise<Settings> {
  const text = (name: string): string => flags.string(name);
  const credentialLifetime = flags.duration("concierge-credential-lifetime");
  return {
    kubeconfig: flags.given("kubeconfig") ? text("kubeconfig") : undefined,
    contextName: text("kubeconfig-context"),
    output: text("output"),
    merge: flags.boolean("merge"),
    timeout: timerMilliseconds(flags.duration("timeout")),
    skipValidation: flags.boolean("skip-validation"),
    nameSuffix: text("generated-name-suffix"),
    command: text("pinniped-cli-path") || executablePath,
    installHint: text("install-hint"),
    credentialCache: flags.given("credential-cache") ? text("credential-cache") : undefined,
    staticToken: text("static-token"),
    staticTokenEnvironment: text("static-token-env"),
    concierge: {
      disabled: flags.boolean("no-concierge"),
      credentialIssuer: text("concierge-credential-issuer"),
      authenticatorType: text("concierge-authenticator-type"),
      authenticatorName: text("concierge-authenticator-name"),
      apiGroupSuffix: text("concierge-api-group-suffix"),
      skipWait: flags.boolean("concierge-skip-wait"),
      caBundle: await readCaBundleFlag("concierge-ca-bundle", flags.list("concierge-ca-bundle")),
      endpoint: text("concierge-endpoint"),
      mode: conciergeMode(text("concierge-mode")),
      credentialLifetime: flags.given("concierge-credential-lifetime")
        ? goDuration(credentialLifetime / 1000)
        : "",
    },
    oidc: {
      issuer: text("oidc-issuer"),
      clientId: text("oidc-client-id"),
      scopes: flags.list("oidc-scopes"),
      listenPort: flags.port("oidc-listen-port"),
      skipBrowser: flags.boolean("oidc-skip-browser"),
      skipListen: flags.boolean("oidc-skip-listen"),
      deviceCode: flags.boolean("oidc-device-code"),
      sessionCache: text("oidc-session-cache"),
      debugSessionCache: flags.boolean("oidc-debug-session-cache"),
      caBundle: await readCaBundleFlag("oidc-ca-bundle", flags.list("oidc-ca-bundle")),
      requestAudience: text("oidc-request-audience"),
      upstream: {
        name: text("upstream-identity-provider-name"),
        type: text("upstream-identity-provider-type"),
        flow: text("upstream-identity-provider-flow"),
      },
    },
  };
}

function conciergeMode(flag: string): ConciergeMode | undefined {
  const mode = conciergeModes.find((known) => known.toLowerCase() === flag.toLowerCase());
  if (mode === undefined && flag !== "") {
    throw failure(
      "cli.flag-value",
      `invalid argument ${goQuote(flag)} for "--concierge-mode" flag: invalid mode ${goQuote(flag)}, valid modes are TokenCredentialRequestAPI and ImpersonationProxy`,
    );
  }
  return mode;
}
