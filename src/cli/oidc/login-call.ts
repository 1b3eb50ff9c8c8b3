import type { CommandContext, TextOutput } from "../context.ts";
import type { HttpClient, HttpClientOptions } from "../http/http-client.ts";
import type { Terminal } from "../terminal/terminal.ts";
import type { OidcLoginOptions } from "./login.ts";
import type { LoginFlow } from "./requested-flow.ts";
import type { SessionKey } from "./session.ts";

/** Milliseconds for one HTTP call to an issuer (contract cli.md 4.2). */
export const ISSUER_CALL_TIMEOUT = 60_000;

/** Opens a URL in a browser; rejects when there is none or it fails soon. */
export type OpenBrowser = (context: CommandContext, url: string) => Promise<void>;

/** What a login reaches outside the process; tests bring their own. */
export interface OidcLoginParts {
  readonly createHttpClient: (
    context: CommandContext,
    options: HttpClientOptions,
  ) => HttpClient | Promise<HttpClient>;
  readonly createTerminal: (output: TextOutput) => Terminal;
  readonly openBrowser: OpenBrowser;
}

/** One login while it runs. */
export interface LoginCall {
  readonly context: CommandContext;
  readonly options: OidcLoginOptions;
  readonly key: SessionKey;
  readonly flow: LoginFlow | undefined;
  readonly http: HttpClient;
  readonly parts: OidcLoginParts;
  /** Ends with the caller's signal and with the time limit of the whole login. */
  readonly signal: AbortSignal;
}
