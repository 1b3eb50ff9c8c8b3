import { failure, noSuchOverload } from "../errors.ts";
import type { Implementation } from "../frame.ts";
import { CelDuration, CelTimestamp, type Value } from "../values.ts";
import { splitSeconds } from "./time-text.ts";

/** Seconds east of UTC that a zone has at a point in time: `UTC`, `+01:30` or a name of the IANA database. */
function zoneOffset(zone: string, seconds: number): number {
  if (zone === "" || zone === "UTC") return 0;
  const fixed = /^([+-]?)(\d{1,3}):(\d{1,2})$/u.exec(zone);
  if (fixed !== null) return (fixed[1] === "-" ? -1 : 1) * (Number(fixed[2]) * 3600 + Number(fixed[3]) * 60);
  if (zone.includes(":") || !/^[A-Za-z]/u.test(zone)) throw failure(`unknown time zone ${zone}`);
  try {
    const parts = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      era: "short",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    }).formatToParts(seconds * 1000);
    const read = (type: string): number => Number(parts.find((part) => part.type === type)?.value ?? 0);
    const local = new Date(0);
    const beforeChrist = parts.some((part) => part.type === "era" && part.value.startsWith("B"));
    local.setUTCFullYear(beforeChrist ? 1 - read("year") : read("year"), read("month") - 1, read("day"));
    local.setUTCHours(read("hour"), read("minute"), read("second"));
    return local.getTime() / 1000 - seconds;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw failure(`unknown time zone ${zone}`);
  }
}

interface Field {
  readonly ofTimestamp: (local: Date, nanosecond: bigint) => number;
  /** Whole units of a span, given the nanoseconds of one. */
  readonly unit?: bigint;
}

function dayOfYear(local: Date): number {
  const start = new Date(local);
  start.setUTCMonth(0, 1);
  return Math.round((local.getTime() - start.getTime()) / 86_400_000);
}

const fields: Readonly<Record<string, Field>> = {
  getFullYear: { ofTimestamp: (local) => local.getUTCFullYear() },
  getMonth: { ofTimestamp: (local) => local.getUTCMonth() },
  getDayOfYear: { ofTimestamp: dayOfYear },
  getDayOfMonth: { ofTimestamp: (local) => local.getUTCDate() - 1 },
  getDate: { ofTimestamp: (local) => local.getUTCDate() },
  getDayOfWeek: { ofTimestamp: (local) => local.getUTCDay() },
  getHours: { ofTimestamp: (local) => local.getUTCHours(), unit: 3_600_000_000_000n },
  getMinutes: { ofTimestamp: (local) => local.getUTCMinutes(), unit: 60_000_000_000n },
  getSeconds: { ofTimestamp: (local) => local.getUTCSeconds(), unit: 1_000_000_000n },
  getMilliseconds: { ofTimestamp: (_local, nanosecond) => Number(nanosecond / 1_000_000n), unit: 1_000_000n },
};

function getter({ ofTimestamp, unit }: Field): Implementation {
  return (_frame, value: Value, zone: Value | undefined) => {
    if (value instanceof CelDuration && unit !== undefined && zone === undefined)
      return value.nanoseconds / unit;
    if (!(value instanceof CelTimestamp)) throw noSuchOverload();
    if (zone !== undefined && typeof zone !== "string") throw noSuchOverload();
    const { seconds, rest } = splitSeconds(value.nanoseconds);
    const utc = Number(seconds);
    const local = new Date((utc + (zone === undefined ? 0 : zoneOffset(zone, utc))) * 1000);
    return BigInt(ofTimestamp(local, rest));
  };
}

export const time: Readonly<Record<string, Implementation>> = Object.fromEntries(
  Object.entries(fields).map(([name, field]) => [name, getter(field)]),
);
