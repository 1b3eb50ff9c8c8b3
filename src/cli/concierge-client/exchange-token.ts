import { defaultApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import type { ClusterCredential, IssuedCredential } from "../cache/credential.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { goJson } from "../../go-json.ts";
import { auditIdText } from "../http/audit-id.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpAnswer, HttpClient } from "../http/http-client.ts";
import { clientGoErrorText, isRecord, onOneLine, parseObject, statusOf } from "./client-go-error.ts";
import { createLocalKey, type LocalKey } from "./local-key.ts";
import type { ConciergeParameters } from "./parameters.ts";

/** The time for an exchange, retries included (contract cli.md 10). */
const TIMEOUT_MILLISECONDS = 30_000;
const MAXIMUM_RETRIES = 10;

export interface ExchangeOptions {
  readonly parameters: ConciergeParameters;
  readonly token: string;
  /** `spec.expirationSeconds`; absent: the Concierge decides. */
  readonly lifetimeSeconds?: number;
  /** Whether something may be written to stderr. */
  readonly interactive: boolean;
  readonly signal: AbortSignal;
}

/** The fields of docs/extensions.md that a request may hold besides the contract's. */
interface AdditiveFields {
  readonly expirationSeconds?: number;
  readonly certificateSigningRequest?: string;
}

/** The answer to one request: a credential, or why there is none. */
type Outcome =
  | { readonly credential: ClusterCredential; readonly answer: HttpAnswer }
  | {
      readonly failure: string;
      /** Which additive fields may be the reason: another try goes without them. */
      readonly suspects: "none" | "key" | "all";
      readonly answer: HttpAnswer;
    };

/**
 * Exchanges a token for a cluster credential (contract cli.md 8). A key made here is certified where the Concierge understands that
 * (docs/extensions.md), and so is a lifetime asked for; one that does not ignores or refuses the fields and is asked again without
 * them. `LANYARD_REQUIRE_LOCAL_KEY=true` accepts nothing but a certificate of the key made here (S23).
 *
 * @throws CommandError `cli.concierge.exchange`; the caller prefixes its text
 */
export async function exchangeToken(
  context: CommandContext,
  options: ExchangeOptions,
): Promise<IssuedCredential> {
  const { parameters, lifetimeSeconds } = options;
  const requireLocalKey = readRequireLocalKey(context);
  const client = createHttpClient(context, {
    profile: "secure",
    ...(parameters.caPem === undefined ? {} : { caPem: parameters.caPem }),
    timeout: TIMEOUT_MILLISECONDS,
    logAuditIds: "all",
    warnings: options.interactive ? "shown" : "hidden",
  });
  const deadline = new AbortController();
  const stopTimer = context.clock.schedule(TIMEOUT_MILLISECONDS, () => {
    deadline.abort(Object.assign(new Error("the exchange took too long"), { name: "TimeoutError" }));
  });
  const signal = AbortSignal.any([options.signal, deadline.signal]);
  try {
    const localKey = createLocalKey();
    const lifetime = lifetimeSeconds === undefined ? {} : { expirationSeconds: lifetimeSeconds };
    const attempt = (fields: AdditiveFields): Promise<Outcome> =>
      requestCredential({ context, client, options, fields, signal, localKey });
    let outcome = await attempt({
      ...lifetime,
      certificateSigningRequest: localKey.certificateSigningRequest,
    });
    if ("failure" in outcome && outcome.suspects !== "none") {
      if (requireLocalKey && outcome.suspects === "all") {
        throw localKeyError(`the Concierge does not accept one: ${outcome.failure}`);
      }
      if (!requireLocalKey) {
        outcome = await attempt(outcome.suspects === "all" ? {} : lifetime);
      }
    }
    if ("failure" in outcome) {
      throw exchangeError(`${outcome.failure}${auditIdText(outcome.answer)}`);
    }
    const { answer } = outcome;
    return {
      credential: keepKey(outcome.credential, localKey, requireLocalKey, answer),
      fromConcierge: true,
      ...(answer.clockOffset === undefined ? {} : { clockOffset: answer.clockOffset }),
      ...(answer.date === undefined ? {} : { issuedAt: answer.date }),
      endpoint: parameters.endpoint,
    };
  } finally {
    stopTimer();
    await client.close();
  }
}

/** Anything but `true`, `false` and nothing is refused: a misspelt demand must not be a dropped one. */
export function readRequireLocalKey(context: Pick<CommandContext, "environment">): boolean {
  const value = context.environment["LANYARD_REQUIRE_LOCAL_KEY"] ?? "";
  if (!["", "true", "false"].includes(value)) {
    throw new CommandError(
      "cli.environment.invalid",
      "LANYARD_REQUIRE_LOCAL_KEY must be true or false: correct the variable or unset it",
    );
  }
  return value === "true";
}

async function requestCredential(attempt: {
  readonly context: CommandContext;
  readonly client: HttpClient;
  readonly options: ExchangeOptions;
  readonly fields: AdditiveFields;
  readonly signal: AbortSignal;
  readonly localKey: LocalKey;
}): Promise<Outcome> {
  const { options, fields } = attempt;
  const { parameters } = options;
  const group = `login.concierge.${parameters.apiGroupSuffix}`;
  const additive = Object.keys(fields).length > 0;
  const url = new URL(parameters.endpoint);
  const path = `${url.pathname.replace(/\/+$/, "")}/apis/${group}/v1alpha1/tokencredentialrequests`;
  const answer = await send(attempt, {
    // A server that knows the fields does not mind; one that does not drops them without a warning.
    url: `${url.origin}${path}${additive ? "?fieldValidation=Ignore" : ""}`,
    body: requestBody(options, group, fields),
  });
  if (answer.status < 200 || answer.status > 206) {
    const text = clientGoErrorText(
      answer,
      `post tokencredentialrequests.login.concierge.${defaultApiGroupSuffix}`,
    );
    return { failure: `could not login: ${text}`, suspects: suspectsOf(answer, fields), answer };
  }
  return readOutcome(answer, fields);
}

function requestBody(options: ExchangeOptions, group: string, fields: AdditiveFields): string {
  const { parameters, token } = options;
  return goJson({
    kind: "TokenCredentialRequest",
    apiVersion: `${group}/v1alpha1`,
    metadata: { creationTimestamp: null },
    spec: {
      token,
      authenticator: {
        apiGroup: `authentication.concierge.${parameters.apiGroupSuffix}`,
        kind: parameters.authenticatorKind,
        name: parameters.authenticatorName,
      },
      ...fields,
    },
    status: {},
  });
}

/** Repeats while the server names a pause that fits into the time left, as client-go does (contract cli.md 8). */
async function send(
  attempt: { readonly context: CommandContext; readonly client: HttpClient; readonly signal: AbortSignal },
  request: { readonly url: string; readonly body: string },
): Promise<HttpAnswer> {
  const { context, client, signal } = attempt;
  const end = context.clock.now() + TIMEOUT_MILLISECONDS;
  for (let retries = 0; ; retries++) {
    let answer: HttpAnswer;
    try {
      answer = await client.request({
        method: "POST",
        ...request,
        headers: { accept: "application/json, */*", "content-type": "application/json" },
        signal,
      });
    } catch (error) {
      throw exchangeError(
        `could not login: ${error instanceof Error ? error.message : String(error)}`,
        error,
      );
    }
    const pause = Number(/^\d{1,6}$/.exec(answer.headers["retry-after"] ?? "")?.[0] ?? Number.NaN) * 1000;
    const mayRetry = (answer.status === 429 || answer.status >= 500) && retries < MAXIMUM_RETRIES;
    if (!mayRetry || Number.isNaN(pause) || context.clock.now() + pause >= end || signal.aborted) {
      return answer;
    }
    await context.clock.sleep(pause, signal);
  }
}

/** A server that is strict about fields it does not know says 400 or 422; one that knows them names what is wrong with their values. */
function suspectsOf(answer: HttpAnswer, fields: AdditiveFields): "none" | "all" {
  if ((answer.status !== 400 && answer.status !== 422) || Object.keys(fields).length === 0) {
    return "none";
  }
  const known = (statusOf(answer.body)?.causes ?? []).some(
    ({ field, message }) =>
      Object.keys(fields).some((name) => field === `spec.${name}`) && !/unknown|not supported/i.test(message),
  );
  return known ? "none" : "all";
}

function readOutcome(answer: HttpAnswer, fields: AdditiveFields): Outcome {
  const status = parseObject(answer.body)?.["status"];
  if (!isRecord(status)) {
    const failure = `could not login: the answer (${answer.statusLine}) is no TokenCredentialRequest: is the endpoint that of a Concierge?`;
    return { failure, suspects: "none", answer };
  }
  if (status["message"] !== undefined && status["message"] !== null) {
    const message = typeof status["message"] === "string" ? onOneLine(status["message"]) : "unknown cause";
    // Also what is heard where no way of signing takes a key of ours, as the CertificateSigningRequest API (S6).
    const suspects = fields.certificateSigningRequest === undefined ? "none" : "key";
    return { failure: `login failed: ${message}`, suspects, answer };
  }
  const { credential } = status;
  if (!isRecord(credential)) {
    return { failure: "login failed: unknown cause", suspects: "none", answer };
  }
  const copied: ClusterCredential = {
    ...textField(credential, "expirationTimestamp"),
    ...textField(credential, "token"),
    ...textField(credential, "clientCertificateData"),
    ...textField(credential, "clientKeyData"),
  };
  return copied.token === undefined && copied.clientCertificateData === undefined
    ? { failure: "login failed: unknown cause", suspects: "none", answer }
    : { answer, credential: copied };
}

function textField<Name extends keyof ClusterCredential>(
  source: Readonly<Record<string, unknown>>,
  name: Name,
): { readonly [Key in Name]?: string } {
  const value = source[name];
  return (typeof value === "string" && value !== "" ? { [name]: value } : {}) as {
    readonly [Key in Name]?: string;
  };
}

/** Decides whose key a credential goes with (S23). */
function keepKey(
  credential: ClusterCredential,
  localKey: LocalKey,
  requireLocalKey: boolean,
  answer: HttpAnswer,
): ClusterCredential {
  const { token, clientCertificateData, clientKeyData } = credential;
  if (requireLocalKey && token !== undefined) {
    throw localKeyError("the Concierge answered with a bearer token", answer);
  }
  if (requireLocalKey && clientKeyData !== undefined) {
    throw localKeyError("the Concierge made the key itself", answer);
  }
  if (clientCertificateData === undefined || clientKeyData !== undefined) {
    return credential;
  }
  if (!localKey.matches(clientCertificateData)) {
    throw exchangeError(
      `could not login: the Concierge certified a key that is not ours: do not use this cluster before its administrator has had a look${auditIdText(answer)}`,
    );
  }
  return { ...credential, clientKeyData: localKey.privateKeyPem };
}

function localKeyError(what: string, answer: Pick<HttpAnswer, "auditId"> = {}): CommandError {
  return exchangeError(
    `could not login: LANYARD_REQUIRE_LOCAL_KEY demands a certificate for a key made here, but ${what} (ask for a newer Concierge, or unset the variable)${auditIdText(answer)}`,
  );
}

function exchangeError(message: string, cause?: unknown): CommandError {
  return new CommandError("cli.concierge.exchange", message, cause);
}
