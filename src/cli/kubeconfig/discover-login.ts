import type { CommandContext } from "../context.ts";
import { authenticatorKind } from "./authenticator.ts";
import { countCertificates } from "./ca-bundle.ts";
import { clusterCaBundle } from "./cluster-trust.ts";
import type { LoginArguments } from "./exec-arguments.ts";
import { findAuthenticator, issuerCaBundle } from "./find-authenticator.ts";
import { type ClusterSearch, findCredentialIssuer, logStrategies } from "./find-credential-issuer.ts";
import type { Settings } from "./settings.ts";
import { chooseFrontend, type Frontend, frontendCaBundle } from "./strategy.ts";
import { discoverIssuer } from "./supervisor-discovery.ts";
import { textIn, type UnknownRecord } from "./unknown-value.ts";
import { visibleValues } from "./visible-text.ts";

/** What the flags say, with what the cluster and the issuer add to it (contract cli.md 2.2 steps 2 and 3). */
export async function discoverLogin(
  context: CommandContext,
  settings: Settings,
  search: ClusterSearch,
  sourceCluster: UnknownRecord,
): Promise<LoginArguments> {
  const fromCluster = settings.concierge.disabled
    ? {
        issuer: settings.oidc.issuer,
        requestAudience: settings.oidc.requestAudience,
        caBundle: settings.oidc.caBundle ?? "",
      }
    : await discoverCluster(settings, search, sourceCluster);
  const { concierge, ...oidc } = { concierge: undefined, ...fromCluster };
  const { scopes, upstream } =
    oidc.issuer === ""
      ? settings.oidc
      : await discoverIssuer(context, {
          ...oidc,
          scopes: settings.oidc.scopes,
          upstream: settings.oidc.upstream,
          timeout: settings.timeout,
          deadline: search.deadline,
          log: search.log,
        });
  return {
    ...(concierge === undefined ? {} : { concierge }),
    ...(settings.credentialCache === undefined ? {} : { credentialCache: settings.credentialCache }),
    staticToken: settings.staticToken,
    staticTokenEnvironment: settings.staticTokenEnvironment,
    oidc: {
      ...oidc,
      clientId: settings.oidc.clientId,
      scopes,
      skipBrowser: settings.oidc.skipBrowser,
      skipListen: settings.oidc.skipListen,
      listenPort: settings.oidc.listenPort,
      sessionCache: settings.oidc.sessionCache,
      debugSessionCache: settings.oidc.debugSessionCache,
      upstreamIdentityProvider: upstream,
    },
    deviceCode: settings.oidc.deviceCode,
    credentialLifetime: settings.concierge.credentialLifetime,
  };
}

interface ClusterFindings {
  readonly concierge: NonNullable<LoginArguments["concierge"]>;
  readonly issuer: string;
  readonly requestAudience: string;
  readonly caBundle: string;
}

async function discoverCluster(
  settings: Settings,
  search: ClusterSearch,
  sourceCluster: UnknownRecord,
): Promise<ClusterFindings> {
  const { log } = search;
  const flags = settings.concierge;
  const credentialIssuer = await findCredentialIssuer(search, {
    name: flags.credentialIssuer,
    skipWait: flags.skipWait,
  });
  const authenticator = await findAuthenticator(search, {
    type: flags.authenticatorType,
    name: flags.authenticatorName,
  });
  let frontend: Frontend;
  try {
    frontend = chooseFrontend(credentialIssuer, flags.mode);
  } catch (error) {
    logStrategies(log, credentialIssuer);
    throw error;
  }
  const reached = await reach(settings, search, frontend, sourceCluster);
  if (flags.authenticatorType === "" || flags.authenticatorName === "") {
    log.info(
      `discovered ${authenticatorKind(authenticator.type)}`,
      visibleValues({ name: authenticator.name }),
    );
  }
  const concierge = {
    apiGroupSuffix: flags.apiGroupSuffix,
    // What was typed stays as it was typed; the half that is missing is filled in.
    authenticatorName: flags.authenticatorName || authenticator.name,
    authenticatorType: flags.authenticatorType || authenticator.type,
    ...reached,
  };
  let { issuer, requestAudience, caBundle } = settings.oidc;
  if (authenticator.type === "jwt") {
    const learnt = issuer === "";
    if (learnt) {
      issuer = textIn(authenticator.spec, "issuer");
      log.info("discovered OIDC issuer", visibleValues({ issuer }));
    }
    if (requestAudience === "") {
      requestAudience = textIn(authenticator.spec, "audience");
      log.info("discovered OIDC audience", visibleValues({ audience: requestAudience }));
    }
    if (learnt) {
      // With whom and as what the user will log in, because this cluster says so (S23).
      log.info("using OIDC client ID", visibleValues({ clientID: settings.oidc.clientId }));
    }
    caBundle ??= await issuerCaBundle(search, authenticator);
  }
  return { concierge, issuer, requestAudience, caBundle: caBundle ?? "" };
}

async function reach(
  settings: Settings,
  { log }: ClusterSearch,
  frontend: Frontend,
  sourceCluster: UnknownRecord,
): Promise<{ readonly endpoint: string; readonly caBundle: string }> {
  const { mode } = frontend;
  if (settings.concierge.mode === undefined) {
    log.info(
      mode === "ImpersonationProxy"
        ? "discovered Concierge operating in impersonation proxy mode"
        : "discovered Concierge operating in TokenCredentialRequest API mode",
    );
  }
  let { endpoint, caBundle } = settings.concierge;
  if (endpoint === "") {
    endpoint = mode === "ImpersonationProxy" ? frontend.endpoint : textIn(sourceCluster, "server");
    log.info("discovered Concierge endpoint", visibleValues({ endpoint }));
  }
  if (caBundle === undefined) {
    caBundle =
      mode === "ImpersonationProxy" ? frontendCaBundle(frontend) : await clusterCaBundle(sourceCluster);
    log.info(
      "discovered Concierge certificate authority bundle",
      visibleValues({ roots: countCertificates(caBundle) }),
    );
  }
  return { endpoint, caBundle };
}
