import { messageOf } from "../errors.ts";
import { callerOf } from "./caller.ts";
import type { JsonLines } from "./json-lines.ts";
import type { LogFields, Logger, LogLevel } from "./log.ts";

/** How much each level shows; errors, warnings and audit lines always show (contract 9.3). */
const VERBOSITY: Readonly<Record<LogLevel, number>> = { "": 0, info: 1, debug: 2, trace: 3, all: 4 };

/** Keys that every line has; a field of such a name gets a `_` behind it, for a key must not be there twice. */
const OWN_KEYS: ReadonlySet<string> = new Set([
  "level",
  "timestamp",
  "logger",
  "caller",
  "message",
  "error",
  "warning",
  "stacktrace",
  "auditEvent",
]);

/** The process log: `level, timestamp, logger?, caller, message`, then what the call brings (contract 9.3). */
export function createJsonLog(options: { readonly lines: JsonLines; readonly level: LogLevel }): Logger {
  const { lines } = options;
  const verbosity = VERBOSITY[options.level];
  const named = (name: string | undefined): Logger => {
    const head = name === undefined ? {} : { logger: name };
    const error: Logger["error"] = (message, cause, fields) => {
      lines.write("error", {
        ...head,
        caller: callerOf(error),
        message,
        ...ownFields(fields),
        error: messageOf(cause),
        ...(verbosity >= VERBOSITY.trace && cause instanceof Error ? { stacktrace: cause.stack } : {}),
      });
    };
    const warning: Logger["warning"] = (message, fields) => {
      lines.write("info", {
        ...head,
        caller: callerOf(warning),
        message,
        warning: true,
        ...ownFields(fields),
      });
    };
    const info: Logger["info"] = (message, fields) => {
      if (verbosity >= VERBOSITY.info) {
        lines.write("info", { ...head, caller: callerOf(info), message, ...ownFields(fields) });
      }
    };
    const debug: Logger["debug"] = (message, fields) => {
      if (verbosity >= VERBOSITY.debug) {
        lines.write("debug", { ...head, caller: callerOf(debug), message, ...ownFields(fields) });
      }
    };
    const trace: Logger["trace"] = (message, fields) => {
      if (verbosity >= VERBOSITY.trace) {
        lines.write("trace", { ...head, caller: callerOf(trace), message, ...ownFields(fields) });
      }
    };
    return {
      named: (added) => named(name === undefined ? added : `${name}.${added}`),
      error,
      warning,
      info,
      debug,
      trace,
    };
  };
  return named(undefined);
}

function ownFields(fields: LogFields | undefined): LogFields {
  if (fields === undefined) {
    return {};
  }
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [OWN_KEYS.has(key) ? `${key}_` : key, value]),
  );
}
