import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig, parseConfig } from "./load-config.ts";
import { OBJECT_NAME_KEYS } from "./validate.ts";

const names = `names:\n${OBJECT_NAME_KEYS.map((key) => `  ${key}: ${key.toLowerCase()}\n`).join("")}`;
const dns1123 =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

test("an almost empty file gets every default", () => {
  assert.deepEqual(parseConfig(names), {
    discoveryUrl: undefined,
    api: { servingCertificate: { durationSeconds: 31_536_000, renewBeforeSeconds: 23_328_000 } },
    apiGroupSuffix: "pinniped.dev",
    aggregatedAPIServerPort: 10_250,
    impersonationProxyServerPort: 8444,
    aggregatedAPIServerDisableAdmissionPlugins: [],
    names: Object.fromEntries(OBJECT_NAME_KEYS.map((key) => [key, key.toLowerCase()])),
    labels: {},
    kubeCertAgent: {
      enabled: true,
      namePrefix: "pinniped-kube-cert-agent-",
      image: "debian:latest",
      imagePullSecrets: [],
      priorityClassName: "",
    },
    log: { level: "" },
    tls: { onedottwo: { allowedCiphers: [] } },
    audit: { logUsernamesAndGroups: false, proxiedRequests: false, credentialEvents: false },
    metrics: { plainPort: undefined },
    limits: {
      failuresPerSource: { perSecond: 20, burst: 200 },
      failuresPerAuthenticator: { perSecond: 200, burst: 200 },
      tokenReviewsPerSource: { perSecond: 50, burst: 50 },
      tokenReviews: { perSecond: 200, burst: 200 },
      concurrentCreates: 200,
    },
    reservedIdentities: { additionalPrefixes: [] },
    leaderElection: { lease: 137_000, renewDeadline: 107_000, retryPeriod: 26_000 },
    extensions: { enabled: true },
    standalone: undefined,
  });
});

