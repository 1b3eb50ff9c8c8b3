import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createLoopbackCertificate, type LoopbackCertificate } from "./certificates.ts";
import { deliverByFetchPage, loginPage } from "./supervisor-pages.ts";
import {
  createSupervisorSessions,
  type Granted,
  GrantRefused,
  type SupervisorUser,
} from "./supervisor-sessions.ts";
import { readBody, sendJson, startTlsServer } from "./tls-server.ts";

/** What was asked of the Supervisor; `login` is a code that was redeemed. */
export type SupervisorCall =
  "discovery" | "identityProviders" | "keys" | "authorize" | "login" | "refresh" | "exchange" | "revocation";

export interface SupervisorProvider {
  readonly name: string;
  readonly type: "oidc" | "ldap" | "activedirectory" | "github";
  readonly flows: readonly ("browser_authcode" | "cli_password")[];
}

export interface SupervisorOptions {
  readonly users: readonly SupervisorUser[];
  /** Default: one of type `ldap` named `corp` with both flows, the password first. */
  readonly providers?: readonly SupervisorProvider[];
  /** Seconds; default 120. */
  readonly idTokenSeconds?: number;
  /** Seconds; default 120. */
  readonly accessTokenSeconds?: number;
  /** Seconds from the login on that a session can be refreshed; default 9 h. */
  readonly sessionSeconds?: number;
  /** Whether it offers RFC 7009, which today's Supervisor does not; default false. */
  readonly revocation?: boolean;
  readonly certificate?: LoopbackCertificate;
}

/** An issuer that behaves as a Pinniped Supervisor does towards a CLI (contract cli.md 2.5, 4; supervisor.md 4). */
export interface TestSupervisor {
  readonly issuerUrl: string;
  readonly port: number;
  readonly caPem: string;
  /** Calls so far that were answered, by what they asked for. */
  calls(): Readonly<Record<SupervisorCall, number>>;
  /** Logins, refreshes and exchanges of a user since the last time this was asked of them. */
  newCalls(username: string): GrantCounts;
  /** Sessions that somebody could go on with. */
  livingSessions(): number;
  endAllSessions(): void;
  stop(): Promise<void>;
  /** Listens again on the same port after `stop`. */
  start(): Promise<void>;
}

/** How often tokens were granted. */
export interface GrantCounts {
  readonly login: number;
  readonly refresh: number;
  readonly exchange: number;
}

const clientId = "pinniped-cli";
const issuerPath = "/fd";
const supervisorKey = "discovery.supervisor.pinniped.dev/v1alpha1";

