import { failure } from "./visible-text.ts";
import { encodeBase64 } from "./ca-bundle.ts";

/** What the `login` command of a kubeconfig's user is to do. Empty texts count as not given, but for `credentialCache`. */
export interface LoginArguments {
  readonly concierge?: {
    readonly apiGroupSuffix: string;
    readonly authenticatorName: string;
    readonly authenticatorType: string;
    readonly endpoint: string;
    /** PEM; empty: the system's roots. */
    readonly caBundle: string;
  };
  /** `--credential-cache` where it was given, also as empty text. */
  readonly credentialCache?: string;
  readonly staticToken: string;
  readonly staticTokenEnvironment: string;
  readonly oidc: {
    readonly issuer: string;
    readonly clientId: string;
    readonly scopes: readonly string[];
    readonly skipBrowser: boolean;
    readonly skipListen: boolean;
    readonly listenPort: number;
    /** PEM; empty: the system's roots. */
    readonly caBundle: string;
    readonly sessionCache: string;
    readonly debugSessionCache: boolean;
    readonly requestAudience: string;
    readonly upstreamIdentityProvider: UpstreamChoice;
  };
  readonly deviceCode: boolean;
  /** As typed; empty: not given. */
  readonly credentialLifetime: string;
}

/** Which upstream of a Supervisor to log in with. */
export interface UpstreamChoice {
  readonly name: string;
  readonly type: string;
  readonly flow: string;
}

/**
 * The arguments of the exec plugin, in the order of contract cli.md 2.6; ours come last, so that a kubeconfig without them is
 * the existing CLI's.
 *
 * @throws CommandError `cli.get-kubeconfig.arguments`
 */
export function execArguments(login: LoginArguments): readonly string[] {
  const before = [
    ...conciergeArguments(login.concierge),
    ...(login.credentialCache === undefined ? [] : [`--credential-cache=${login.credentialCache}`]),
  ];
  const lifetime = optional("credential-lifetime", login.credentialLifetime);
  if (login.staticToken !== "" || login.staticTokenEnvironment !== "") {
    if (login.staticToken !== "" && login.staticTokenEnvironment !== "") {
      throw refused("only one of --static-token and --static-token-env can be specified");
    }
    return [
      ...["login", "static", ...before],
      ...optional("token", login.staticToken),
      ...optional("token-env", login.staticTokenEnvironment),
      ...lifetime,
    ];
  }
  return [
    ...["login", "oidc", ...before],
    ...oidcArguments(login.oidc),
    ...(login.deviceCode ? ["--device-code"] : []),
    ...lifetime,
  ];
}

function conciergeArguments(concierge: LoginArguments["concierge"]): readonly string[] {
  return concierge === undefined
    ? []
    : [
        "--enable-concierge",
        `--concierge-api-group-suffix=${concierge.apiGroupSuffix}`,
        `--concierge-authenticator-name=${concierge.authenticatorName}`,
        `--concierge-authenticator-type=${concierge.authenticatorType}`,
        `--concierge-endpoint=${concierge.endpoint}`,
        ...optional("concierge-ca-bundle-data", encodeBase64(concierge.caBundle)),
      ];
}

function oidcArguments(oidc: LoginArguments["oidc"]): readonly string[] {
  if (oidc.issuer === "") {
    throw refused("could not autodiscover --oidc-issuer and none was provided");
  }
  if (oidc.requestAudience.includes(".pinniped.dev")) {
    throw refused(
      `request audience is not allowed to include the substring '.pinniped.dev': ${oidc.requestAudience}`,
    );
  }
  const { name, type, flow } = oidc.upstreamIdentityProvider;
  return [
    `--issuer=${oidc.issuer}`,
    `--client-id=${oidc.clientId}`,
    `--scopes=${oidc.scopes.join(",")}`,
    ...(oidc.skipBrowser ? ["--skip-browser"] : []),
    ...(oidc.skipListen ? ["--skip-listen"] : []),
    ...(oidc.listenPort === 0 ? [] : [`--listen-port=${oidc.listenPort}`]),
    ...optional("ca-bundle-data", encodeBase64(oidc.caBundle)),
    ...optional("session-cache", oidc.sessionCache),
    ...(oidc.debugSessionCache ? ["--debug-session-cache"] : []),
    ...optional("request-audience", oidc.requestAudience),
    ...optional("upstream-identity-provider-name", name),
    ...optional("upstream-identity-provider-type", type),
    ...optional("upstream-identity-provider-flow", flow),
  ];
}

function optional(flag: string, value: string): readonly string[] {
  return value === "" ? [] : [`--${flag}=${value}`];
}

function refused(message: string): Error {
  return failure("cli.get-kubeconfig.arguments", message);
}