test("every key is read", () => {
  const config = parseConfig(`${names}
discovery: {url: "https://kas.example"}
api: {servingCertificate: {durationSeconds: 3600, renewBeforeSeconds: 2400}}
apiGroupSuffix: example.com
aggregatedAPIServerPort: 12345
impersonationProxyServerPort: 4242
aggregatedAPIServerDisableAdmissionPlugins: [NamespaceLifecycle, MutatingAdmissionWebhook]
labels: {app: a, Case-Matters: B, number: 12}
kubeCertAgent: {enabled: false, namePrefix: p-, image: i, imagePullSecrets: [s], priorityClassName: high}
log: {level: trace, format: json}
tls: {onedottwo: {allowedCiphers: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}
audit: {logUsernamesAndGroups: enabled, proxiedRequests: enabled, credentialEvents: enabled}
limits: {failuresPerSource: {perSecond: 0.5}, tokenReviews: {burst: 7}, concurrentCreates: 3}
reservedIdentities: {additionalPrefixes: ["corp:"]}
leaderElection: {leaseDurationSeconds: 15, renewDeadlineSeconds: 10, retryPeriodSeconds: 2}
extensions: {enabled: false}
standalone: {manifestsFolder: /m, stateFolder: /s, listenAddress: "[::1]:1"}
`);
  assert.equal(config.discoveryUrl, "https://kas.example");
  assert.deepEqual(config.api.servingCertificate, { durationSeconds: 3600, renewBeforeSeconds: 2400 });
  assert.equal(config.apiGroupSuffix, "example.com");
  assert.deepEqual([config.aggregatedAPIServerPort, config.impersonationProxyServerPort], [12_345, 4242]);
  assert.deepEqual(config.aggregatedAPIServerDisableAdmissionPlugins, [
    "NamespaceLifecycle",
    "MutatingAdmissionWebhook",
  ]);
  assert.deepEqual(config.labels, { app: "a", "Case-Matters": "B", number: "12" });
  assert.deepEqual(config.kubeCertAgent, {
    enabled: false,
    namePrefix: "p-",
    image: "i",
    imagePullSecrets: ["s"],
    priorityClassName: "high",
  });
  assert.equal(config.log.level, "trace");
  assert.deepEqual(config.tls.onedottwo.allowedCiphers, ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
  assert.deepEqual(config.audit, {
    logUsernamesAndGroups: true,
    proxiedRequests: true,
    credentialEvents: true,
  });
  assert.deepEqual(config.limits.failuresPerSource, { perSecond: 0.5, burst: 1 });
  assert.deepEqual(config.limits.tokenReviews, { perSecond: 200, burst: 7 });
  assert.equal(config.limits.concurrentCreates, 3);
  assert.deepEqual(config.leaderElection, { lease: 15_000, renewDeadline: 10_000, retryPeriod: 2000 });
  assert.equal(config.extensions.enabled, false);
  assert.deepEqual(config.reservedIdentities.additionalPrefixes, ["corp:"]);
  assert.deepEqual(config.standalone, { manifestsFolder: "/m", stateFolder: "/s", listenAddress: "[::1]:1" });
});

test("keys are case-insensitive, unknown ones ignored, null is absent", () => {
  const config =
    parseConfig(`${names.replace("names:", "NAMES:").replace("credentialIssuer", "CredentialIssuer")}
KubeCertAgentConfig: whatever
kubecertAGENT: {ImagePullSecrets: null, Image: null, NAMEPREFIX: x}
aggregatedapiserverport: null
log: null
audit: {LogUsernamesAndGroups: ""}
`);
  assert.deepEqual(config.kubeCertAgent.imagePullSecrets, []);
  assert.equal(config.kubeCertAgent.image, "debian:latest");
  assert.equal(config.kubeCertAgent.namePrefix, "x");
  assert.equal(config.aggregatedAPIServerPort, 10_250);
  assert.equal(config.audit.logUsernamesAndGroups, false);
});

const refused: readonly (readonly [yaml: string, message: string])[] = [
  [
    "api: {servingCertificate: {durationSeconds: 1, renewBeforeSeconds: 2}}",
    "validate api: durationSeconds cannot be smaller than renewBeforeSeconds",
  ],
  [
    "api: {servingCertificate: {durationSeconds: 1, renewBeforeSeconds: 0}}",
    "validate api: renewBefore must be positive",
  ],
  ["apiGroupSuffix: nodot", "validate apiGroupSuffix: must contain '.'"],
  ["apiGroupSuffix: .x.Y", `validate apiGroupSuffix: ${dns1123}`],
  ["apiGroupSuffix: Bad", `validate apiGroupSuffix: [must contain '.', ${dns1123}]`],
  ["aggregatedAPIServerPort: 1023", "validate aggregatedAPIServerPort: must be within range 1024 to 65535"],
  ["aggregatedAPIServerPort: 65536", "validate aggregatedAPIServerPort: must be within range 1024 to 65535"],
  [
    "impersonationProxyServerPort: 1",
    "validate impersonationProxyServerPort: must be within range 1024 to 65535",
  ],
  [
    "aggregatedAPIServerDisableAdmissionPlugins: [foo, NamespaceLifecycle, bar]",
    "validate aggregatedAPIServerDisableAdmissionPlugins: admission plugin names not recognized: [foo bar] (each must be one of [NamespaceLifecycle MutatingAdmissionPolicy MutatingAdmissionWebhook ValidatingAdmissionPolicy ValidatingAdmissionWebhook])",
  ],
  [
    "kubeCertAgent: {priorityClassName: Not_Good}",
    `validate kubeCertAgent: invalid priorityClassName: ${dns1123}`,
  ],
  [
    "log: {level: snorlax}",
    "validate log level: invalid log level, valid choices are the empty string, info, debug, trace and all",
  ],
  ["log: {format: text}", "decode yaml: invalid log format, valid choices are the empty string or 'json'"],
  [
    "audit: {logUsernamesAndGroups: maybe}",
    "validate audit: invalid logUsernamesAndGroups format, valid choices are 'enabled', 'disabled', or empty string (equivalent to 'disabled')",
  ],
  ["metrics: {plainPort: 80}", "validate metrics: plainPort must be within range 1024 to 65535"],
  [
    "aggregatedAPIServerPort: 9000\nmetrics: {plainPort: 9000}",
    "validate metrics: plainPort must not be one of the other two ports",
  ],
  ["limits: {tokenReviews: {perSecond: 0}}", "validate limits: tokenReviews.perSecond must be positive"],
  [
    "reservedIdentities: {additionalPrefixes: ['']}",
    "validate reservedIdentities: additionalPrefixes must not be empty strings",
  ],
  [
    "leaderElection: {leaseDurationSeconds: 100}",
    "validate leaderElection: leaseDurationSeconds must be greater than renewDeadlineSeconds, and that greater than retryPeriodSeconds",
  ],
  ["standalone: {stateFolder: /x}", "validate standalone: manifestsFolder must be set"],
  ["labels: [a]", "decode yaml: labels must be a mapping of strings, not a list"],
  [
    "aggregatedAPIServerPort: many",
    "decode yaml: aggregatedAPIServerPort must be a whole number, not a string",
  ],
  ["api: 3", "decode yaml: api must be a mapping, not a number"],
];
for (const [yaml, message] of refused) {
  test(`refused: ${yaml}`, () => {
    assert.throws(() => parseConfig(`${names}${yaml}\n`), { code: "configuration.invalid", message });
  });
}

test("unknown ciphers are refused with the TLS layer's text", () => {
  assert.throws(
    () => parseConfig(`${names}tls: {onedottwo: {allowedCiphers: [foo, bar]}}`),
    /^LanyardError: validate tls: unrecognized ciphers \[foo, bar\], ciphers must be from list \[/,
  );
});

test("missing names are listed in the contract's order", () => {
  assert.throws(() => parseConfig(""), {
    message: `validate names: missing required names: ${OBJECT_NAME_KEYS.join(", ")}`,
  });
  assert.throws(
    () => parseConfig(names.replace(/ {2}credentialIssuer.*\n/, "").replace(/ {2}apiService.*\n/, "")),
    {
      message: "validate names: missing required names: credentialIssuer, apiService",
    },
  );
});

test("the first fault in the contract's order is told", () => {
  const twoFaults = "log: {level: x}\naggregatedAPIServerPort: 1\n";
  assert.throws(() => parseConfig(twoFaults), /aggregatedAPIServerPort/);
  assert.throws(() => parseConfig("log: {level: x}\n"), /missing required names/);
});

test("malformed YAML, also of the exploding kind, is one line without the file's content", () => {
  assert.throws(
    () => parseConfig("a: [secret-in-file"),
    (error: Error) => {
      assert.match(error.message, /^decode yaml: [^\n]+$/);
      assert.ok(!error.message.includes("secret-in-file"));
      return true;
    },
  );
  const bomb = [
    "a: &a [x,x,x,x,x,x,x,x,x]",
    ..."bcdefgh"
      .split("")
      .map((letter, index) => `${letter}: &${letter} [${`*${"abcdefgh"[index]},`.repeat(9)}]`),
  ];
  assert.throws(() => parseConfig(bomb.join("\n")), /^LanyardError: decode yaml: /);
});

test("standalone mode names its objects itself", () => {
  const config = parseConfig("", { standaloneManifestsFolder: "/manifests" });
  assert.equal(config.standalone?.manifestsFolder, "/manifests");
  assert.equal(config.names.servingCertificateSecret, "lanyard-concierge-serving-certificate-secret");
});

test("a file's errors carry the prefix of the start", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "config-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "concierge.yaml");
  assert.throws(() => loadConfig(path), /could not load config: read file: ENOENT/);
  writeFileSync(path, `${names}aggregatedAPIServerPort: 1`);
  assert.throws(() => loadConfig(path), {
    message: "could not load config: validate aggregatedAPIServerPort: must be within range 1024 to 65535",
  });
  writeFileSync(path, names);
  assert.equal(loadConfig(path).aggregatedAPIServerPort, 10_250);
});
