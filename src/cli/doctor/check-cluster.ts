import { X509Certificate } from "node:crypto";
import { messageOf } from "../../errors.ts";
import { formatSeconds } from "../../rfc3339.ts";
import { cachedCredential } from "../cache/cached-credential.ts";
import type { ClusterCredential } from "../cache/credential.ts";
import { clientGoErrorText, isRecord, parseObject } from "../concierge-client/client-go-error.ts";
import type { CommandContext } from "../context.ts";
import { configuredCacheKeys, type ConfiguredPlugin } from "../exec-credential/configured-plugin.ts";
import { auditIdText } from "../http/audit-id.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpClient } from "../http/http-client.ts";
import { clusterCaBundle, clusterConnection, clusterServer } from "../kubeconfig/cluster-trust.ts";
import type { SourceContext } from "../kubeconfig/kubeconfig.ts";
import { checkServer } from "./check-server.ts";
import { reportClock } from "./clock.ts";
import type { Findings } from "./finding.ts";

const TIMEOUT_MILLISECONDS = 10_000;

/** The state of the cached credential; answers it while it may be used. */
export async function checkCredential(
  findings: Findings,
  plugin: ConfiguredPlugin,
  source: SourceContext,
): Promise<ClusterCredential | undefined> {
  const check = "credential";
  const { context, flags, login } = plugin;
  const file = flags.string("credential-cache");
  const fromConcierge = flags.boolean("enable-concierge");
  if (login === "static" && !fromConcierge) {
    return undefined;
  }
  try {
    for (const key of await configuredCacheKeys(plugin, source.cluster)) {
      const credential = await cachedCredential({
        context,
        file,
        key,
        fromConcierge,
        endpoint: fromConcierge ? flags.string("concierge-endpoint") : flags.string("issuer"),
        execInfoGiven: false,
      });
      if (credential !== undefined) {
        findings.ok(check, describe(credential));
        return credential;
      }
    }
  } catch (error) {
    findings.fail(check, messageOf(error), "correct the environment variable or the file");
    return undefined;
  }
  findings.warn(check, "none is cached that is fresh", "the next kubectl call renews it or logs in");
  return undefined;
}

/** Kind and times alone: never what could be used. */
function describe(credential: ClusterCredential): string {
  const renewed = `renewed from ${credential.expirationTimestamp ?? "an unknown time"} on`;
  if (credential.clientCertificateData === undefined) {
    return `a cached token, ${renewed}`;
  }
  let end = "";
  try {
    end = `, dead at ${formatSeconds(new X509Certificate(credential.clientCertificateData).validToDate.getTime())}`;
  } catch {
    end = ", which cannot be read";
  }
  return `a cached client certificate${end}, ${renewed}`;
}

/** The API server of the kubeconfig: the way to it, its clock, and whom it takes the cached credential for. */
export async function checkCluster(
  context: CommandContext,
  findings: Findings,
  source: SourceContext,
  credential: ClusterCredential | undefined,
): Promise<void> {
  let server: string;
  let connection: ReturnType<typeof clusterConnection>;
  try {
    server = clusterServer(source.cluster);
    connection = clusterConnection(source.cluster, await clusterCaBundle(source.cluster));
  } catch (error) {
    findings.fail("cluster", messageOf(error), "correct the cluster's entry in the kubeconfig");
    return;
  }
  const options = { profile: "secure" as const, ...connection };
  if (!(await checkServer(context, findings, { where: "cluster", url: new URL(server), options }))) {
    return;
  }
  const { clientCertificateData: certificate, clientKeyData: key, token } = credential ?? {};
  const client = createHttpClient(context, {
    ...options,
    timeout: TIMEOUT_MILLISECONDS,
    logAuditIds: "failures",
    warnings: "hidden",
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
    ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
  });
  try {
    await (credential === undefined
      ? askVersion(findings, client, server)
      : askWhoAmI(findings, client, server));
  } catch (error) {
    findings.fail("cluster", messageOf(error), "check the cluster's entry in the kubeconfig");
  } finally {
    await client.close();
  }
}

async function askVersion(findings: Findings, client: HttpClient, server: string): Promise<void> {
  const answer = await client.request({ method: "GET", url: `${server}/version` });
  reportClock(findings, "cluster", new URL(server).host, answer);
  if (answer.status >= 500) {
    findings.fail(
      "cluster",
      `it answers ${answer.statusLine}${auditIdText(answer)}`,
      "ask who runs the cluster",
    );
  } else {
    findings.ok(
      "cluster",
      `it answers (${answer.statusLine}); without a cached credential no more can be asked`,
    );
  }
}

/** `SelfSubjectReview` (authentication.k8s.io/v1): every authenticated user may ask who they are. */
async function askWhoAmI(findings: Findings, client: HttpClient, server: string): Promise<void> {
  const body = { kind: "SelfSubjectReview", apiVersion: "authentication.k8s.io/v1" };
  const answer = await client.request({
    method: "POST",
    url: `${server}/apis/authentication.k8s.io/v1/selfsubjectreviews`,
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  reportClock(findings, "cluster", new URL(server).host, answer);
  const status = parseObject(answer.body)?.["status"];
  const userInfo = isRecord(status) ? status["userInfo"] : undefined;
  const username =
    isRecord(userInfo) && typeof userInfo["username"] === "string" ? userInfo["username"] : "somebody";
  const text = clientGoErrorText(answer, "post selfsubjectreviews.authentication.k8s.io");
  if (answer.status < 300) {
    findings.ok("cluster", `it accepts the cached credential and takes you for "${username}"`);
  } else if (answer.status === 401) {
    const remedy =
      "log out with `lanyard logout` and try again; if that does not help, compare the clocks above";
    findings.fail("cluster", `it refuses the cached credential: ${text}${auditIdText(answer)}`, remedy);
  } else if (answer.status === 403 || answer.status === 404) {
    findings.ok("cluster", `it knows the cached credential (${answer.statusLine})`);
  } else {
    findings.fail("cluster", `${text}${auditIdText(answer)}`, "ask who runs the cluster");
  }
}
