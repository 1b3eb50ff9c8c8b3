import type { FlagSpecification } from "./flag.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The flags that choose a cluster and a user of a kubeconfig. */
export function kubeconfigFlags(environment: Environment): readonly FlagSpecification[] {
  return [
    {
      name: "kubeconfig",
      kind: "string",
      defaultValue: environment["KUBECONFIG"] ?? "",
      description: "`path` of the kubeconfig to read, or several as in $KUBECONFIG (empty: ~/.kube/config)",
      completion: "file",
    },
    {
      name: "kubeconfig-context",
      kind: "string",
      description: "`context` of that kubeconfig (empty: its current one)",
      completion: "kubeconfig-context",
    },
  ];
}

/** The flags of `get kubeconfig` (contract cli.md 2.1) and our additions. */
export function getKubeconfigFlags(environment: Environment): readonly FlagSpecification[] {
  return [
    ...kubeconfigFlags(environment),
    {
      name: "output",
      shorthand: "o",
      kind: "string",
      description: "`path` of the file to write (empty: standard output)",
      completion: "file",
    },
    {
      name: "merge",
      kind: "boolean",
      description: "put the new entries into the kubeconfig that was read instead, after a backup of it",
    },
    {
      name: "timeout",
      kind: "duration",
      defaultValue: "10m0s",
      description: "time for discovery, waiting and validation together",
    },
    { name: "skip-validation", kind: "boolean", description: "do not try to reach the cluster's endpoint" },
    {
      name: "generated-name-suffix",
      kind: "string",
      defaultValue: "-pinniped",
      description: "`suffix` of the new context's, cluster's and user's names",
    },
    {
      name: "pinniped-cli-path",
      kind: "string",
      description: "`path` of the program that kubectl is to start (empty: this one)",
      completion: "file",
    },
    {
      name: "install-hint",
      kind: "string",
      defaultValue:
        "The pinniped CLI does not appear to be installed.  See https://get.pinniped.dev/cli for more details",
      description: "`text` that kubectl shows where that program is missing",
    },
    {
      name: "credential-cache",
      kind: "string",
      description: '`path` of the file that keeps cluster credentials ("" keeps none)',
      completion: "file",
    },
    { name: "static-token", kind: "string", description: "log in with this `token` instead of with OIDC" },
    {
      name: "static-token-env",
      kind: "string",
      description: "log in with the token in this environment `variable` instead of with OIDC",
    },
    ...conciergeFlags,
    ...oidcFlags,
    {
      name: "upstream-identity-provider-name",
      kind: "string",
      description: "`name` of the identity provider at the Supervisor (empty: discovered)",
    },
    {
      name: "upstream-identity-provider-type",
      kind: "string",
      description:
        "`type` of that identity provider: oidc, ldap, activedirectory or github (empty: discovered)",
      choices: ["oidc", "ldap", "activedirectory", "github"],
    },
    {
      name: "upstream-identity-provider-flow",
      kind: "string",
      description: "`flow` to use with it: browser_authcode or cli_password (empty: discovered)",
      choices: ["browser_authcode", "cli_password"],
    },
  ];
}

const conciergeFlags: readonly FlagSpecification[] = [
  {
    name: "no-concierge",
    kind: "boolean",
    description: "the cluster has no Concierge: use the ID token itself",
  },
  {
    name: "concierge-credential-issuer",
    kind: "string",
    description: "`name` of the CredentialIssuer (empty: discovered)",
  },
  {
    name: "concierge-authenticator-type",
    kind: "string",
    description: "`type` of the authenticator: jwt or webhook (empty: discovered)",
    choices: ["jwt", "webhook"],
  },
  {
    name: "concierge-authenticator-name",
    kind: "string",
    description: "`name` of the authenticator (empty: discovered)",
  },
  {
    name: "concierge-api-group-suffix",
    kind: "string",
    defaultValue: "pinniped.dev",
    description: "`suffix` of the API groups in this cluster",
  },
  {
    name: "concierge-skip-wait",
    kind: "boolean",
    description: "do not wait for strategies that are pending",
  },
  {
    name: "concierge-ca-bundle",
    kind: "list",
    description: "`path` of the PEM certificates to trust at the Concierge, repeatable (empty: discovered)",
    completion: "file",
  },
  {
    name: "concierge-endpoint",
    kind: "string",
    description: "base `URL` of the Concierge's API (empty: discovered)",
  },
  {
    name: "concierge-mode",
    kind: "string",
    description:
      "`mode` of the Concierge: TokenCredentialRequestAPI or ImpersonationProxy (empty: the cluster's first)",
    choices: ["TokenCredentialRequestAPI", "ImpersonationProxy"],
  },
  {
    name: "concierge-credential-lifetime",
    kind: "duration",
    description: "how long credentials should live, within the cluster's bounds (empty: the cluster decides)",
  },
  {
    name: "concierge-namespace",
    kind: "string",
    defaultValue: "pinniped-concierge",
    description: "namespace of the Concierge",
    hidden: true,
    deprecated: "not needed anymore",
  },
];

const oidcFlags: readonly FlagSpecification[] = [
  { name: "oidc-issuer", kind: "string", description: "`URL` of the OIDC issuer (empty: discovered)" },
  {
    name: "oidc-client-id",
    kind: "string",
    defaultValue: "pinniped-cli",
    description: "client `ID` at the issuer",
  },
  {
    name: "oidc-scopes",
    kind: "list",
    defaultValue: "offline_access,openid,pinniped:request-audience,username,groups",
    description: "scopes to ask the issuer for",
  },
  {
    name: "oidc-listen-port",
    kind: "port",
    description: "`port` on localhost that the browser comes back to (0: any free one)",
  },
  {
    name: "oidc-skip-browser",
    kind: "boolean",
    description: "show the login URL, open no browser",
  },
  {
    name: "oidc-device-code",
    kind: "boolean",
    description: "log in with a code on another device, where the issuer offers it",
  },
  {
    name: "oidc-session-cache",
    kind: "string",
    description: "`path` of the file that keeps sessions at the issuer",
    completion: "file",
  },
  {
    name: "oidc-ca-bundle",
    kind: "list",
    description: "`path` of the PEM certificates to trust at the issuer, repeatable (empty: discovered)",
    completion: "file",
  },
  {
    name: "oidc-request-audience",
    kind: "string",
    description: "`audience` to exchange the ID token for (empty: discovered)",
  },
  {
    name: "oidc-skip-listen",
    kind: "boolean",
    description: "do not wait for the browser on localhost",
    hidden: true,
  },
  {
    name: "oidc-debug-session-cache",
    kind: "boolean",
    description: "log what happens to the session cache",
    hidden: true,
  },
];
