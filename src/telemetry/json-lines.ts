import { pino } from "pino";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { formatSeconds } from "../rfc3339.ts";
import { redactTokens } from "./redact-tokens.ts";

/** Where lines go; each call is one whole line with its newline. */
export interface LineDestination {
  write(line: string): unknown;
  /** Writes with the next line, at the end of this turn of the event loop, or at exit, whichever is first; default: at once. */
  writeSoon?(line: string): unknown;
}

/** Writes one JSON object per line, `level` and `timestamp` first, then `body` in its order (contract 9.3). */
export interface JsonLines {
  write(
    level: "error" | "info" | "debug" | "trace",
    body: Readonly<Record<string, unknown>>,
    options?: {
      /** The line may share its write with the next one. */
      readonly mayWait?: boolean;
      /** Members that go before those of `body`, as JSON without braces; `body` has none of their names. */
      readonly head?: string;
    },
  ): void;
}

/** Synchronous: what was said must be out before the process exits. */
export function openStandardError(): LineDestination {
  const stderr = pino.destination({ fd: 2, sync: true });
  const lines = joinWaitingLines(stderr);
  process.once("exit", lines.flush);
  return lines;
}

/** Lines that may wait are written together with the next that may not: a write costs more than a line. */
export function joinWaitingLines(
  destination: LineDestination,
): Required<LineDestination> & { readonly flush: () => void } {
  let waiting = "";
  const flush = (): void => {
    if (waiting !== "") {
      const lines = waiting;
      waiting = "";
      destination.write(lines);
    }
  };
  return {
    write: (line) => {
      const lines = waiting + line;
      waiting = "";
      destination.write(lines);
    },
    writeSoon: (line) => {
      if (waiting === "") {
        setImmediate(flush);
      }
      waiting += line;
    },
    flush,
  };
}

export interface JsonLinesOptions {
  readonly clock: Clock;
  /** Default: stderr. */
  readonly destination?: LineDestination;
}

/** `redactTokens` runs over every line. Values that JSON does not know become text; none of them can break a line. */
export function createJsonLines(options: JsonLinesOptions): JsonLines {
  const { clock, destination = openStandardError() } = options;
  return {
    write: (level, body, writing) => {
      const members = encodeMembers(body);
      const head = writing?.head ?? "";
      const comma = head === "" || members === "" ? "" : ",";
      const line = `{"level":"${level}","timestamp":"${formatTimestamp(clock.now())}",${head}${comma}${members}}\n`;
      if (writing?.mayWait === true && destination.writeSoon !== undefined) {
        destination.writeSoon(redactTokens(line));
      } else {
        destination.write(redactTokens(line));
      }
    },
  };
}

/** The members of a JSON object, without its braces. */
function encodeMembers(body: Readonly<Record<string, unknown>>): string {
  const plain = isPlain(body)
    ? body
    : Object.fromEntries(Object.entries(body).map(([key, value]) => [key, plainValue(value)]));
  try {
    return JSON.stringify(plain).slice(1, -1);
  } catch {
    // Cycles and the like; a line about trouble must not be lost to them.
    return Object.entries(plain)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${JSON.stringify(key)}:${encodeHostile(value)}`)
      .join(",");
  }
}

function isPlain(body: Readonly<Record<string, unknown>>): boolean {
  for (const key in body) {
    const value = body[key];
    if (typeof value !== "string" && plainValue(value) !== value) {
      return false;
    }
  }
  return true;
}

function encodeHostile(value: unknown): string {
  const ancestors: unknown[] = [];
  try {
    return JSON.stringify(value, function (this: unknown, _key, member: unknown) {
      while (ancestors.length > 0 && ancestors.at(-1) !== this) {
        ancestors.pop();
      }
      if (typeof member !== "object" || member === null) {
        return plainValue(member);
      }
      if (ancestors.includes(member)) {
        return "[circular]";
      }
      ancestors.push(member);
      return member;
    });
  } catch {
    return '"[not representable]"';
  }
}

/** RFC 3339 with microseconds, UTC; a clock with fractions of milliseconds fills the last three digits. */
export function formatTimestamp(milliseconds: number): string {
  const seconds = formatSeconds(milliseconds);
  const micros = Math.floor((milliseconds - Math.floor(milliseconds / 1000) * 1000) * 1000);
  return `${seconds.slice(0, -1)}.${String(micros).padStart(6, "0")}Z`;
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