export async function startSupervisor(options: SupervisorOptions): Promise<TestSupervisor> {
  const certificate = options.certificate ?? (await createLoopbackCertificate());
  const counts = {
    discovery: 0,
    identityProviders: 0,
    keys: 0,
    authorize: 0,
    login: 0,
    refresh: 0,
    exchange: 0,
    revocation: 0,
  };
  let answer: (request: IncomingMessage, response: ServerResponse) => Promise<void> = async () => {};
  const server = await startTlsServer(certificate, (request, response) => {
    response.setHeader("Audit-ID", randomUUID());
    void answer(request, response).catch((error: unknown) => refuse(response, error));
  });
  const issuerUrl = `${server.origin}${issuerPath}`;
  const sessions = await createSupervisorSessions(issuerUrl, {
    idToken: options.idTokenSeconds ?? 120,
    accessToken: options.accessTokenSeconds ?? 120,
    session: options.sessionSeconds ?? 9 * 3600,
  });
  const providers = options.providers ?? [
    { name: "corp", type: "ldap", flows: ["cli_password", "browser_authcode"] },
  ];

  const discovery = {
    issuer: issuerUrl,
    authorization_endpoint: `${issuerUrl}/oauth2/authorize`,
    token_endpoint: `${issuerUrl}/oauth2/token`,
    jwks_uri: `${issuerUrl}/jwks.json`,
    response_types_supported: ["code"],
    response_modes_supported: ["query", "form_post"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["ES256"],
    token_endpoint_auth_methods_supported: ["client_secret_basic"],
    scopes_supported: ["openid", "offline_access", "pinniped:request-audience", "username", "groups"],
    claims_supported: ["username", "groups", "additionalClaims"],
    code_challenge_methods_supported: ["S256"],
    ...(options.revocation === true ? { revocation_endpoint: `${issuerUrl}/oauth2/revoke` } : {}),
    [supervisorKey]: {
      pinniped_identity_providers_endpoint: `${issuerUrl}/v1alpha1/pinniped_identity_providers`,
    },
  };
  const userWith = (username: string, password: string): SupervisorUser | undefined =>
    options.users.find((user) => user.username === username && user.password === password);

  const authorize = (request: IncomingMessage, response: ServerResponse, query: URLSearchParams): void => {
    counts.authorize++;
    const redirect = new URL(query.get("redirect_uri") ?? "");
    if (query.get("client_id") !== clientId || redirect.hostname !== "127.0.0.1") {
      throw new GrantRefused("invalid_request", "The client or its 'redirect_uri' is not known.");
    }
    if (query.get("code_challenge_method") !== "S256" || (query.get("code_challenge") ?? "") === "") {
      throw new GrantRefused("invalid_request", "Clients must use code_challenge_method=S256.");
    }
    const provider = providers.find(({ name }) => name === query.get("pinniped_idp_name"));
    if (provider === undefined && (query.has("pinniped_idp_name") || providers.length > 1)) {
      throw new GrantRefused("invalid_request", "'pinniped_idp_name' param error: not found");
    }
    const username = request.headers["pinniped-username"];
    const password = request.headers["pinniped-password"];
    if (username === undefined && password === undefined) {
      sendPage(response, loginPage(`${issuerPath}/login`, query));
      return;
    }
    const user = userWith(String(username), String(password));
    const parameters: Record<string, string> =
      user === undefined
        ? {
            error: "access_denied",
            error_description:
              "The resource owner or authorization server denied the request. Username/password not accepted by LDAP provider.",
          }
        : { code: sessions.issueCode(user, query), scope: query.get("scope") ?? "" };
    redirect.search = new URLSearchParams({ ...parameters, state: query.get("state") ?? "" }).toString();
    response.writeHead(302, { location: redirect.href }).end();
  };

  const logIn = (response: ServerResponse, form: URLSearchParams): void => {
    const query = new URLSearchParams(form.get("request") ?? "");
    const user = userWith(form.get("username") ?? "", form.get("password") ?? "");
    if (user === undefined) {
      sendPage(response, loginPage(`${issuerPath}/login`, query, "Incorrect username or password."));
      return;
    }
    const parameters = new URLSearchParams({
      code: sessions.issueCode(user, query),
      scope: query.get("scope") ?? "",
      state: query.get("state") ?? "",
    });
    const redirectUri = query.get("redirect_uri") ?? "";
    if (query.get("response_mode") === "form_post") {
      sendPage(response, deliverByFetchPage(redirectUri, parameters));
    } else {
      response.writeHead(303, { location: `${redirectUri}?${parameters.toString()}` }).end();
    }
  };

  const grants: { readonly what: keyof GrantCounts; readonly username: string }[] = [];
  // Counted when answered: what was refused is not a login.
  const granted = (what: keyof GrantCounts, { answer: body, username }: Granted): object => {
    counts[what]++;
    grants.push({ what, username });
    return body;
  };
  const token = async (request: IncomingMessage, form: URLSearchParams): Promise<object> => {
    const basic = /^Basic (?<value>.+)$/.exec(request.headers.authorization ?? "")?.groups?.["value"];
    const client =
      basic === undefined
        ? form.get("client_id")
        : Buffer.from(basic, "base64").toString("utf8").replace(/:$/, "");
    if (client !== clientId) {
      throw new GrantRefused("invalid_client", "Client authentication failed.", 401);
    }
    switch (form.get("grant_type")) {
      case "authorization_code":
        return granted("login", await sessions.redeemCode(form));
      case "refresh_token":
        return granted("refresh", await sessions.refresh(form));
      case "urn:ietf:params:oauth:grant-type:token-exchange":
        return granted("exchange", await sessions.exchange(form));
      default:
        throw new GrantRefused("invalid_request", "The 'grant_type' is not known.");
    }
  };

  answer = async (request, response) => {
    const url = new URL(request.url ?? "/", server.origin);
    const form = new URLSearchParams(request.method === "POST" ? await readBody(request) : "");
    switch (`${request.method} ${url.pathname.slice(issuerPath.length)}`) {
      case "GET /.well-known/openid-configuration":
        counts.discovery++;
        return sendJson(response, 200, discovery);
      case "GET /v1alpha1/pinniped_identity_providers":
        counts.identityProviders++;
        return sendJson(response, 200, {
          pinniped_identity_providers: providers,
          pinniped_supported_identity_provider_types: ["activedirectory", "github", "ldap", "oidc"].map(
            (type) => ({ type }),
          ),
        });
      case "GET /jwks.json":
        counts.keys++;
        return sendJson(response, 200, { keys: [sessions.publicKey] });
      case "GET /oauth2/authorize":
        return authorize(request, response, url.searchParams);
      case "POST /login":
        return logIn(response, form);
      case "POST /oauth2/token":
        return sendJson(response, 200, await token(request, form));
      case "POST /oauth2/revoke":
        counts.revocation++;
        sessions.revoke(form.get("token") ?? "");
        return sendJson(response, 200, {});
      default:
        response.writeHead(404).end("404 page not found\n");
    }
  };

  const takenOff = new Map<string, number>();
  return {
    issuerUrl,
    port: server.port,
    caPem: certificate.caPem,
    calls: () => ({ ...counts }),
    newCalls: (username) => {
      const all = grants.filter((grant) => grant.username === username);
      const fresh = all.slice(takenOff.get(username) ?? 0);
      takenOff.set(username, all.length);
      const count = (what: keyof GrantCounts): number => fresh.filter((grant) => grant.what === what).length;
      return { login: count("login"), refresh: count("refresh"), exchange: count("exchange") };
    },
    livingSessions: () => sessions.living(),
    endAllSessions: () => sessions.endAll(),
    stop: () => server.stop(),
    start: () => server.start(),
  };
}

function sendPage(response: ServerResponse, { html, policy }: { html: string; policy: string }): void {
  response
    .writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    })
    .end(html);
}

function refuse(response: ServerResponse, error: unknown): void {
  const { code, status } = error instanceof GrantRefused ? error : { code: "server_error", status: 500 };
  sendJson(response, status, {
    error: code,
    error_description: error instanceof Error ? error.message : "failed",
  });
}
