import { goQuote } from "../../go-text.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import type { CommandContext } from "../context.ts";
import { auditIdText } from "../http/audit-id.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpClient } from "../http/http-client.ts";
import { BODY_ERROR_CODE } from "../http/network-error.ts";
import type { CommandLog } from "../log.ts";
import { countCertificates } from "./ca-bundle.ts";
import type { Deadline } from "./deadline.ts";
import type { UpstreamChoice } from "./exec-arguments.ts";
import { isRecord, listIn, recordIn, textIn } from "./unknown-value.ts";
import { chooseUpstream, upstreamsIn } from "./upstream-choice.ts";
import { failure, visibleValues } from "./visible-text.ts";

/** What an issuer has to say about a login. */
export interface IssuerDiscovery {
  readonly scopes: readonly string[];
  readonly upstream: UpstreamChoice;
}

/** The scopes that an old Supervisor does not know. */
const SUPERVISOR_SCOPES = ["username", "groups"];

/**
 * Reads the issuer's documents: scopes and upstream identity provider, where it is a Supervisor (contract cli.md 2.5). Other
 * issuers change nothing.
 *
 * @throws CommandError with a text of contract cli.md 2.8
 */
export async function discoverIssuer(
  context: CommandContext,
  options: {
    readonly issuer: string;
    /** PEM; empty: the system's roots. */
    readonly caBundle: string;
    readonly scopes: readonly string[];
    readonly upstream: UpstreamChoice;
    readonly timeout: number;
    readonly deadline: Deadline;
    readonly log: CommandLog;
  },
): Promise<IssuerDiscovery> {
  const { issuer, caBundle, deadline, log, upstream } = options;
  if (caBundle !== "" && countCertificates(caBundle) === 0) {
    throw refused("unable to fetch OIDC discovery data from issuer: could not parse CA bundle");
  }
  const client = createHttpClient(context, {
    profile: "default",
    ...(caBundle === "" ? {} : { caPem: caBundle }),
    timeout: options.timeout,
    logAuditIds: "failures",
  });
  try {
    const document = await deadline.within((signal) => issuerDocument(client, issuer, signal));
    const supervisor = recordIn(document)["discovery.supervisor.pinniped.dev/v1alpha1"];
    const endpoint = textIn(supervisor, "pinniped_identity_providers_endpoint");
    if (endpoint === "") {
      return options;
    }
    const scopes = supportedScopes(options.scopes, document, log);
    if (upstream.name !== "" && upstream.type !== "" && upstream.flow !== "") {
      return { scopes, upstream };
    }
    const list = await deadline.within((signal) => upstreamDocument(client, endpoint, signal));
    const { otherFlows, ...chosen } = chooseUpstream(upstreamsIn(list), upstream);
    if (otherFlows !== undefined) {
      log.info(
        "multiple client flows found, selecting first value as default",
        visibleValues({
          idpName: chosen.name,
          idpType: chosen.type,
          selectedFlow: chosen.flow,
          availableFlows: otherFlows,
        }),
      );
    }
    return { scopes, upstream: chosen };
  } finally {
    await client.close();
  }
}

function supportedScopes(scopes: readonly string[], document: unknown, log: CommandLog): readonly string[] {
  const supported = listIn(document, "scopes_supported");
  if (SUPERVISOR_SCOPES.every((scope) => supported.includes(scope))) {
    return scopes;
  }
  return scopes.filter((scope) => {
    const isKept = !SUPERVISOR_SCOPES.includes(scope);
    if (!isKept) {
      log.info(
        "removed scope from --oidc-scopes list because it is not supported by this Supervisor",
        visibleValues({
          scope,
        }),
      );
    }
    return isKept;
  });
}

async function issuerDocument(client: HttpClient, issuer: string, signal: AbortSignal): Promise<unknown> {
  const fail = (why: string, cause?: unknown): never => {
    throw refused(`while fetching OIDC discovery data from issuer: ${why}`, cause);
  };
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  if (URL.parse(url)?.protocol !== "https:") {
    return fail(`the issuer must be an https URL: ${goQuote(issuer)}`);
  }
  const answer = await client
    .request({ method: "GET", url, headers: { accept: "application/json" }, signal })
    .catch((error: unknown) => fail(messageOf(error), error));
  if (answer.status !== 200) {
    return fail(`${answer.statusLine}: ${answer.body.trim().slice(0, 1024)}${auditIdText(answer)}`);
  }
  const document = parseJson(answer.body);
  if (!isRecord(document)) {
    return fail(
      `oidc: failed to decode provider discovery object: it is not a JSON object${auditIdText(answer)}`,
    );
  }
  if (document["issuer"] !== issuer) {
    return fail(
      `oidc: issuer URL provided to client (${goQuote(issuer)}) did not match the issuer URL returned by provider (${goQuote(textIn(document, "issuer"))})`,
    );
  }
  return document;
}

async function upstreamDocument(client: HttpClient, endpoint: string, signal: AbortSignal): Promise<unknown> {
  const fail = (why: string, cause?: unknown): never => {
    throw refused(`unable to fetch IDP discovery data from issuer: ${why}`, cause);
  };
  if (URL.parse(endpoint)?.protocol !== "https:") {
    return fail(`the endpoint must be an https URL: ${goQuote(endpoint)}`);
  }
  const answer = await client
    .request({ method: "GET", url: endpoint, headers: { accept: "application/json" }, signal })
    .catch((error: unknown) => {
      const brokeOff = error instanceof LanyardError && error.code === BODY_ERROR_CODE;
      return fail(`${brokeOff ? "could not read response body: " : ""}${messageOf(error)}`, error);
    });
  if (answer.status !== 200) {
    return fail(`unexpected http response status: ${answer.statusLine}${auditIdText(answer)}`);
  }
  const document = parseJson(answer.body);
  return isRecord(document) ? document : fail(`could not parse response JSON: it is not a JSON object`);
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}

function refused(message: string, cause?: unknown): Error {
  return failure("cli.oidc-discovery", message, cause);
}
