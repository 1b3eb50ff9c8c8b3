import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../clock.ts";
import type { CommandLog, CommandLogLevel } from "./log.ts";

const LEVELS: readonly CommandLogLevel[] = ["error", "info", "debug"];

/** Lines of the form that contract cli.md 1 gives, `write`n whole; nothing is worked out for a line that does not show. */
export function createCommandLog(options: {
  readonly clock: Pick<Clock, "now">;
  readonly write: (line: string) => void;
}): CommandLog {
  let shown = LEVELS.indexOf("error");
  const logAt =
    (level: CommandLogLevel) =>
    (message: string, values?: Readonly<Record<string, unknown>>): void => {
      if (LEVELS.indexOf(level) > shown) {
        return;
      }
      const parts = [
        formatTime(new Date(options.clock.now())),
        caller(new Error("where").stack ?? ""),
        message.replaceAll("\n", "\\n"),
        ...(values === undefined || Object.keys(values).length === 0 ? [] : [formatValues(values)]),
      ];
      options.write(`${parts.join("  ")}\n`);
    };
  return {
    error: logAt("error"),
    info: logAt("info"),
    debug: logAt("debug"),
    setLevel: (level) => {
      shown = LEVELS.indexOf(level);
    },
  };
}

/** RFC 1123 with the local zone, as Go writes it: `Mon, 02 Jan 2006 15:04:05 CET`. */
function formatTime(time: Date): string {
  const [weekday, month, day, year, clock] = time.toString().split(" ");
  return `${weekday}, ${day} ${month} ${year} ${clock} ${zone(time)}`;
}

/** Each language knows the abbreviations of its own countries; where none does, Go shows the offset. */
function zone(time: Date): string {
  for (const language of ["en-US", "en-GB", "en-AU"]) {
    const name = new Intl.DateTimeFormat(language, { timeZoneName: "short" })
      .formatToParts(time)
      .find(({ type }) => type === "timeZoneName")?.value;
    if (name !== undefined && !/[+-]/.test(name)) {
      return name;
    }
  }
  const minutes = -time.getTimezoneOffset();
  const two = (value: number): string => String(Math.trunc(value)).padStart(2, "0");
  const rest = Math.abs(minutes) % 60;
  return `${minutes < 0 ? "-" : "+"}${two(Math.abs(minutes) / 60)}${rest === 0 ? "" : two(rest)}`;
}

/** File and line of whoever called the log: the third line of the stack, below this file's own. */
function caller(stack: string): string {
  const [, file, line] = /\n.*\n\s+at (?:.*\()?(.+?):(\d+):\d+\)?(?:\n|$)/.exec(stack) ?? [];
  if (file === undefined) {
    return "lanyard:0";
  }
  const path = file.startsWith("file:") ? fileURLToPath(file) : file;
  return `${join(basename(dirname(path)), basename(path))}:${line}`;
}

/** JSON with a blank behind colons and commas, as the existing CLI's lines have it. */
function formatValues(values: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(values).map(
    ([key, value]) => `${JSON.stringify(key)}: ${formatValue(value)}`,
  );
  return `{${entries.join(", ")}}`;
}

function formatValue(value: unknown): string {
  if (value instanceof Error) {
    return JSON.stringify(value.message);
  }
  if (Array.isArray(value)) {
    return `[${value.map(formatValue).join(", ")}]`;
  }
  return typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? "null");
}
