import { LanyardError } from "../../../errors.ts";
import type { Status } from "../../../kube/api-error.ts";
import { parseCertificationRequest } from "../../../pki/certificate-signing-request.ts";
import type { CertificationRequest } from "../../../pki/certificate-signing-request.ts";
import { MINIMUM_LIFETIME_SECONDS } from "../../credentials/lifetime.ts";
import { badRequest, invalid, StatusError } from "../../request/status.ts";
import type { FieldError } from "../../request/status.ts";
import { refuseDryRun } from "../dry-run.ts";
import { jsonTypeOf } from "../schema-decoding.ts";

export interface ValidationInput {
  /** `spec.token`. */
  readonly token: string;
  /** `metadata.name`. */
  readonly name: string;
  /** Values of `?dryRun`. */
  readonly dryRun: readonly string[];
  /** Of the request's path; a cluster-scoped kind has none. */
  readonly namespace: string;
}

/** Texts name the default group whatever the suffix is (contract 1.2). */
const GROUP = "login.concierge.pinniped.dev";

/** The checks of contract 2.2, in that order; each refusal is a `StatusError`. */
export function validateTokenCredentialRequest({ token, name, dryRun, namespace }: ValidationInput): void {
  if (token === "") {
    throw new StatusError(
      invalid({ group: GROUP, kind: "" }, name, [
        {
          type: "FieldValueRequired",
          body: "Required value: token must be supplied",
          field: "spec.token.value",
        },
      ]),
    );
  }
  refuseDryRun(GROUP, name, dryRun);
  if (namespace !== "") {
    throw new StatusError(badRequest(`namespace is not allowed on TokenCredentialRequest: ${namespace}`));
  }
}

/** The additive fields as they came, of whatever type. */
export interface UncheckedExtensions {
  readonly expirationSeconds: unknown;
  readonly certificateSigningRequest: unknown;
}

export interface Extensions {
  readonly requestedSeconds: number | undefined;
  /** Size, form and key type are fit; the signature has not been looked at (S8). */
  readonly certificationRequest: CertificationRequest | undefined;
}

/** The additive fields, after everything that the contract checks; refusal: a 422 with a cause for each field (S7, S8). */
export function validateExtensions(name: string, fields: UncheckedExtensions): Extensions {
  const { expirationSeconds, certificateSigningRequest } = fields;
  const errors: FieldError[] = [];
  const requestedSeconds = attempt(() => requestedLifetime(expirationSeconds), errors);
  const certificationRequest = attempt(() => readCertificationRequest(certificateSigningRequest), errors);
  if (errors.length > 0) {
    throw new StatusError(invalid({ group: GROUP, kind: "" }, name, errors));
  }
  return { requestedSeconds, certificationRequest };
}

/** The 422 for a request whose proof of possession failed (S8). */
export function invalidCertificationRequest(name: string, refusal: LanyardError): Status {
  return invalid({ group: GROUP, kind: "" }, name, [certificationRequestError(refusal.publicMessage)]);
}

class FieldFault extends Error {
  readonly field: FieldError;

  constructor(field: FieldError) {
    super(field.body);
    this.name = "FieldFault";
    this.field = field;
  }
}

function attempt<T>(read: () => T, errors: FieldError[]): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FieldFault)) {
      throw error;
    }
    errors.push(error.field);
    return undefined;
  }
}

const MAXIMUM_INT32 = 2 ** 31 - 1;

function requestedLifetime(value: unknown): number | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  if (
    typeof value !== "number" ||
    !Number.isInteger(value) ||
    value < MINIMUM_LIFETIME_SECONDS ||
    value > MAXIMUM_INT32
  ) {
    const shown = typeof value === "number" ? String(value) : `"${jsonTypeOf(value)}"`;
    throw new FieldFault({
      type: "FieldValueInvalid",
      body: `Invalid value: ${shown}: must be a whole number of seconds from ${MINIMUM_LIFETIME_SECONDS} to ${MAXIMUM_INT32}`,
      field: "spec.expirationSeconds",
    });
  }
  return value;
}

function readCertificationRequest(value: unknown): CertificationRequest | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  if (typeof value !== "string") {
    throw new FieldFault(certificationRequestError("must be a string"));
  }
  try {
    return parseCertificationRequest(value);
  } catch (error) {
    if (!(error instanceof LanyardError)) {
      throw error;
    }
    throw new FieldFault(certificationRequestError(error.publicMessage));
  }
}

/** Without the value: it is long, and the caller has it. */
function certificationRequestError(message: string): FieldError {
  return {
    type: "FieldValueInvalid",
    body: `Invalid value: ${message}`,
    field: "spec.certificateSigningRequest",
  };
}
