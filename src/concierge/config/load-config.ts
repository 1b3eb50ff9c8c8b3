import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { LanyardError, messageOf } from "../../errors.ts";
import { defaultDurations } from "../../kube/leader-election.ts";
import type { LeaderElectionDurations } from "../../kube/leader-election.ts";
import type { ConciergeConfig, Limits, ObjectNames, RateLimit, StandaloneConfig } from "./config.ts";
import { configurationError, createSection } from "./decode.ts";
import type { Section } from "./decode.ts";
import { OBJECT_NAME_KEYS, validateConfig } from "./validate.ts";

const DEFAULT_SERVING_CERTIFICATE_SECONDS = 31_536_000;
const DEFAULT_RENEW_BEFORE_SECONDS = 23_328_000;
const MAXIMUM_YAML_ALIASES = 100;

export interface LoadConfigOptions {
  /** The manifests folder of `--standalone`, which wins over the file's. */
  readonly standaloneManifestsFolder?: string | undefined;
}

/**
 * Reads and checks `concierge.yaml` (contract 9.2). Refusal: `configuration.invalid` with the exact text, behind
 * `could not load config: `.
 */
export function loadConfig(path: string, options: LoadConfigOptions = {}): ConciergeConfig {
  try {
    return parseConfig(readText(path), options);
  } catch (error) {
    throw new LanyardError({
      code: "configuration.invalid",
      message: `could not load config: ${messageOf(error)}`,
      cause: error,
    });
  }
}

/** The configuration in `text`, without the prefix of `loadConfig`. */
export function parseConfig(text: string, options: LoadConfigOptions = {}): ConciergeConfig {
  const root = createSection(decodeYaml(text));
  refuseUnknownLogFormat(root);
  const api = root.section("api").section("servingCertificate");
  const agent = root.section("kubeCertAgent");
  const audit = root.section("audit");
  const standalone = readStandalone(root, options.standaloneManifestsFolder);
  return validateConfig({
    discoveryUrl: root.section("discovery").text("url"),
    api: {
      servingCertificate: {
        durationSeconds: api.integer("durationSeconds") ?? DEFAULT_SERVING_CERTIFICATE_SECONDS,
        renewBeforeSeconds: api.integer("renewBeforeSeconds") ?? DEFAULT_RENEW_BEFORE_SECONDS,
      },
    },
    apiGroupSuffix: root.text("apiGroupSuffix") ?? "pinniped.dev",
    aggregatedAPIServerPort: root.integer("aggregatedAPIServerPort") ?? 10_250,
    impersonationProxyServerPort: root.integer("impersonationProxyServerPort") ?? 8444,
    aggregatedAPIServerDisableAdmissionPlugins:
      root.texts("aggregatedAPIServerDisableAdmissionPlugins") ?? [],
    names: readNames(root.section("names"), standalone === undefined ? "" : "lanyard-concierge"),
    labels: root.textMap("labels") ?? {},
    kubeCertAgent: {
      enabled: agent.boolean("enabled") ?? true,
      namePrefix: agent.text("namePrefix") ?? "pinniped-kube-cert-agent-",
      image: agent.text("image") ?? "debian:latest",
      imagePullSecrets: agent.texts("imagePullSecrets") ?? [],
      priorityClassName: agent.text("priorityClassName") ?? "",
    },
    log: { level: root.section("log").text("level") ?? "" },
    tls: {
      onedottwo: { allowedCiphers: root.section("tls").section("onedottwo").texts("allowedCiphers") ?? [] },
    },
    audit: {
      logUsernamesAndGroups: audit.text("logUsernamesAndGroups") ?? "disabled",
      proxiedRequests: audit.text("proxiedRequests") ?? "disabled",
      credentialEvents: audit.text("credentialEvents") ?? "disabled",
    },
    metrics: { plainPort: root.section("metrics").integer("plainPort") },
    limits: readLimits(root.section("limits")),
    reservedIdentities: {
      additionalPrefixes: root.section("reservedIdentities").texts("additionalPrefixes") ?? [],
    },
    leaderElection: readLeaderElection(root.section("leaderElection")),
    extensions: { enabled: root.section("extensions").boolean("enabled") ?? true },
    standalone,
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw configurationError(`read file: ${messageOf(error)}; name a readable file with --config`, error);
  }
}

function decodeYaml(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: MAXIMUM_YAML_ALIASES, logLevel: "error", merge: true });
  } catch (error) {
    // Its first line says what and where; the rest quotes the file.
    throw configurationError(`decode yaml: ${messageOf(error).split("\n", 1)[0]?.replace(/:$/, "")}`);
  }
}

function refuseUnknownLogFormat(root: Section): void {
  const format = root.section("log").text("format") ?? "";
  if (format !== "" && format !== "json") {
    throw configurationError("decode yaml: invalid log format, valid choices are the empty string or 'json'");
  }
}

/** Without a cluster nobody else needs the names: they get defaults behind `prefix`, unless that is empty. */
function readNames(section: Section, prefix: string): ObjectNames {
  const fallback = (key: string): string =>
    prefix === "" ? "" : `${prefix}-${key.replaceAll(/([a-z])([A-Z])/g, "$1-$2").toLowerCase()}`;
  const names = OBJECT_NAME_KEYS.map((key) => [key, section.text(key) || fallback(key)] as const);
  return Object.fromEntries(names) as Record<keyof ObjectNames, string>;
}

/** S18 with the numbers of clarification 27. A burst that is not given is one second's worth. */
function readLimits(section: Section): Limits {
  const rate = (key: string, perSecond: number, burst?: number): RateLimit => {
    const own = section.section(key);
    const allowed = own.number("perSecond") ?? perSecond;
    const defaultBurst = own.has("perSecond") ? Math.max(1, Math.ceil(allowed)) : (burst ?? perSecond);
    return { perSecond: allowed, burst: own.integer("burst") ?? defaultBurst };
  };
  return {
    failuresPerSource: rate("failuresPerSource", 20, 200),
    failuresPerAuthenticator: rate("failuresPerAuthenticator", 200),
    tokenReviewsPerSource: rate("tokenReviewsPerSource", 50),
    tokenReviews: rate("tokenReviews", 200),
    concurrentCreates: section.integer("concurrentCreates") ?? 200,
  };
}

function readLeaderElection(section: Section): LeaderElectionDurations {
  const milliseconds = (key: string, fallback: number): number => {
    const seconds = section.number(key);
    return seconds === undefined ? fallback : seconds * 1000;
  };
  return {
    lease: milliseconds("leaseDurationSeconds", defaultDurations.lease),
    renewDeadline: milliseconds("renewDeadlineSeconds", defaultDurations.renewDeadline),
    retryPeriod: milliseconds("retryPeriodSeconds", defaultDurations.retryPeriod),
  };
}

function readStandalone(root: Section, folder: string | undefined): StandaloneConfig | undefined {
  if (folder === undefined && !root.has("standalone")) {
    return undefined;
  }
  const section = root.section("standalone");
  const manifestsFolder = folder ?? section.text("manifestsFolder") ?? "";
  if (manifestsFolder === "") {
    throw configurationError("validate standalone: manifestsFolder must be set");
  }
  return {
    manifestsFolder,
    stateFolder: section.text("stateFolder") ?? "lanyard-state",
    listenAddress: section.text("listenAddress") ?? "127.0.0.1:10250",
  };
}
