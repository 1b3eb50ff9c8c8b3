import type { Clock } from "../clock.ts";
import type { AuditLog } from "../telemetry/audit.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Version } from "../telemetry/version.ts";
import type { CommandLine } from "./config/command-line.ts";
import type { ConciergeConfig } from "./config/config.ts";
import type { Environment } from "./config/environment.ts";

/** What is known before anything is built: the same for a cluster and for a folder of manifests. */
export interface ServerContext {
  readonly config: ConciergeConfig;
  readonly environment: Environment;
  readonly commandLine: Extract<CommandLine, { action: "serve" }>;
  readonly version: Version;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: AuditLog;
  readonly metrics: Metrics;
}
