import { LanyardError } from "../../errors.ts";
import { goQuote } from "../../go-text.ts";
import { parseGoUrl } from "./go-url.ts";
import { WELL_KNOWN_PATH } from "./issuer-url.ts";
import type { OutboundHttp } from "./outbound-http.ts";
import { requestUrl } from "./outbound-http.ts";

const MAXIMUM_DOCUMENT_BYTES = 1024 * 1024;

/** What was wrong with the discovery document or with `jwks_uri`; `message` is what follows the fixed part of a condition. */
export class DiscoveryError extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({ code: "oidc.discovery", message, cause, httpStatus: 502 });
    this.name = "DiscoveryError";
  }
}

/** The members of an issuer's discovery document (OpenID Connect Discovery 1.0 section 4.2). */
export type ProviderDocument = Readonly<Record<string, unknown>>;

/** Fetches and checks the document of `issuer` (one trailing `/` removed from the address only, contract 4.4). */
export async function discoverProvider(
  issuer: string,
  http: OutboundHttp,
  signal: AbortSignal,
): Promise<ProviderDocument> {
  const wellKnown = `${issuer.replace(/\/$/, "")}${WELL_KNOWN_PATH}`;
  const answer = await http.send({
    method: "GET",
    url: httpsUrl(wellKnown),
    maximumBytes: MAXIMUM_DOCUMENT_BYTES,
    signal,
  });
  if (answer.status !== 200) {
    throw new DiscoveryError(`${answer.statusLine}: ${answer.body.toString("utf8")}`);
  }
  const document = parseJsonObject(answer.body);
  if (document === undefined) {
    throw new DiscoveryError(
      `oidc: failed to decode provider discovery object: the answer (Content-Type ${goQuote(answer.contentType)}) is not a JSON object`,
    );
  }
  const found = document["issuer"];
  if (found !== issuer) {
    throw new DiscoveryError(
      `oidc: issuer did not match the issuer returned by provider, expected ${goQuote(issuer)} got ${goQuote(typeof found === "string" ? found : "")}`,
    );
  }
  return document;
}

/** An https URL out of one that may not be; `DiscoveryError` as a Go client would word it. */
export function httpsUrl(text: string): URL {
  const parsed = parseGoUrl(text);
  if (parsed.url === undefined) {
    throw new DiscoveryError(parsed.error);
  }
  const url = requestUrl(parsed.url);
  if (url === undefined) {
    const reason =
      parsed.url.scheme === "https" ? "http: no Host in request URL" : "unsupported protocol scheme";
    throw new DiscoveryError(`Get ${goQuote(text)}: ${reason}`);
  }
  return url;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A JSON object in well-formed UTF-8, or nothing. */
export function parseJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(utf8.decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
