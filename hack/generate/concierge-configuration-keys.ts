/** A key of concierge.yaml, for people. A test holds this list equal to what the server reads. */
export interface ConfigurationKey {
  readonly path: string;
  readonly type: "text" | "number" | "whole number" | "true or false" | "list of texts" | "map of texts";
  /** As one would write it into the file; undefined when the key has none. */
  readonly defaultValue?: unknown;
  readonly rules?: string;
  readonly meaning: string;
}

type Rest = Omit<ConfigurationKey, "path" | "type">;

const key = (path: string, type: ConfigurationKey["type"], rest: Rest): ConfigurationKey => ({
  path,
  type,
  ...rest,
});

const required = "required in a cluster";

const names = Object.entries({
  servingCertificateSecret: "Secret with the aggregated API's certificate and its authority",
  credentialIssuer: "the CredentialIssuer; there is one",
  apiService: "Service that leads to the aggregated API; its name is in the certificate",
  impersonationLoadBalancerService: "Service of type LoadBalancer that the Concierge makes for its proxy",
  impersonationClusterIPService: "Service of type ClusterIP that the Concierge makes for its proxy",
  impersonationTLSCertificateSecret: "Secret with the proxy's serving certificate",
  impersonationCACertificateSecret: "Secret with the authority of the proxy's serving certificate",
  impersonationSignerSecret:
    "Secret with the authority that signs the proxy's client certificates; the key of bearer credentials lies beside it",
  agentServiceAccount: "ServiceAccount of the agent's Pod",
  impersonationProxyServiceAccount:
    "ServiceAccount whose tokens the proxy uses; the only one that may impersonate",
  impersonationProxyLegacySecret: "Secret that older versions left behind; it is deleted",
}).map(([name, meaning]) =>
  key(`names.${name}`, "text", { rules: required, meaning: `Name of the ${meaning.replace(/^the /, "")}.` }),
);

const rate = (name: string, perSecond: number, burst: number, what: string): readonly ConfigurationKey[] => [
  key(`limits.${name}.perSecond`, "number", {
    defaultValue: perSecond,
    rules: "greater than 0",
    meaning: `${what}, per second.`,
  }),
  key(`limits.${name}.burst`, "whole number", {
    defaultValue: burst,
    rules: "at least 1",
    meaning: "How many may come at once. When only `perSecond` is given: one second's worth.",
  }),
];

const audit = (name: string, meaning: string): ConfigurationKey =>
  key(`audit.${name}`, "text", {
    defaultValue: "disabled",
    rules: "`enabled` or `disabled`",
    meaning,
  });

