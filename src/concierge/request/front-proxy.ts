import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import { subjectOf } from "../../pki/certificate.ts";
import type { RequestHeaderConfiguration } from "../state/concierge-state.ts";
import type { ReadonlyHolder } from "../state/holder.ts";
import { createCertificateTrust } from "./presented-certificate.ts";
import type { PresentedCertificate } from "./presented-certificate.ts";
import { decodeHeaderText, headerValues, prefixedHeaders } from "./raw-headers.ts";
import type { RequestAuthenticator } from "./request-authenticator.ts";

export interface FrontProxyOptions {
  readonly configuration: ReadonlyHolder<RequestHeaderConfiguration | undefined>;
  readonly clock: Clock;
}

/** The kube-apiserver in front of us: it proves itself by certificate and names its caller in headers (A1). */
export interface FrontProxyAuthenticator extends RequestAuthenticator {
  /** `authenticate` without waiting, for a certificate that is there; throws where that rejects. */
  identify(certificate: PresentedCertificate, rawHeaders: readonly string[]): Identity | undefined;
  /** Whether this certificate, at this moment, is a front proxy's; its `X-Forwarded-For` may be believed then (S18). */
  isFrontProxy(certificate: PresentedCertificate | undefined): boolean;
}

/**
 * Request-header authentication (contract 1.4 item 1). The certificate is judged at every request against the bundle, the
 * allowed names and the clock of that moment (design.md rule 4.2); the header names are the cluster's (A1). Throws for a
 * certificate that is no front proxy's.
 */
export function createFrontProxyAuthenticator(options: FrontProxyOptions): FrontProxyAuthenticator {
  const { configuration, clock } = options;
  const trust = createCertificateTrust(() => configuration.current?.clientCaPem);

  const requireFrontProxy = (certificate: PresentedCertificate, allowedNames: readonly string[]): void => {
    const { chain } = trust.verify(certificate, clock.now());
    if (allowedNames.length > 0 && !allowedNames.includes(subjectOf(chain[0]).commonName)) {
      throw new LanyardError({
        code: "certificate.nameNotAllowed",
        message: "x509: the certificate's common name is not an allowed front proxy",
        httpStatus: 401,
      });
    }
  };

  const identify = (
    certificate: PresentedCertificate,
    rawHeaders: readonly string[],
  ): Identity | undefined => {
    const current = configuration.current;
    if (current === undefined) {
      return undefined;
    }
    requireFrontProxy(certificate, current.allowedNames);
    return identityFromHeaders(rawHeaders, current);
  };

  return {
    name: "front-proxy",
    // Async, so that a refusal is a rejection like those of the other authenticators.
    authenticate: async ({ certificate, rawHeaders }) =>
      certificate === undefined ? undefined : identify(certificate, rawHeaders),
    identify,
    isFrontProxy: (certificate) => {
      const current = configuration.current;
      if (certificate === undefined || current === undefined) {
        return false;
      }
      try {
        requireFrontProxy(certificate, current.allowedNames);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/**
 * The user that the headers name; nobody without a username header. Repeated groups stay apart (A6, H4); bytes are strict
 * UTF-8, else a 400 (H5); extra keys are lower-cased and then percent-decoded.
 */
export function identityFromHeaders(
  rawHeaders: readonly string[],
  configuration: Omit<RequestHeaderConfiguration, "clientCaPem" | "allowedNames">,
): Identity | undefined {
  const username = firstValue(rawHeaders, configuration.usernameHeaders);
  if (username === undefined) {
    return undefined;
  }
  const uid = firstValue(rawHeaders, configuration.uidHeaders);
  const groups = configuration.groupHeaders.flatMap((header) =>
    headerValues(rawHeaders, header)
      .filter((value) => value !== "")
      .map((value) => decodeHeaderText(value, header)),
  );
  const extra = new Map<string, string[]>();
  for (const prefix of configuration.extraHeaderPrefixes) {
    for (const { rest, value } of prefixedHeaders(rawHeaders, prefix.toLowerCase())) {
      const key = decodeExtraKey(rest);
      const values = extra.get(key) ?? [];
      values.push(decodeHeaderText(value, prefix));
      extra.set(key, values);
    }
  }
  // `fromEntries` defines own properties, so that a key such as `__proto__` is data like any other.
  return { username, ...(uid === undefined ? {} : { uid }), groups, extra: Object.fromEntries(extra) };
}

function firstValue(rawHeaders: readonly string[], headers: readonly string[]): string | undefined {
  for (const header of headers) {
    // As Go's `Header.Get`: only the first of several counts, and an empty one sends us to the next name.
    const [value] = headerValues(rawHeaders, header);
    if (value !== undefined && value !== "") {
      return decodeHeaderText(value, header);
    }
  }
  return undefined;
}

/** A key that is not valid percent-encoding is kept as it came, as client-go and the API server do. */
function decodeExtraKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}
