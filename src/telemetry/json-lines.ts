import { pino } from "pino";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { redactTokens } from "./redact-tokens.ts";

/** Where lines go; each call is one whole line with its newline. */
export interface LineDestination {
  write(line: string): unknown;
}

/** Writes one JSON object per line, `level` and `timestamp` first, then `body` in its order (contract 9.3). */
export interface JsonLines {
  write(level: "error" | "info" | "debug" | "trace", body: Readonly<Record<string, unknown>>): void;
}

/** Synchronous: what was said must be out before the process exits. */
export function openStandardError(): LineDestination {
  return pino.destination({ fd: 2, sync: true });
}

export interface JsonLinesOptions {
  readonly clock: Clock;
  /** Default: stderr. */
  readonly destination?: LineDestination;
}

/** `redactTokens` runs over every line. Values that JSON does not know become text; none of them can break a line. */
export function createJsonLines(options: JsonLinesOptions): JsonLines {
  const { clock, destination = openStandardError() } = options;
  const encoder = pino(
    {
      level: "trace",
      base: null,
      timestamp: () => `,"timestamp":"${formatTimestamp(clock.now())}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => destination.write(redactTokens(line)) },
  );
  return {
    write: (level, body) => {
      encoder[level](
        Object.fromEntries(Object.entries(body).map(([key, value]) => [key, plainValue(value)])),
      );
    },
  };
}

/** RFC 3339 with microseconds, UTC; a clock with fractions of milliseconds fills the last three digits. */
export function formatTimestamp(milliseconds: number): string {
  const whole = Math.floor(milliseconds);
  const micros = Math.floor((milliseconds - whole) * 1000);
  return `${new Date(whole).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
}

/** An encoder sees neither errors, whose text it would drop, nor numbers and functions that JSON has no form for. */
function plainValue(value: unknown): unknown {
  if (value instanceof Error) {
    return messageOf(value);
  }
  if (typeof value === "bigint" || typeof value === "symbol") {
    return String(value);
  }
  return typeof value === "function" ? undefined : value;
}
