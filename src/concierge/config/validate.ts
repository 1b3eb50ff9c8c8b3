import { LanyardError, messageOf } from "../../errors.ts";
import { dns1123SubdomainErrors, validateApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import type { LogLevel } from "../../telemetry/log.ts";
import { narrowCiphers } from "../../tls/profiles.ts";
import type { ConciergeConfig, Limits } from "./config.ts";
import { configurationError } from "./decode.ts";

/** The admission plug-ins that `aggregatedAPIServerDisableAdmissionPlugins` may name, in the order of the message. */
const ADMISSION_PLUGINS = [
  "NamespaceLifecycle",
  "MutatingAdmissionPolicy",
  "MutatingAdmissionWebhook",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionWebhook",
];

const LOG_LEVELS: readonly string[] = ["", "info", "debug", "trace", "all"] satisfies LogLevel[];

/** Keys of `names` in the order in which missing ones are listed. */
export const OBJECT_NAME_KEYS = [
  "servingCertificateSecret",
  "credentialIssuer",
  "apiService",
  "impersonationLoadBalancerService",
  "impersonationClusterIPService",
  "impersonationTLSCertificateSecret",
  "impersonationCACertificateSecret",
  "impersonationSignerSecret",
  "agentServiceAccount",
  "impersonationProxyServiceAccount",
  "impersonationProxyLegacySecret",
] as const;

/** What is checked: the configuration before its free texts are known to be one of a few. */
export interface UncheckedConfig extends Omit<ConciergeConfig, "log" | "audit"> {
  readonly log: { readonly level: string };
  readonly audit: Readonly<Record<"logUsernamesAndGroups" | "proxiedRequests" | "credentialEvents", string>>;
}

/** All rules of contract 9.2 in its order, each with its exact text, then our own. Refusal: `configuration.invalid`. */
export function validateConfig(config: UncheckedConfig): ConciergeConfig {
  within("validate api: ", () => validateApi(config.api));
  within("validate apiGroupSuffix: ", () => validateApiGroupSuffix(config.apiGroupSuffix));
  within("validate aggregatedAPIServerPort: ", () => validatePort(config.aggregatedAPIServerPort));
  within("validate impersonationProxyServerPort: ", () => validatePort(config.impersonationProxyServerPort));
  within("validate aggregatedAPIServerDisableAdmissionPlugins: ", () =>
    validateAdmissionPlugins(config.aggregatedAPIServerDisableAdmissionPlugins),
  );
  within("validate names: ", () => validateNames(config.names));
  within("validate kubeCertAgent: ", () => validateKubeCertAgent(config.kubeCertAgent));
  const level = within("validate log level: ", () => checkLogLevel(config.log.level));
  // Its text comes with the prefix.
  narrowCiphers(config.tls.onedottwo.allowedCiphers);
  const audit = within("validate audit: ", () => checkAudit(config.audit));
  within("validate metrics: ", () => validateMetrics(config));
  within("validate limits: ", () => validateLimits(config.limits));
  within("validate leaderElection: ", () => {
    const { lease, renewDeadline, retryPeriod } = config.leaderElection;
    refuseWhen(
      !(retryPeriod > 0 && renewDeadline > retryPeriod && lease > renewDeadline),
      "leaseDurationSeconds must be greater than renewDeadlineSeconds, and that greater than retryPeriodSeconds",
    );
    // A Lease knows whole seconds only.
    refuseWhen(lease % 1000 !== 0, "leaseDurationSeconds must be a whole number");
  });
  within("validate reservedIdentities: ", () => {
    // An empty prefix would reserve everybody.
    refuseWhen(
      config.reservedIdentities.additionalPrefixes.includes(""),
      "additionalPrefixes must not be empty strings",
    );
  });
  return { ...config, log: { level }, audit };
}

function within<T>(prefix: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw configurationError(prefix + messageOf(error), error instanceof LanyardError ? error : undefined);
  }
}

function refuseWhen(wrong: boolean, message: string): void {
  if (wrong) {
    throw configurationError(message);
  }
}

function validateApi({ servingCertificate }: ConciergeConfig["api"]): void {
  const { durationSeconds, renewBeforeSeconds } = servingCertificate;
  refuseWhen(
    durationSeconds < renewBeforeSeconds,
    "durationSeconds cannot be smaller than renewBeforeSeconds",
  );
  refuseWhen(renewBeforeSeconds <= 0, "renewBefore must be positive");
}

function validatePort(port: number): void {
  refuseWhen(port < 1024 || port > 65_535, "must be within range 1024 to 65535");
}

function validateMetrics({
  metrics: { plainPort },
  aggregatedAPIServerPort,
  impersonationProxyServerPort,
}: Pick<ConciergeConfig, "metrics" | "aggregatedAPIServerPort" | "impersonationProxyServerPort">): void {
  if (plainPort === undefined) {
    return;
  }
  refuseWhen(plainPort < 1024 || plainPort > 65_535, "plainPort must be within range 1024 to 65535");
  refuseWhen(
    plainPort === aggregatedAPIServerPort || plainPort === impersonationProxyServerPort,
    "plainPort must not be one of the other two ports",
  );
}

function validateAdmissionPlugins(plugins: readonly string[]): void {
  const unknown = plugins.filter((plugin) => !ADMISSION_PLUGINS.includes(plugin));
  refuseWhen(
    unknown.length > 0,
    `admission plugin names not recognized: [${unknown.join(" ")}] (each must be one of [${ADMISSION_PLUGINS.join(" ")}])`,
  );
}

function validateNames(names: ConciergeConfig["names"]): void {
  const missing = OBJECT_NAME_KEYS.filter((key) => names[key] === "");
  refuseWhen(missing.length > 0, `missing required names: ${missing.join(", ")}`);
}

function validateKubeCertAgent({ priorityClassName }: ConciergeConfig["kubeCertAgent"]): void {
  const errors = priorityClassName === "" ? [] : dns1123SubdomainErrors(priorityClassName);
  refuseWhen(errors.length > 0, `invalid priorityClassName: ${errors.join(", ")}`);
}

function checkLogLevel(level: string): LogLevel {
  refuseWhen(
    !LOG_LEVELS.includes(level),
    "invalid log level, valid choices are the empty string, info, debug, trace and all",
  );
  return level as LogLevel;
}

function checkAudit(audit: UncheckedConfig["audit"]): ConciergeConfig["audit"] {
  const enabled = (key: keyof typeof audit): boolean => {
    refuseWhen(
      !["", "enabled", "disabled"].includes(audit[key]),
      `invalid ${key} format, valid choices are 'enabled', 'disabled', or empty string (equivalent to 'disabled')`,
    );
    return audit[key] === "enabled";
  };
  return {
    logUsernamesAndGroups: enabled("logUsernamesAndGroups"),
    proxiedRequests: enabled("proxiedRequests"),
    credentialEvents: enabled("credentialEvents"),
  };
}

function validateLimits(limits: Limits): void {
  const { concurrentCreates, ...rates } = limits;
  for (const [name, { perSecond, burst }] of Object.entries(rates)) {
    refuseWhen(perSecond <= 0, `${name}.perSecond must be positive`);
    refuseWhen(burst < 1, `${name}.burst must be at least 1`);
  }
  refuseWhen(concurrentCreates < 1, "concurrentCreates must be at least 1");
}
