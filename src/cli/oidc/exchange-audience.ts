import { MIMEType } from "node:util";
import { messageOf } from "../../errors.ts";
import { goQuote } from "../../go-text.ts";
import { formatSeconds } from "../../rfc3339.ts";
import { CommandError } from "../command-error.ts";
import type { HttpAnswer } from "../http/http-client.ts";
import { loginError, onOneLine, withAuditId } from "./failed-call.ts";
import type { OidcLoginResult } from "./login.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import { parseObject } from "./provider.ts";
import { verifyToken } from "./verify-token.ts";

const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";

/** The issuer did not take the access token: another one may do. */
export class ExchangeRefused extends CommandError {
  constructor(message: string) {
    super("cli.oidc.exchange-refused", message);
    this.name = "ExchangeRefused";
  }
}

/** Changes an access token into an ID token for another audience (RFC 8693, contract cli.md 4.8); never kept in the session cache. */
export async function exchangeAudience(
  call: LoginCall,
  provider: Provider,
  accessToken: string,
  audience: string,
): Promise<OidcLoginResult> {
  call.context.log.info("Pinniped: Performing RFC8693 token exchange", { requestedAudience: audience });
  const answer = await call.http
    .request({
      method: "POST",
      url: provider.tokenEndpoint,
      headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({
        audience,
        client_id: call.options.clientId,
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        requested_token_type: JWT_TYPE,
        subject_token: accessToken,
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
      }).toString(),
      signal: call.signal,
    })
    .catch((error: unknown) => {
      throw loginError(`failed to exchange token: ${messageOf(error)}`, error);
    });
  const failure = (what: string, cause?: unknown): CommandError =>
    loginError(withAuditId(`failed to exchange token: ${what}`, answer.auditId), cause);

  if (answer.status !== 200) {
    const text = withAuditId(
      `failed to exchange token: unexpected HTTP response status ${answer.status}`,
      answer.auditId,
    );
    throw blamesToken(answer) ? new ExchangeRefused(text) : loginError(text);
  }
  checkContentType(answer.headers["content-type"], failure);
  let body: Readonly<Record<string, unknown>>;
  try {
    body = { ...(JSON.parse(answer.body) as object) };
  } catch {
    // The parser's own text would quote the token.
    throw failure("failed to decode response: the body is not JSON");
  }
  const tokenType = memberText(body["token_type"]);
  if (tokenType !== "N_A") {
    throw failure(`got unexpected token_type ${goQuote(tokenType)}`);
  }
  const issuedTokenType = memberText(body["issued_token_type"]);
  if (issuedTokenType !== JWT_TYPE) {
    throw failure(`got unexpected issued_token_type ${goQuote(issuedTokenType)}`);
  }
  const token = memberText(body["access_token"]);
  const { clockOffset } = answer;
  try {
    const claims = await verifyToken(call, provider, token, { audience, clockOffset });
    return {
      idToken: token,
      expirationTimestamp: formatSeconds((claims.exp ?? 0) * 1000),
      ...(clockOffset === undefined ? {} : { clockOffset }),
    };
  } catch (error) {
    throw failure(`received invalid JWT: ${messageOf(error)}`, error);
  }
}

/** What a Supervisor says of a token it does not know, and what RFC 8693 section 2.2.2 says of an invalid one. */
function blamesToken({ status, body }: HttpAnswer): boolean {
  const codes: readonly unknown[] = ["invalid_request", "invalid_token", "token_signature_mismatch"];
  return status === 401 || (status === 400 && codes.includes(parseObject(body)?.["error"]));
}

function checkContentType(header: string | undefined, failure: (what: string) => CommandError): void {
  let type: string;
  try {
    type = new MIMEType(header ?? "").essence;
  } catch {
    throw failure(
      `failed to decode content-type header: ${header === undefined || header === "" ? "mime: no media type" : onOneLine(header, 100)}`,
    );
  }
  if (type !== "application/json") {
    throw failure(`unexpected HTTP response content type ${goQuote(type)}`);
  }
}

function memberText(value: unknown): string {
  return typeof value === "string" ? value : "";
}
