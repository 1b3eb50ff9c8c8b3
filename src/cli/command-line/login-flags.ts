import type { FlagSpecification } from "./flag.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The flags of `login oidc` (contract cli.md 4.1) and our additions. */
export function loginOidcFlags(environment: Environment): readonly FlagSpecification[] {
  return [
    { name: "issuer", kind: "string", required: true, description: "`URL` of the OIDC issuer" },
    {
      name: "client-id",
      kind: "string",
      defaultValue: "pinniped-cli",
      description: "client `ID` at the issuer",
    },
    {
      name: "scopes",
      kind: "list",
      defaultValue: "offline_access,openid,pinniped:request-audience,username,groups",
      description: "scopes to ask the issuer for",
    },
    {
      name: "listen-port",
      kind: "port",
      description: "`port` on localhost that the browser comes back to (0: any free one)",
    },
    { name: "skip-browser", kind: "boolean", description: "show the login URL, open no browser" },
    {
      name: "device-code",
      kind: "boolean",
      description: "log in with a code on another device, where the issuer offers it",
    },
    {
      name: "skip-listen",
      kind: "boolean",
      description: "do not wait for the browser on localhost",
      hidden: true,
    },
    {
      name: "session-cache",
      kind: "string",
      defaultValue: cacheFile(environment, "sessions.yaml"),
      description: '`path` of the file that keeps sessions at the issuer ("" keeps none)',
      completion: "file",
    },
    {
      name: "debug-session-cache",
      kind: "boolean",
      description: "log what happens to the session cache",
      hidden: true,
    },
    {
      name: "ca-bundle",
      kind: "list",
      description: "`path` of the PEM certificates to trust at the issuer, repeatable",
      completion: "file",
    },
    {
      name: "ca-bundle-data",
      kind: "list",
      description: "PEM certificates to trust at the issuer, in `base64`, repeatable",
    },
    {
      name: "request-audience",
      kind: "string",
      description: "`audience` to exchange the ID token for",
    },
    ...conciergeFlags(environment),
    {
      name: "upstream-identity-provider-name",
      kind: "string",
      description: "`name` of the identity provider at the Supervisor",
    },
    {
      name: "upstream-identity-provider-type",
      kind: "string",
      defaultValue: "oidc",
      description: "`type` of that identity provider: oidc, ldap, activedirectory or github",
      choices: ["oidc", "ldap", "activedirectory", "github"],
    },
    {
      name: "upstream-identity-provider-flow",
      kind: "string",
      description: "`flow` to use with it: browser_authcode or cli_password",
      choices: ["browser_authcode", "cli_password"],
    },
  ];
}

/** The flags of `login static` (contract cli.md 5) and our additions. */
export function loginStaticFlags(environment: Environment): readonly FlagSpecification[] {
  return [
    { name: "token", kind: "string", description: "the `token` to log in with" },
    { name: "token-env", kind: "string", description: "environment `variable` that holds the token" },
    ...conciergeFlags(environment),
  ];
}

function conciergeFlags(environment: Environment): readonly FlagSpecification[] {
  return [
    {
      name: "enable-concierge",
      kind: "boolean",
      description: "exchange the token at the cluster's Concierge for a credential",
    },
    {
      name: "concierge-authenticator-type",
      kind: "string",
      description: "`type` of the authenticator: jwt or webhook",
      choices: ["jwt", "webhook"],
    },
    { name: "concierge-authenticator-name", kind: "string", description: "`name` of the authenticator" },
    { name: "concierge-endpoint", kind: "string", description: "base `URL` of the Concierge's API" },
    {
      name: "concierge-ca-bundle-data",
      kind: "string",
      description: "PEM certificates to trust at the Concierge, in `base64` (empty: the system's)",
    },
    {
      name: "concierge-api-group-suffix",
      kind: "string",
      defaultValue: "pinniped.dev",
      description: "`suffix` of the API groups in this cluster",
    },
    {
      name: "concierge-namespace",
      kind: "string",
      defaultValue: "pinniped-concierge",
      description: "namespace of the Concierge",
      hidden: true,
      deprecated: "not needed anymore",
    },
    {
      name: "credential-lifetime",
      kind: "duration",
      description:
        "how long the credential should live, within the cluster's bounds (empty: the cluster decides)",
    },
    {
      name: "credential-cache",
      kind: "string",
      defaultValue: cacheFile(environment, "credentials.yaml"),
      description: '`path` of the file that keeps cluster credentials ("" keeps none)',
      completion: "file",
    },
  ];
}

/**
 * A file of the folder that the existing CLI uses as well (contract cli.md 1): `$XDG_CONFIG_HOME/pinniped`, else
 * `~/.config/pinniped`. Empty, so that nothing is kept, for somebody without a home folder.
 */
function cacheFile(environment: Environment, name: string): string {
  const onWindows = environment["OS"] === "Windows_NT";
  const home = environment[onWindows ? "USERPROFILE" : "HOME"] ?? "";
  const separator = onWindows ? "\\" : "/";
  const configured = environment["XDG_CONFIG_HOME"] ?? "";
  if (configured === "" && home === "") {
    return "";
  }
  const folder = configured === "" ? [home, ".config"] : [configured];
  return [...folder, "pinniped", name].join(separator);
}