/** Every key that the server reads, in the order in which it is documented. */
export const configurationKeys: readonly ConfigurationKey[] = [
  key("discovery.url", "text", {
    meaning: "The server's URL that clients are told, instead of the one in `kube-public/cluster-info`.",
  }),
  key("api.servingCertificate.durationSeconds", "whole number", {
    defaultValue: 31_536_000,
    rules: "not less than `renewBeforeSeconds`",
    meaning: "How long the aggregated API's certificate is valid. The chart sets 30 days.",
  }),
  key("api.servingCertificate.renewBeforeSeconds", "whole number", {
    defaultValue: 23_328_000,
    rules: "greater than 0",
    meaning:
      "The age at which it is renewed; in spite of its name not a time before expiry. The chart sets 25 days.",
  }),
  key("apiGroupSuffix", "text", {
    defaultValue: "pinniped.dev",
    rules: "a DNS name of two parts or more",
    meaning: "The tail of all API groups. The CRDs must have the same.",
  }),
  key("aggregatedAPIServerPort", "whole number", {
    defaultValue: 10_250,
    rules: "1024 to 65535",
    meaning: "Where the aggregated API, health and metrics listen.",
  }),
  key("impersonationProxyServerPort", "whole number", {
    defaultValue: 8444,
    rules: "1024 to 65535",
    meaning: "Where the impersonation proxy listens while it runs.",
  }),
  key("aggregatedAPIServerDisableAdmissionPlugins", "list of texts", {
    defaultValue: [],
    rules:
      "`NamespaceLifecycle`, `MutatingAdmissionPolicy`, `MutatingAdmissionWebhook`, `ValidatingAdmissionPolicy`, `ValidatingAdmissionWebhook`",
    meaning: "Checked and otherwise without effect: no admission plug-in runs.",
  }),
  ...names,
  key("labels", "map of texts", {
    defaultValue: {},
    meaning: "Labels of every object that the Concierge makes. `app` selects the proxy's Pods.",
  }),
  key("kubeCertAgent.enabled", "true or false", {
    defaultValue: true,
    meaning: "Whether the cluster's signing key is fetched from the controller manager's Pod.",
  }),
  key("kubeCertAgent.namePrefix", "text", {
    defaultValue: "pinniped-kube-cert-agent-",
    meaning: "The name of the agent's Deployment, and a dash.",
  }),
  key("kubeCertAgent.image", "text", {
    defaultValue: "debian:latest",
    meaning: "The agent's image. It must hold the agent's program: the chart sets the server's own image.",
  }),
  key("kubeCertAgent.imagePullSecrets", "list of texts", {
    defaultValue: [],
    meaning: "Names of Secrets in the same namespace.",
  }),
  key("kubeCertAgent.priorityClassName", "text", {
    defaultValue: "",
    rules: "a DNS name",
    meaning: "The priority class of the agent's Pod.",
  }),
  key("log.level", "text", {
    defaultValue: "",
    rules: "empty, `info`, `debug`, `trace` or `all`",
    meaning: "Empty: warnings, errors and audit lines.",
  }),
  key("log.format", "text", {
    defaultValue: "json",
    rules: "empty or `json`",
    meaning: "There is one format.",
  }),
  key("tls.onedottwo.allowedCiphers", "list of texts", {
    defaultValue: [],
    rules: "names of built-in TLS 1.2 suites",
    meaning: "Narrows the TLS 1.2 cipher suites. Empty: all of the built-in list.",
  }),
  audit("logUsernamesAndGroups", "Whether names and groups stand in audit lines; else they are redacted."),
  audit(
    "proxiedRequests",
    "One line for each request through the impersonation proxy. The chart sets `enabled`.",
  ),
  audit("credentialEvents", "One more line for each credential, with its lifetime, its signer and its ID."),
  key("metrics.plainPort", "whole number", {
    rules: "1024 to 65535",
    meaning: "A further port with `/metrics` alone: without TLS, for everybody who reaches it. Absent: none.",
  }),
  ...rate("failuresPerSource", 20, 200, "Failed exchanges of one source"),
  ...rate("failuresPerAuthenticator", 200, 200, "Failed exchanges at one authenticator"),
  ...rate("tokenReviewsPerSource", 50, 50, "TokenReviews for one source at the proxy"),
  ...rate("tokenReviews", 200, 200, "TokenReviews in total"),
  key("limits.concurrentCreates", "whole number", {
    defaultValue: 200,
    rules: "at least 1",
    meaning: "Exchanges at the same time.",
  }),
  key("reservedIdentities.additionalPrefixes", "list of texts", {
    defaultValue: [],
    rules: "not empty",
    meaning: "Prefixes of usernames and groups that are refused, beside the built-in ones.",
  }),
  key("leaderElection.leaseDurationSeconds", "number", {
    defaultValue: 137,
    rules: "a whole number, greater than `renewDeadlineSeconds`",
    meaning: "How long a lost leader's Lease is respected.",
  }),
  key("leaderElection.renewDeadlineSeconds", "number", {
    defaultValue: 107,
    rules: "greater than `retryPeriodSeconds`",
    meaning: "After how long without a renewal a leader gives up.",
  }),
  key("leaderElection.retryPeriodSeconds", "number", {
    defaultValue: 26,
    rules: "greater than 0",
    meaning: "How often the Lease is tried or renewed.",
  }),
  key("extensions.enabled", "true or false", {
    defaultValue: true,
    meaning: "Whether OpenAPI documents show the [fields that Pinniped's API does not have](extensions.md).",
  }),
  key("standalone.manifestsFolder", "text", {
    rules: "required with `standalone`",
    meaning: "A folder of manifests that is served instead of a cluster. `--standalone` wins over it.",
  }),
  key("standalone.stateFolder", "text", {
    defaultValue: "lanyard-state",
    meaning: "Where standalone mode keeps its keys.",
  }),
  key("standalone.listenAddress", "text", {
    defaultValue: "127.0.0.1:10250",
    rules: "`host:port`",
    meaning: "Where standalone mode's API listens.",
  }),
];
