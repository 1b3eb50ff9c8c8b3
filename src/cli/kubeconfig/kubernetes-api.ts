import { goQuote } from "../../go-text.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { auditIdText } from "../http/audit-id.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpAnswer, HttpClient } from "../http/http-client.ts";
import { clusterCaBundle, clusterConnection, clusterServer } from "./cluster-trust.ts";
import { textIn, type UnknownRecord } from "./unknown-value.ts";
import { userCredentials } from "./user-credentials.ts";
import { visibleText, withoutLog } from "./visible-text.ts";

/** An API server's refusal. */
export class ApiError extends CommandError {
  readonly status: number;

  constructor(status: number, message: string) {
    super("cli.kubernetes-api", visibleText(message));
    this.name = "ApiError";
    this.status = status;
  }
}

/** What is asked for, in the words of error texts. */
export interface ApiRequest {
  readonly method: "GET" | "POST";
  /** From `/api` or `/apis` on. */
  readonly path: string;
  /** `<plural>.<group>`, or the plural alone for the core group. */
  readonly resource: string;
  readonly name?: string;
  readonly body?: unknown;
}

/** A cluster's API as a kubeconfig's user sees it. */
export interface KubernetesApi {
  /** Answers the object. @throws ApiError for what the server refused, CommandError for what did not reach it */
  call(request: ApiRequest, signal: AbortSignal): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * A client for one context. Files are read at once; an exec plugin runs at the first call.
 *
 * @throws CommandError whose text starts with `could not configure Kubernetes client: `
 */
export async function createKubernetesApi(
  context: CommandContext,
  source: { readonly cluster: UnknownRecord; readonly user: UnknownRecord },
  options: { readonly timeout: number },
): Promise<KubernetesApi> {
  const server = clusterServer(source.cluster);
  const caBundle = await clusterCaBundle(source.cluster);
  const credentials = await userCredentials(context, source.user, source.cluster);
  let client: Promise<HttpClient> | undefined;
  const connect = async (signal: AbortSignal): Promise<HttpClient> =>
    createHttpClient(withoutLog(context), {
      profile: "secure",
      ...clusterConnection(source.cluster, caBundle),
      ...(await credentials(signal)),
      timeout: options.timeout,
      logAuditIds: "failures",
    });
  return {
    call: async (request, signal) => {
      client ??= connect(signal);
      const answer = await (
        await client
      ).request({
        method: request.method,
        url: `${server}${request.path}`,
        headers: { accept: "application/json", "content-type": "application/json" },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        signal,
      });
      return objectIn(answer, request);
    },
    close: async () => {
      await (await client?.catch(() => undefined))?.close();
    },
  };
}

function objectIn(answer: HttpAnswer, request: ApiRequest): unknown {
  let object: unknown;
  try {
    object = JSON.parse(answer.body);
  } catch {
    object = undefined;
  }
  if (answer.status >= 200 && answer.status < 300 && object !== undefined) {
    return object;
  }
  const isStatus = textIn(object, "kind") === "Status" && textIn(object, "message") !== "";
  const message = isStatus ? textIn(object, "message") : genericMessage(answer, request);
  // Not found is the plain text of Kubernetes (contract cli.md 2.8).
  throw new ApiError(answer.status, answer.status === 404 ? message : `${message}${auditIdText(answer)}`);
}

const GENERIC_MESSAGES: ReadonlyMap<number, string> = new Map([
  [400, "the server rejected our request for an unknown reason"],
  [401, "the server has asked for the client to provide credentials"],
  [404, "the server could not find the requested resource"],
  [405, "the server does not allow this method on the requested resource"],
  [409, "the server reported a conflict"],
  [422, "the server rejected our request due to an error in our request"],
  [429, "the server has received too many requests and has asked us to try again later"],
  [503, "the server is currently unable to handle the request"],
  [
    504,
    "the server was unable to return a response in the time allotted, but may still be processing the request",
  ],
]);

/** What `k8s.io/apimachinery/pkg/api/errors` makes of an answer that is no `Status`. */
function genericMessage({ status, body }: HttpAnswer, request: ApiRequest): string {
  const said = body.trim().slice(0, 2048) || "unknown";
  const known =
    GENERIC_MESSAGES.get(status) ??
    (status >= 500
      ? `an error on the server (${goQuote(said)}) has prevented the request from succeeding`
      : [403, 406, 415].includes(status)
        ? said
        : status < 300
          ? "the server's answer is not JSON: something else than Kubernetes seems to answer at this address"
          : `the server responded with the status code ${status} but did not return more information`);
  const name = request.name === undefined ? "" : ` ${request.name}`;
  return `${known} (${request.method.toLowerCase()} ${request.resource}${name})`;
}
