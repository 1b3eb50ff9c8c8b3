import { messageOf } from "../../errors.ts";
import type { ConfiguredPlugin } from "../exec-credential/configured-plugin.ts";
import { readCaBundle } from "../exec-credential/oidc-flags.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpAnswer, HttpClient } from "../http/http-client.ts";
import { discoverProvider, parseObject, type Provider } from "../oidc/provider.ts";
import { fetchSupervisorIdentityProviders } from "../oidc/supervisor-identity-providers.ts";
import { checkServer } from "./check-server.ts";
import { reportClock } from "./clock.ts";
import type { Findings } from "./finding.ts";

const TIMEOUT_MILLISECONDS = 10_000;
const ASK = "ask who runs the issuer";

/** The OIDC issuer of `login oidc`: the way to it, its clock, discovery, keys, and the identity provider that was chosen. */
export async function checkIssuer(findings: Findings, plugin: ConfiguredPlugin): Promise<void> {
  const { context, flags } = plugin;
  const issuer = flags.string("issuer");
  if (!URL.canParse(issuer) || new URL(issuer).protocol !== "https:") {
    findings.fail("issuer", "--issuer is not an https URL", "correct it in the kubeconfig");
    return;
  }
  let caPem: string | undefined;
  try {
    caPem = await readCaBundle(flags);
  } catch (error) {
    findings.fail("issuer", messageOf(error), "correct the flag in the kubeconfig");
    return;
  }
  const options = { profile: "default" as const, ...(caPem === undefined ? {} : { caPem }) };
  if (!(await checkServer(context, findings, { where: "issuer", url: new URL(issuer), options }))) {
    return;
  }
  const client = createHttpClient(context, {
    ...options,
    timeout: TIMEOUT_MILLISECONDS,
    logAuditIds: "failures",
  });
  try {
    let last: HttpAnswer | undefined;
    const http: HttpClient = {
      ...client,
      request: async (request) => {
        last = await client.request(request);
        return last;
      },
    };
    const provider = await discover(findings, plugin, http);
    if (last !== undefined) {
      reportClock(findings, "issuer", new URL(issuer).host, last);
    }
    if (provider !== undefined) {
      await checkKeys(findings, http, provider);
      await checkIdentityProvider(findings, plugin, http, provider);
    }
  } finally {
    await client.close();
  }
}

async function discover(
  findings: Findings,
  { context, flags }: ConfiguredPlugin,
  http: HttpClient,
): Promise<Provider | undefined> {
  try {
    const call = { context, http, signal: context.signal, options: { issuer: flags.string("issuer") } };
    const provider = await discoverProvider(call);
    const kind = provider.identityProvidersEndpoint === undefined ? "an OIDC issuer" : "a Supervisor";
    findings.ok("issuer discovery", `it is ${kind}`);
    return provider;
  } catch (error) {
    findings.fail(
      "issuer discovery",
      messageOf(error),
      "check --issuer in the kubeconfig to the letter, or ask who runs it",
    );
    return undefined;
  }
}

async function checkKeys(findings: Findings, http: HttpClient, provider: Provider): Promise<void> {
  const check = "issuer keys";
  if (provider.jwksUri === undefined) {
    findings.fail(check, "discovery names no jwks_uri, so no ID token can be verified", ASK);
    return;
  }
  try {
    const answer = await http.request({ method: "GET", url: provider.jwksUri });
    const keys = parseObject(answer.body)?.["keys"];
    if (answer.status !== 200 || !Array.isArray(keys) || keys.length === 0) {
      findings.fail(check, `the key set cannot be used (${answer.statusLine})`, ASK);
    } else {
      findings.ok(check, keys.length === 1 ? "1 signing key" : `${keys.length} signing keys`);
    }
  } catch (error) {
    findings.fail(check, messageOf(error), ASK);
  }
}

async function checkIdentityProvider(
  findings: Findings,
  { context, flags }: ConfiguredPlugin,
  http: HttpClient,
  provider: Provider,
): Promise<void> {
  const check = "identity provider";
  const name = flags.string("upstream-identity-provider-name");
  if (provider.identityProvidersEndpoint === undefined) {
    if (name !== "") {
      const remedy = "remove the --upstream-identity-provider flags from the kubeconfig, or correct --issuer";
      findings.fail(check, `"${name}" was asked for, but the issuer is no Supervisor`, remedy);
    }
    return;
  }
  if (name === "") {
    return;
  }
  const type = flags.string("upstream-identity-provider-type");
  const flow = flags.string("upstream-identity-provider-flow");
  try {
    const call = { http, signal: context.signal };
    const { identityProviders } = await fetchSupervisorIdentityProviders(
      call,
      provider.identityProvidersEndpoint,
    );
    const found = identityProviders.find((each) => each.name === name && each.type === type);
    const remake = "make the kubeconfig anew with `get kubeconfig`";
    if (found === undefined) {
      const known = identityProviders.map((each) => `${each.name} (${each.type})`).join(", ");
      findings.fail(
        check,
        `the Supervisor has no "${name}" of type "${type}", but ${known || "none"}`,
        remake,
      );
    } else if (flow !== "" && found.flows.length > 0 && !found.flows.includes(flow)) {
      findings.fail(
        check,
        `"${name}" does not offer the flow "${flow}", but ${found.flows.join(", ")}`,
        remake,
      );
    } else {
      findings.ok(check, `"${name}" of type "${type}"${flow === "" ? "" : ` with flow "${flow}"`} is there`);
    }
  } catch (error) {
    findings.fail(check, messageOf(error), ASK);
  }
}
