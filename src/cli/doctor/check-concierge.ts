import { messageOf } from "../../errors.ts";
import { clientGoErrorText, isRecord, parseObject } from "../concierge-client/client-go-error.ts";
import {
  checkConciergeParameters,
  conciergeFlags,
  type ConciergeParameters,
} from "../concierge-client/parameters.ts";
import type { ConfiguredPlugin } from "../exec-credential/configured-plugin.ts";
import { auditIdText } from "../http/audit-id.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpClient } from "../http/http-client.ts";
import { checkServer } from "./check-server.ts";
import { reportClock } from "./clock.ts";
import type { Findings } from "./finding.ts";

const TIMEOUT_MILLISECONDS = 10_000;

/** No authenticator accepts it, and nobody could use it: what is sent in place of a token. */
const INVALID_TOKEN = "not-a-token-sent-by-lanyard-doctor";

/** The Concierge: the way to it, its API, its clock, and whether its authenticator is asked. */
export async function checkConcierge(findings: Findings, plugin: ConfiguredPlugin): Promise<void> {
  const { context, flags } = plugin;
  if (!flags.boolean("enable-concierge")) {
    findings.ok("concierge", "none is configured: the token itself is the credential");
    return;
  }
  let parameters: ConciergeParameters;
  try {
    parameters = checkConciergeParameters(conciergeFlags(flags));
  } catch (error) {
    findings.fail("concierge", messageOf(error), "make the kubeconfig anew with `get kubeconfig`");
    return;
  }
  const url = new URL(parameters.endpoint);
  const options = {
    profile: "secure" as const,
    ...(parameters.caPem === undefined ? {} : { caPem: parameters.caPem }),
  };
  if (!(await checkServer(context, findings, { where: "concierge", url, options }))) {
    return;
  }
  const client = createHttpClient(context, {
    ...options,
    timeout: TIMEOUT_MILLISECONDS,
    logAuditIds: "failures",
    warnings: "hidden",
  });
  try {
    await checkApi(findings, client, parameters);
    await checkAuthenticator(findings, client, parameters);
  } finally {
    await client.close();
  }
}

const baseOf = ({ endpoint, apiGroupSuffix }: ConciergeParameters): string => {
  const url = new URL(endpoint);
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}/apis/login.concierge.${apiGroupSuffix}/v1alpha1`;
};

async function checkApi(
  findings: Findings,
  client: HttpClient,
  parameters: ConciergeParameters,
): Promise<void> {
  const check = "concierge api";
  try {
    const answer = await client.request({ method: "GET", url: baseOf(parameters) });
    reportClock(findings, "concierge", new URL(parameters.endpoint).host, answer);
    const resources = parseObject(answer.body)?.["resources"];
    const names = Array.isArray(resources) ? resources.filter(isRecord).map(({ name }) => name) : [];
    if (answer.status === 200 && names.includes("tokencredentialrequests")) {
      findings.ok(check, "TokenCredentialRequest is served");
    } else if (answer.status === 401 || answer.status === 403) {
      // Anonymous callers may not look around on many clusters; they may still exchange.
      findings.ok(
        check,
        "not shown to callers without a credential; the next line tells whether it is there",
      );
    } else {
      const remedy =
        "check --concierge-endpoint and --concierge-api-group-suffix, and that the Concierge runs";
      findings.fail(
        check,
        `login.concierge.${parameters.apiGroupSuffix} is not served here (${answer.statusLine})`,
        remedy,
      );
    }
  } catch (error) {
    findings.fail(check, messageOf(error), "check --concierge-endpoint");
  }
}

async function checkAuthenticator(
  findings: Findings,
  client: HttpClient,
  parameters: ConciergeParameters,
): Promise<void> {
  const check = "authenticator";
  const name = `${parameters.authenticatorKind} "${parameters.authenticatorName}"`;
  const group = `login.concierge.${parameters.apiGroupSuffix}`;
  try {
    const answer = await client.request({
      method: "POST",
      url: `${baseOf(parameters)}/tokencredentialrequests`,
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify({
        kind: "TokenCredentialRequest",
        apiVersion: `${group}/v1alpha1`,
        spec: {
          token: INVALID_TOKEN,
          authenticator: {
            apiGroup: `authentication.concierge.${parameters.apiGroupSuffix}`,
            kind: parameters.authenticatorKind,
            name: parameters.authenticatorName,
          },
        },
      }),
    });
    const status = parseObject(answer.body)?.["status"];
    const audit = auditIdText(answer);
    if (answer.status < 300 && isRecord(status)) {
      if (status["credential"] !== undefined && status["credential"] !== null) {
        findings.fail(
          check,
          `${name} accepted a token that nobody issued${audit}`,
          "stop using this cluster and tell its administrator",
        );
      } else {
        findings.ok(check, `exchanges are answered: a deliberately invalid token was refused for ${name}`);
      }
      return;
    }
    const text = clientGoErrorText(answer, `post tokencredentialrequests.${group}`);
    const remedy =
      answer.status === 401 || answer.status === 403
        ? "check --concierge-api-group-suffix; if it is right, callers without a credential lack the right to create tokencredentialrequests: tell the cluster's administrator"
        : "check that the Concierge runs; the audit ID leads to its log";
    findings.fail(check, `${text}${audit}`, remedy);
  } catch (error) {
    findings.fail(check, messageOf(error), "check --concierge-endpoint");
  }
}
