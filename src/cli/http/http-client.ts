/** Which row of contract cli.md 10 a connection follows. */
export interface HttpClientOptions {
  /** `secure`: TLS 1.3 only (Kubernetes-like endpoints); `default`: 1.2 and 1.3 with the secure suites (everything else). */
  readonly profile: "secure" | "default";
  /** PEM; absent: the system's roots. Given: these only. */
  readonly caPem?: string;
  /** Milliseconds for a whole call. */
  readonly timeout: number;
  /** Name to verify in place of the URL's host. */
  readonly serverName?: string;
  /** A proxy in place of those of the environment (a kubeconfig's `proxy-url`). */
  readonly proxyUrl?: string;
  readonly insecureSkipTlsVerify?: boolean;
  /** PEM pair of a client certificate. */
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
  /** Which answers' Audit-ID is logged (contract cli.md 11). */
  readonly logAuditIds: "failures" | "all";
  /** `hidden`: nothing of `Warning: 299` on stderr, as in an early renewal (contract cli.md 13.3 rule 4). */
  readonly warnings?: "shown" | "hidden";
  /** Fixed headers of every request, such as Authorization. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** `200 OK`, as Go shows a status line. */
  readonly statusLine: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The answer's Audit-ID; callers put `(audit ID <id>)` into the error of a failed call. */
  readonly auditId?: string;
  /** Milliseconds by which `Date` was ahead of the local clock at the middle of the call; absent without a `Date`. */
  readonly clockOffset?: number;
  /** `Date`, milliseconds since the epoch. */
  readonly date?: number;
}

/** Follows no redirects; bodies are limited to 4 MiB; proxies come from the environment; sets the User-Agent of contract cli.md 1; shows `Warning: 299`. */
export interface HttpClient {
  request(request: HttpRequest): Promise<HttpAnswer>;
  /** For libraries that bring their own calls (openid-client's customFetch): the same rules. */
  readonly fetch: typeof globalThis.fetch;
  close(): Promise<void>;
}
