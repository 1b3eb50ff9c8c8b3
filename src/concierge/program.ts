// The composition root: reads the configuration, builds everything, starts it, and stops it in order.
import { url as inspectorUrl } from "node:inspector";
import { systemClock } from "../clock.ts";
import { LanyardError, messageOf } from "../errors.ts";
import { createAuditLog } from "../telemetry/audit-log.ts";
import { createJsonLines } from "../telemetry/json-lines.ts";
import { createJsonLog } from "../telemetry/json-log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { readVersion } from "../telemetry/version.ts";
import { runInCluster } from "./cluster-mode.ts";
import { HELP_TEXT, MISUSE_EXIT_CODE, parseCommandLine } from "./config/command-line.ts";
import { readEnvironment } from "./config/environment.ts";
import { loadConfig } from "./config/load-config.ts";
import { disableCoreDumps, requireSafeStart } from "./process/start-rules.ts";
import type { ServerContext } from "./server-context.ts";
import { runStandalone } from "./standalone-mode.ts";

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    // Until the shutdown has its own listeners there is nothing to stop; as process 1 the default would be to stay.
    if (process.listenerCount(signal) === 1) {
      process.exit(0);
    }
  });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`lanyard-concierge: ${messageOf(error)}\n`);
  process.exit(error instanceof LanyardError && error.code === "commandLine.misuse" ? MISUSE_EXIT_CODE : 1);
}

async function main(args: readonly string[]): Promise<void> {
  const commandLine = parseCommandLine(args);
  const version = readVersion();
  if (commandLine.action !== "serve") {
    const text = {
      help: HELP_TEXT,
      version: `lanyard-concierge ${version.version} (${version.gitCommit})\n`,
    };
    process.stdout.write(text[commandLine.action]);
    return;
  }
  const environment = readEnvironment();
  requireSafeStart({
    execArgv: process.execArgv,
    forbiddenVariables: environment.forbidden,
    inspectorUrl: inspectorUrl(),
  });
  const config = loadConfig(commandLine.configPath, {
    standaloneManifestsFolder: commandLine.standaloneManifestsFolder,
  });
  const clock = systemClock;
  const lines = createJsonLines({ clock });
  const log = createJsonLog({ lines, level: config.log.level });
  disableCoreDumps(log);
  const context: ServerContext = {
    config,
    environment,
    commandLine,
    version,
    clock,
    log,
    audit: createAuditLog({ lines, logUsernamesAndGroups: config.audit.logUsernamesAndGroups }),
    metrics: createMetrics({ clock, version }),
  };
  await (config.standalone === undefined ? runInCluster(context) : runStandalone(context));
}
