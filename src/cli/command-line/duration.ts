import { goQuote } from "../../go-text.ts";

/** Milliseconds per unit of Go's notation for durations. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ["ns", 1e-6],
  ["us", 1e-3],
  ["µs", 1e-3],
  ["μs", 1e-3],
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
]);
/** Go counts nanoseconds in 64 bits. */
const MAXIMUM_MILLISECONDS = 2 ** 63 / 1e6;

/** Go's notation for durations (`10m0s`, `90s`, `1h30m`) as milliseconds; the message of the `RangeError` is that of Go's `time.ParseDuration`. */
export function parseDuration(text: string): number {
  const invalid = new RangeError(`time: invalid duration ${goQuote(text)}`);
  const unsigned = text.replace(/^[-+]/, "");
  if (unsigned === "0") {
    return 0;
  }
  if (unsigned === "") {
    throw invalid;
  }
  let milliseconds = 0;
  let rest = unsigned;
  while (rest !== "") {
    const number = /^(?:\d+(?:\.\d*)?|\.\d+)/.exec(rest)?.[0];
    if (number === undefined) {
      throw invalid;
    }
    rest = rest.slice(number.length);
    const unit = /^[^.\d]*/.exec(rest)?.[0] ?? "";
    if (unit === "") {
      throw new RangeError(`time: missing unit in duration ${goQuote(text)}`);
    }
    const factor = UNITS.get(unit);
    if (factor === undefined) {
      throw new RangeError(`time: unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`);
    }
    milliseconds += Number(number) * factor;
    if (milliseconds >= MAXIMUM_MILLISECONDS) {
      throw invalid;
    }
    rest = rest.slice(unit.length);
  }
  return text.startsWith("-") ? -milliseconds : milliseconds;
}
