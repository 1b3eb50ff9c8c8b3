import { writeFileSync } from "node:fs";
import { LanyardError, messageOf } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";

/** How this process was started. */
export interface StartConditions {
  /** `process.execArgv`. */
  readonly execArgv: readonly string[];
  /** Variables that are set and must not be (`Environment.forbidden`). */
  readonly forbiddenVariables: readonly string[];
  /** `url()` of `node:inspector`: set while a debugger can connect, however it was switched on. */
  readonly inspectorUrl?: string | undefined;
}

interface ForbiddenFlag {
  readonly flag: RegExp;
  readonly cause: string;
}

/** S20, H8. Node reads `_` in a flag as `-`, so flags are compared in that form. */
const FORBIDDEN_FLAGS: readonly ForbiddenFlag[] = [
  {
    flag: /^--(?:inspect|debug|experimental-inspector|experimental-network-inspection)/,
    cause: "lets a debugger read keys and tokens",
  },
  {
    flag: /^--(?:experimental-)?report-|^--diagnostic-dir$/,
    cause: "writes diagnostic reports with memory and environment contents",
  },
  {
    flag: /^--(?:heapsnapshot-|heap-prof|build-snapshot)/,
    cause: "writes memory with keys and tokens to files",
  },
  { flag: /^--abort-on-uncaught-exception$/, cause: "leaves core dumps with keys and tokens" },
  { flag: /^--(?:tls-keylog|trace-tls)$/, cause: "reveals TLS session keys" },
  { flag: /^--tls-(?:min|max)-|^--tls-cipher-list$|^--security-revert$/, cause: "weakens TLS" },
  { flag: /^--insecure-http-parser$/, cause: "lets malformed requests pass" },
  { flag: /^--experimental-(?:default-)?config-file$/, cause: "may switch on any other flag" },
];

/**
 * Refuses to start where secrets could leave the process or checks be weakened (S20, T6, T10, H8). Refusal:
 * `process.unsafeStart`, one line with the cause and the remedy.
 */
export function requireSafeStart(conditions: StartConditions): void {
  const [variable] = conditions.forbiddenVariables;
  if (variable !== undefined) {
    throw unsafeStart(
      `the environment variable ${variable} is set: unset it, for it changes how TLS, HTTP or debugging work`,
    );
  }
  const flags = conditions.execArgv.map(canonicalFlag);
  for (const flag of flags) {
    const forbidden = FORBIDDEN_FLAGS.find((each) => each.flag.test(flag));
    if (forbidden !== undefined) {
      throw unsafeStart(`the Node flag ${flag} ${forbidden.cause}: start without it`);
    }
  }
  const sigusr1 = flags.findLast((flag) => /^--(?:no-)?disable-sigusr1$/.test(flag));
  if (sigusr1 !== "--disable-sigusr1") {
    throw unsafeStart("the signal SIGUSR1 would open a debugger port: start node with --disable-sigusr1");
  }
  if (conditions.inspectorUrl !== undefined) {
    throw unsafeStart("a debugger port is open: start without a debugger");
  }
}

function canonicalFlag(argument: string): string {
  const [name = ""] = argument.split("=", 1);
  return name.startsWith("--") ? name.replaceAll("_", "-").toLowerCase() : name;
}

function unsafeStart(message: string): LanyardError {
  return new LanyardError({ code: "process.unsafeStart", message: `refusing to start: ${message}` });
}

/** Linux writes no memory of this process into a core dump when this file says 0 (core(5)). */
const COREDUMP_FILTER = "/proc/self/coredump_filter";

/** Keeps memory out of core dumps (S20); where that is impossible it says so and goes on. */
export function disableCoreDumps(log: Logger, path = COREDUMP_FILTER): void {
  try {
    writeFileSync(path, "0");
  } catch (error) {
    log.warning("core dumps could not be emptied, switch them off with ulimit -c 0", {
      reason: messageOf(error),
    });
  }
}
