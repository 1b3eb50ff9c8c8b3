import { goHttpErrorText, goNetworkErrorText } from "../../tls/go-errors.ts";
import { CommandError } from "../command-error.ts";
import type { HttpClientOptions } from "./http-client.ts";

/** What a failed call was, for its error's text. */
export interface FailedCall {
  readonly method: string;
  readonly url: URL;
  readonly options: Pick<HttpClientOptions, "profile" | "caPem" | "timeout">;
}

/** What ended an answer between its head and its end. */
export class BodyError extends Error {}

/** The code of a `CommandError` about an answer whose head came, and whose body did not. */
export const BODY_ERROR_CODE = "cli.http.body";

/**
 * One line as a Go program words it, `Post "<url without query>": <cause>`, and what to do about it in parentheses. The query is left
 * out because it may hold codes.
 */
export function networkError(failed: unknown, call: FailedCall): CommandError {
  const { method, url, options } = call;
  const error = failed instanceof BodyError ? failed.cause : failed;
  const shownUrl = `${url.origin}${url.pathname}`;
  if (error instanceof CommandError) {
    const verb = `${method.slice(0, 1).toUpperCase()}${method.slice(1).toLowerCase()}`;
    return new CommandError(error.code, `${verb} "${shownUrl}": ${error.message}`, error);
  }
  const host = url.hostname.replaceAll(/^\[|\]$/g, "");
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  const remedy = remedyFor(goNetworkErrorText(error, { host, port }), options);
  const text = goHttpErrorText(error, method, shownUrl, { host, port });
  return new CommandError(
    failed instanceof BodyError ? BODY_ERROR_CODE : "cli.http.failed",
    (remedy === undefined ? text : `${text} (${remedy})`).replaceAll(/\s*[\r\n]+\s*/g, " "),
    error,
  );
}

/** What a person can do about a network error in Go's words; nothing where there is nothing useful to say. */
export function remedyFor(text: string, options: FailedCall["options"]): string | undefined {
  const remedies: readonly (readonly [RegExp, string])[] = [
    [
      /unknown authority/,
      options.caPem === undefined || options.caPem === ""
        ? "no CA bundle was given, so the system's roots were asked: give the CA bundle of this address"
        : "the CA bundle given for this address is not the one that signed its certificate: make the kubeconfig anew, or ask who runs it",
    ],
    [/expired or is not yet valid/, "compare this machine's clock with the certificate's dates"],
    [
      /x509: certificate (?:is valid for|is not valid for|relies)|x509: cannot validate/,
      "the address must be one that the certificate names",
    ],
    [/no such host|name resolution/, "check the address, DNS and VPN"],
    [
      /connection refused|no route to host|network is unreachable|i\/o timeout|connection timed out/,
      "check the address, the network and VPN, and that the server runs",
    ],
    [
      /protocol version not supported|unsupported protocol version|handshake failure|insufficient security/,
      options.profile === "secure"
        ? "whatever answers at this address must speak TLS 1.3"
        : "whatever answers at this address must speak TLS 1.2 or 1.3 with ECDHE and AEAD suites",
    ],
    [/does not look like a TLS handshake/, "the server at this address does not speak TLS: check the port"],
    [/context deadline exceeded|timeout awaiting/, `no answer within ${options.timeout / 1000} s`],
  ];
  return remedies.find(([pattern]) => pattern.test(text))?.[1];
}
