import { isRecord } from "./cache-document.ts";
import type { ClusterCredential } from "./credential.ts";
import { readProtectedFile } from "./protected-file.ts";
import type { FileOwner } from "./protected-file.ts";

/** What is remembered of one credential beside `credentials.yaml`: the existing CLI drops fields that it does not know. */
export interface CredentialHistory {
  /** Which credential this speaks of; it may have been replaced by the existing CLI. */
  readonly fingerprint: string;
  /** Milliseconds since the epoch, on the local clock. */
  readonly storedAt: number;
  /** T0 on the issuer's clock. */
  readonly issuedAt?: number | undefined;
  readonly endpoint?: string | undefined;
  /** Early renewals that failed in a row, and when the next one may be tried. */
  readonly failures: number;
  readonly retryAt: number;
  /** Who was given it, and until when they were told to use it. */
  readonly handedTo: readonly HandOut[];
}

export interface HandOut {
  readonly processId: number;
  readonly start: string;
  readonly at: number;
  readonly until: number;
}

/** The whole side file, `<credentials.yaml>.lanyard`: JSON, 0600. Losing it is harmless. */
export interface SideFile {
  /** By the credential's key. */
  readonly histories: Readonly<Record<string, CredentialHistory>>;
  /** By the credential's key: when rule 7 of contract cli.md 13.3 last went past the cache. */
  readonly bypassedAt: Readonly<Record<string, number>>;
  /** By endpoint: milliseconds by which its `Date` was ahead, the last answers first. */
  readonly clockOffsets: Readonly<Record<string, readonly number[]>>;
}

export const EMPTY_SIDE_FILE: SideFile = { histories: {}, bypassedAt: {}, clockOffsets: {} };

/** Replicas disagree about the time, so the greatest of a few answers counts (contract cli.md 13.3 rule 8). */
const REMEMBERED_OFFSETS = 5;
/** Answers that differ by more, milliseconds, are of another time: this machine's clock has been set since. */
const REPLICA_DIFFERENCE = 60_000;
const REMEMBERED_ENDPOINTS = 50;
const REMEMBERED_HAND_OUTS = 50;
/** Longer than any credential lives. */
const HISTORY_LIFETIME = 25 * 3_600_000;
const VERSION = 1;

export function sideFilePath(file: string): string {
  return `${file}.lanyard`;
}

/** What is unsafe, missing, broken or of a newer version counts as empty. */
export function readSideFile(file: string, owner: FileOwner): SideFile {
  const found = readProtectedFile(sideFilePath(file), owner);
  return found.state === "read" ? parseSideFile(found.text) : EMPTY_SIDE_FILE;
}

export function parseSideFile(text: string): SideFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return EMPTY_SIDE_FILE;
  }
  if (!isRecord(value) || value["version"] !== VERSION) {
    return EMPTY_SIDE_FILE;
  }
  const { histories, bypassedAt, clockOffsets } = value;
  return {
    histories: recordOf(histories, isHistory),
    bypassedAt: recordOf(bypassedAt, isNumber),
    clockOffsets: recordOf(clockOffsets, isNumbers),
  };
}

/** The text to store, without what nobody will ask for again. */
export function formatSideFile(side: SideFile, now: number): string {
  const histories = Object.entries(side.histories)
    .filter(([, history]) => Math.abs(now - history.storedAt) < HISTORY_LIFETIME)
    .map(([key, history]) => [
      key,
      {
        ...history,
        handedTo: history.handedTo.filter(({ until }) => until > now).slice(0, REMEMBERED_HAND_OUTS),
      },
    ]);
  return `${JSON.stringify({
    version: VERSION,
    histories: Object.fromEntries(histories),
    bypassedAt: Object.fromEntries(
      Object.entries(side.bypassedAt).filter(([, time]) => Math.abs(now - time) < HISTORY_LIFETIME),
    ),
    clockOffsets: Object.fromEntries(Object.entries(side.clockOffsets).slice(0, REMEMBERED_ENDPOINTS)),
  })}\n`;
}

/** Names a credential without holding it: the end of a signature, or of an opaque token. */
export function fingerprintOf(credential: ClusterCredential): string {
  const { clientCertificateData = "", token = "" } = credential;
  const end = clientCertificateData.indexOf("-----END");
  const text = end === -1 ? token : clientCertificateData.slice(0, end).trimEnd();
  return `${text.length}.${text.slice(-12)}`;
}

/** The history of exactly this credential. */
export function historyOf(
  side: SideFile,
  key: string,
  credential: ClusterCredential,
): CredentialHistory | undefined {
  const history = side.histories[key];
  return history?.fingerprint === fingerprintOf(credential) ? history : undefined;
}

/** By how much an endpoint's clock is ahead, milliseconds; undefined: it never told. */
export function clockOffsetOf(side: SideFile, endpoint: string | undefined): number | undefined {
  const offsets = endpoint === undefined ? undefined : side.clockOffsets[endpoint];
  return offsets === undefined || offsets.length === 0 ? undefined : Math.max(...offsets);
}

export function withClockOffset(side: SideFile, endpoint: string, offset: number): SideFile {
  const measured = Math.round(offset);
  const earlier = side.clockOffsets[endpoint] ?? [];
  const offsets = [
    measured,
    ...earlier.filter((other) => Math.abs(other - measured) <= REPLICA_DIFFERENCE),
  ].slice(0, REMEMBERED_OFFSETS);
  const { [endpoint]: _, ...others } = side.clockOffsets;
  return { ...side, clockOffsets: { [endpoint]: offsets, ...others } };
}

function recordOf<T>(value: unknown, accepts: (value: unknown) => value is T): Readonly<Record<string, T>> {
  const accepted: Record<string, T> = {};
  for (const [key, field] of Object.entries(isRecord(value) ? value : {})) {
    if (accepts(field) && key !== "__proto__") {
      accepted[key] = field;
    }
  }
  return accepted;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isNumber);
}

function isHistory(value: unknown): value is CredentialHistory {
  return (
    isRecord(value) &&
    typeof value["fingerprint"] === "string" &&
    isNumber(value["storedAt"]) &&
    (value["issuedAt"] === undefined || isNumber(value["issuedAt"])) &&
    (value["endpoint"] === undefined || typeof value["endpoint"] === "string") &&
    isNumber(value["failures"]) &&
    isNumber(value["retryAt"]) &&
    Array.isArray(value["handedTo"]) &&
    value["handedTo"].every(
      (handOut) =>
        isRecord(handOut) &&
        isNumber(handOut["processId"]) &&
        typeof handOut["start"] === "string" &&
        isNumber(handOut["at"]) &&
        isNumber(handOut["until"]),
    )
  );
}
