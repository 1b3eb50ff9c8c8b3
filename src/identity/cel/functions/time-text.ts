import { failure } from "../errors.ts";
import { CelDuration, CelTimestamp, isInt64 } from "../values.ts";

const nanosecondsPerSecond = 1_000_000_000n;
/** 0001-01-01T00:00:00Z and the last nanosecond of 9999. */
const minimumTimestamp = -62_135_596_800n * nanosecondsPerSecond;
const maximumTimestamp = 253_402_300_800n * nanosecondsPerSecond - 1n;

/** Throws `timestamp overflow` outside of the years 1 to 9999. */
export function checkedTimestamp(nanoseconds: bigint, offset = 0): CelTimestamp {
  if (nanoseconds < minimumTimestamp || nanoseconds > maximumTimestamp) throw failure("timestamp overflow");
  return new CelTimestamp(nanoseconds, offset);
}

/** Throws `integer overflow` beyond 64 bits of nanoseconds. */
export function checkedDuration(nanoseconds: bigint): CelDuration {
  if (!isInt64(nanoseconds)) throw failure("integer overflow");
  return new CelDuration(nanoseconds);
}

const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/u;

/** Reads RFC 3339 as Go does; undefined when the text is no such time. */
export function parseTimestamp(text: string): CelTimestamp | undefined {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (
    date.getUTCMonth() !== month - 1 ||
    date.getUTCDate() !== day ||
    hour > 23 ||
    minute > 59 ||
    second > 59
  )
    return undefined;
  date.setUTCHours(hour, minute, second);
  const offsetHours = Number(match[9] ?? 0);
  const offsetMinutes = Number(match[10] ?? 0);
  if (offsetHours > 24 || offsetMinutes > 60) return undefined;
  const offset = (match[8] === "-" ? -1 : 1) * (offsetHours * 3600 + offsetMinutes * 60);
  const fraction = BigInt((match[7] ?? "").slice(0, 9).padEnd(9, "0"));
  return checkedTimestamp(BigInt(date.getTime() / 1000 - offset) * nanosecondsPerSecond + fraction, offset);
}

/** Nanoseconds since the epoch as whole seconds (rounded down) and the rest. */
export function splitSeconds(nanoseconds: bigint): { readonly seconds: bigint; readonly rest: bigint } {
  const rest = ((nanoseconds % nanosecondsPerSecond) + nanosecondsPerSecond) % nanosecondsPerSecond;
  return { seconds: (nanoseconds - rest) / nanosecondsPerSecond, rest };
}

function fractionText(rest: bigint): string {
  return rest === 0n ? "" : `.${rest.toString().padStart(9, "0").replace(/0+$/u, "")}`;
}

/** RFC 3339 with as many digits as needed, at the offset that the time was written with. */
export function formatTimestamp({ nanoseconds, offset }: CelTimestamp): string {
  const { seconds, rest } = splitSeconds(nanoseconds);
  const minutes = Math.trunc(Math.abs(offset) / 60);
  const two = (value: number): string => String(value).padStart(2, "0");
  const zone =
    offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
  return `${new Date((Number(seconds) + offset) * 1000).toISOString().slice(0, 19)}${fractionText(rest)}${zone}`;
}

const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: nanosecondsPerSecond,
  m: 60n * nanosecondsPerSecond,
  h: 3600n * nanosecondsPerSecond,
};

/** Reads a span as Go's `time.ParseDuration`, such as `1h30m` or `-1.5s`; undefined when it is none. */
export function parseDuration(text: string): CelDuration | undefined {
  const [, sign, body = ""] = /^([+-]?)(.*)$/su.exec(text) ?? [];
  if (body === "0") return new CelDuration(0n);
  const whole = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/u;
  if (body.length > 512 || !whole.test(body)) return undefined;
  let total = 0n;
  for (const [, integer = "", fraction = "", unit = ""] of body.matchAll(
    /(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/gu,
  )) {
    const scale = units[unit] ?? 1n;
    total += BigInt(integer === "" ? "0" : integer) * scale;
    if (fraction !== "") total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
  }
  const nanoseconds = sign === "-" ? -total : total;
  return isInt64(nanoseconds) ? new CelDuration(nanoseconds) : undefined;
}

/** A span in seconds with as many digits as needed, such as `5400s` or `1.5s`. */
export function formatDuration({ nanoseconds }: CelDuration): string {
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const { seconds, rest } = splitSeconds(size);
  return `${nanoseconds < 0n ? "-" : ""}${seconds}${fractionText(rest)}s`;
}
