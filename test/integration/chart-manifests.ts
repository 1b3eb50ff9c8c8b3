/** A manifest to be judged by the kube-apiserver and by `validateManifest` alike. */
export interface ManifestCase {
  readonly title: string;
  readonly kind: "JWTAuthenticator" | "WebhookAuthenticator" | "CredentialIssuer";
  /** Everything besides apiVersion, kind and metadata. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The texts that the contract gives, where it does (4.1). */
  readonly expected?: readonly string[];
}

const source = { kind: "Secret", name: "ca", key: "ca.crt" };
const jwt = { issuer: "https://issuer.example.com", audience: "me" };
const proxy = (rest: object): Readonly<Record<string, unknown>> => ({
  spec: { impersonationProxy: { mode: "auto", ...rest } },
});

/** Good and bad manifests of all stored kinds. */
export const manifestCases: readonly ManifestCase[] = [
  { title: "good", kind: "JWTAuthenticator", body: { spec: jwt }, expected: [] },
  {
    title: "good with everything",
    kind: "JWTAuthenticator",
    body: {
      spec: {
        ...jwt,
        claims: { username: "email", groups: "roles" },
        tls: { certificateAuthorityData: "YQ==", certificateAuthorityDataSource: source },
      },
    },
    expected: [],
  },
  {
    title: "empty issuer",
    kind: "JWTAuthenticator",
    body: { spec: { ...jwt, issuer: "" } },
    expected: ['spec.issuer: Invalid value: "": spec.issuer in body should be at least 1 chars long'],
  },
  {
    title: "issuer without TLS",
    kind: "JWTAuthenticator",
    body: { spec: { ...jwt, issuer: "http://issuer.example.com" } },
    expected: [
      `spec.issuer: Invalid value: "http://issuer.example.com": spec.issuer in body should match '^https://'`,
    ],
  },
  {
    title: "no issuer, empty audience",
    kind: "JWTAuthenticator",
    body: { spec: { audience: "" } },
    expected: [
      "spec.issuer: Required value",
      'spec.audience: Invalid value: "": spec.audience in body should be at least 1 chars long',
    ],
  },
  { title: "no spec", kind: "JWTAuthenticator", body: {}, expected: ["spec: Required value"] },
  { title: "null spec", kind: "JWTAuthenticator", body: { spec: null } },
  { title: "spec of text", kind: "JWTAuthenticator", body: { spec: "x" } },
  {
    title: "wrong types",
    kind: "JWTAuthenticator",
    body: { spec: { issuer: 3, audience: ["a"], claims: true } },
  },
  { title: "a fraction", kind: "JWTAuthenticator", body: { spec: { issuer: 3.5, audience: { a: "b" } } } },
  { title: "null claims", kind: "JWTAuthenticator", body: { spec: { ...jwt, claims: null, tls: null } } },
  {
    title: "unknown source kind, no name",
    kind: "JWTAuthenticator",
    body: { spec: { ...jwt, tls: { certificateAuthorityDataSource: { kind: "sorcery", key: "ca.crt" } } } },
    expected: [
      'spec.tls.certificateAuthorityDataSource.kind: Unsupported value: "sorcery": supported values: "Secret", "ConfigMap"',
      "spec.tls.certificateAuthorityDataSource.name: Required value",
    ],
  },
  {
    title: "empty source",
    kind: "WebhookAuthenticator",
    body: {
      spec: {
        endpoint: "https://webhook.example.com",
        tls: { certificateAuthorityDataSource: { kind: "", name: "", key: "" } },
      },
    },
  },
  {
    title: "endpoint of another scheme",
    kind: "WebhookAuthenticator",
    body: { spec: { endpoint: "ftp://x" } },
    expected: [`spec.endpoint: Invalid value: "ftp://x": spec.endpoint in body should match '^https://'`],
  },
  { title: "good", kind: "WebhookAuthenticator", body: { spec: { endpoint: "https://x" } }, expected: [] },
  {
    title: "unknown fields",
    kind: "WebhookAuthenticator",
    body: { spec: { endpoint: "https://x", endpiont: "y", tls: { ca: "z" } }, extra: 1 },
    expected: [],
  },
  { title: "good", kind: "CredentialIssuer", body: proxy({}), expected: [] },
  { title: "unknown mode", kind: "CredentialIssuer", body: proxy({ mode: "maybe" }) },
  {
    title: "no mode",
    kind: "CredentialIssuer",
    body: { spec: { impersonationProxy: { service: { type: "None" } } } },
  },
  { title: "no proxy", kind: "CredentialIssuer", body: { spec: {} } },
  { title: "null service", kind: "CredentialIssuer", body: proxy({ service: null }), expected: [] },
  { title: "empty service", kind: "CredentialIssuer", body: proxy({ service: {} }), expected: [] },
  { title: "unknown service type", kind: "CredentialIssuer", body: proxy({ service: { type: "NodePort" } }) },
  {
    title: "empty address and Secret name",
    kind: "CredentialIssuer",
    body: proxy({ service: { loadBalancerIP: "" }, tls: { secretName: "" } }),
  },
  {
    title: "address too long",
    kind: "CredentialIssuer",
    body: proxy({ service: { loadBalancerIP: "1".repeat(256) } }),
  },
  {
    title: "annotations of numbers",
    kind: "CredentialIssuer",
    body: proxy({ service: { annotations: { "a/b": 1 } } }),
  },
];
