import { messageOf } from "../../errors.ts";
import { base64ErrorOffset, goQuote } from "../../go-text.ts";
import { validateApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import { CommandError } from "../command-error.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import { goUrlRefusal } from "./go-url-refusal.ts";

const BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----";
const END_CERTIFICATE = "-----END CERTIFICATE-----";

/** The flags that say where and how to exchange a token, as typed. */
export interface ConciergeFlags {
  readonly endpoint: string;
  /** base64 of PEM; empty: the system's roots. */
  readonly caBundleData: string;
  readonly authenticatorType: string;
  readonly authenticatorName: string;
  readonly apiGroupSuffix: string;
}

/** Those of a login command (contract cli.md 4.1, 5). */
export function conciergeFlags(flags: Pick<ParsedFlags, "string">): ConciergeFlags {
  return {
    endpoint: flags.string("concierge-endpoint"),
    caBundleData: flags.string("concierge-ca-bundle-data"),
    authenticatorType: flags.string("concierge-authenticator-type"),
    authenticatorName: flags.string("concierge-authenticator-name"),
    apiGroupSuffix: flags.string("concierge-api-group-suffix"),
  };
}

export interface ConciergeParameters {
  readonly endpoint: string;
  /** PEM; absent: the system's roots. */
  readonly caPem?: string;
  readonly authenticatorKind: "JWTAuthenticator" | "WebhookAuthenticator";
  readonly authenticatorName: string;
  readonly apiGroupSuffix: string;
}

/**
 * Checks the parameters in the order and with the texts of contract cli.md 8. It runs before every look into the cache, so it loads
 * next to nothing. The caller prefixes the errors.
 */
export function checkConciergeParameters(flags: ConciergeFlags): ConciergeParameters {
  refuseBadEndpoint(flags.endpoint);
  const caPem = flags.caBundleData === "" ? undefined : decodeCaBundle(flags.caBundleData);
  if (flags.authenticatorName === "") {
    throw parameterError("authenticator name must not be empty");
  }
  const authenticatorKind = authenticatorKindOf(flags.authenticatorType);
  try {
    validateApiGroupSuffix(flags.apiGroupSuffix);
  } catch (error) {
    throw parameterError(`invalid API group suffix: ${messageOf(error)}`);
  }
  return {
    endpoint: flags.endpoint,
    ...(caPem === undefined ? {} : { caPem }),
    authenticatorKind,
    authenticatorName: flags.authenticatorName,
    apiGroupSuffix: flags.apiGroupSuffix,
  };
}

function refuseBadEndpoint(endpoint: string): void {
  if (endpoint === "") {
    throw parameterError("endpoint must not be empty");
  }
  const refusal = goUrlRefusal(endpoint);
  if (refusal !== undefined) {
    throw parameterError(`invalid endpoint URL: ${refusal}`);
  }
  const scheme =
    /^(?<scheme>[A-Za-z][A-Za-z0-9+.-]*):/.exec(endpoint)?.groups?.["scheme"]?.toLowerCase() ?? "";
  if (scheme !== "https") {
    throw parameterError(`invalid endpoint scheme ${goQuote(scheme)} (must be "https")`);
  }
}

function decodeCaBundle(data: string): string {
  const bytes = Buffer.from(data, "base64");
  // The exact walk that finds the faulty byte is slow, and faults are rare.
  const offset = bytes.toString("base64") === data ? undefined : base64ErrorOffset(data);
  if (offset !== undefined) {
    throw parameterError(`invalid CA bundle data: illegal base64 data at input byte ${offset}`);
  }
  const pem = bytes.toString("latin1");
  if (!holdsCertificate(pem)) {
    throw parameterError("invalid CA bundle data: no certificates found");
  }
  return pem;
}

/**
 * Whether there is at least one block with the frame of a certificate, a DER SEQUENCE of its whole length. Reading it any further
 * would load node:crypto before every look into the cache; TLS does so when it is used.
 */
function holdsCertificate(pem: string): boolean {
  let end = 0;
  for (;;) {
    const begin = pem.indexOf(BEGIN_CERTIFICATE, end);
    end = pem.indexOf(END_CERTIFICATE, begin);
    if (begin === -1 || end === -1) {
      return false;
    }
    if (isCertificateFrame(Buffer.from(pem.slice(begin + BEGIN_CERTIFICATE.length, end), "base64"))) {
      return true;
    }
  }
}

function isCertificateFrame(der: Buffer): boolean {
  const lengthBytes = (der[1] ?? 0) & 0x7f;
  return (
    der[0] === 0x30 &&
    (der[1] ?? 0) > 0x80 &&
    lengthBytes <= 3 &&
    der.length > 2 + lengthBytes &&
    der.readUIntBE(2, lengthBytes) === der.length - 2 - lengthBytes
  );
}

function authenticatorKindOf(type: string): ConciergeParameters["authenticatorKind"] {
  switch (type.toLowerCase()) {
    case "jwt":
      return "JWTAuthenticator";
    case "webhook":
      return "WebhookAuthenticator";
    default:
      throw parameterError(
        `invalid authenticator type: ${goQuote(type)}, supported values are "webhook" and "jwt"`,
      );
  }
}

function parameterError(message: string): CommandError {
  return new CommandError("cli.concierge.parameters", message);
}
