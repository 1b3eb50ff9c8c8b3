import { goQuote } from "./go-quote.ts";

const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
/** A `time.Duration` ends here: 2^63 - 1 nanoseconds. */
const LARGEST = 9_223_372_036_854;

/**
 * A duration as Go's `time.ParseDuration` reads it (`90s`, `1h30m`, `1.5s`), in milliseconds. Throws a `TypeError` with Go's
 * text.
 */
export function parseGoDuration(text: string): number {
  const invalid = (): TypeError => new TypeError(`time: invalid duration ${goQuote(text)}`);
  const negative = text.startsWith("-");
  let rest = /^[+-]/.test(text) ? text.slice(1) : text;
  if (rest === "0") {
    return 0;
  }
  if (rest === "") {
    throw invalid();
  }
  let milliseconds = 0;
  while (rest !== "") {
    const [number = ""] = /^(?:\d+\.?\d*|\.\d+)/.exec(rest) ?? [];
    if (number === "") {
      throw invalid();
    }
    rest = rest.slice(number.length);
    const [unit = ""] = /^[^.\d]+/.exec(rest) ?? [];
    if (unit === "") {
      throw new TypeError(`time: missing unit in duration ${goQuote(text)}`);
    }
    const factor = Object.hasOwn(MILLISECONDS, unit) ? MILLISECONDS[unit] : undefined;
    if (factor === undefined) {
      throw new TypeError(`time: unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`);
    }
    rest = rest.slice(unit.length);
    milliseconds += Number(number) * factor;
  }
  if (milliseconds > LARGEST) {
    throw invalid();
  }
  return negative ? -milliseconds : milliseconds;
}
