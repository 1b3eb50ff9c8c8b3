import { randomUUID } from "node:crypto";
import { headerValues } from "./raw-headers.ts";

const MAXIMUM_LENGTH = 64;
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;

/**
 * The request's audit ID (contract 1.4): the inbound `Audit-ID`, cut to 64 characters, when it is printable ASCII; else a
 * new UUID. The generic API server takes the first of several.
 */
export function auditIdOf(rawHeaders: readonly string[]): string {
  const inbound = headerValues(rawHeaders, "audit-id")[0];
  return inbound !== undefined && PRINTABLE_ASCII.test(inbound)
    ? inbound.slice(0, MAXIMUM_LENGTH)
    : randomUUID();
}
