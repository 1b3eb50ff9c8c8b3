import { chmod, rename, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { LanyardError } from "../errors.ts";
import { createFolderStore } from "../kube/folder-store.ts";
import { configMaps, secrets } from "../kube/objects.ts";
import { runControllers } from "../kube/controller-runtime.ts";
import { customResourceKinds } from "../resources/kinds.ts";
import { validateManifest } from "../resources/validate-manifest.ts";
import { buildAggregatedApi } from "./aggregated-api-server.ts";
import { createAuthenticatorControllers } from "./authenticator-controllers.ts";
import { createAuthenticatorCache } from "./authenticators/authenticator-cache.ts";
import type { StandaloneConfig } from "./config/config.ts";
import { createCertificateExpirer } from "./controllers/certificate-expirer.ts";
import { createCertificateManager } from "./controllers/certificate-manager.ts";
import { createCredentialSettingsController } from "./controllers/credential-settings.ts";
import { createProxySignerCaControllers } from "./controllers/proxy-signer-ca.ts";
import { createServingCertificateObserver } from "./controllers/serving-certificate-observer.ts";
import {
  createServingCertificate,
  SECRET_KEYS,
  secretTexts,
} from "./controllers/serving-certificate-secret.ts";
import { installShutdown } from "./process/shutdown.ts";
import { createFixedAuthorizer } from "./request/fixed-authorizer.ts";
import { observedStatuses } from "./observed-state.ts";
import { startPlainMetricsServer } from "./plain-metrics-server.ts";
import type { ServerContext } from "./server-context.ts";
import { createConciergeState } from "./state/state.ts";

/** Objects of a folder are in one namespace; its name is shown in messages only. */
const NAMESPACE = "standalone";
/** The CA that clients of the local API verify it with, PEM, in the state folder. */
const CA_FILE = "api-server-ca.crt";

/**
 * One process that serves a folder of manifests instead of a cluster (design.md section 3, S22): the same controllers and
 * the same API, without a front proxy, without reviews, and with its own signer as the only client CA.
 */
export async function runStandalone(context: ServerContext): Promise<void> {
  const { config, clock, log, metrics } = context;
  const standalone = requireStandalone(config.standalone);
  const address = parseListenAddress(standalone.listenAddress);
  const store = createFolderStore({
    manifestsFolder: standalone.manifestsFolder,
    stateFolder: standalone.stateFolder,
    resources: [...customResourceKinds.map(({ resource }) => resource), secrets, configMaps],
    // Secrets and ConfigMaps have no schema of ours.
    validate: (object) =>
      object.apiVersion === "v1" ? { errors: [], warnings: [], object } : validateManifest(object),
    namespace: NAMESPACE,
    clock,
    log,
  });
  const authenticators = createAuthenticatorCache();
  const state = createConciergeState({ authenticators });
  // The certificates that this process signs are the only ones it knows.
  state.proxySignerTrust.subscribe((pem) => state.clientCaPem.set(pem));

  const common = { store, clock, log, namespace: NAMESPACE, labels: config.labels, metrics };
  const { durationSeconds } = config.api.servingCertificate;
  const secretName = config.names.servingCertificateSecret;
  const serving = createServingCertificateObserver({
    ...common,
    holder: state.servingCertificate,
    secretName,
    // Clients read the CA from the state folder: there is nobody to wait for.
    publication: {
      heldSince: () => ({ milliseconds: 0, sinceStart: true }),
      subscribe: () => () => {},
      close: () => {},
    },
  });
  const signer = createProxySignerCaControllers({
    ...common,
    ...state,
    secretName: config.names.impersonationSignerSecret,
  });
  const controllers = [
    createCredentialSettingsController({
      store,
      credentialIssuerName: config.names.credentialIssuer,
      holder: state.credentialSettings,
    }),
    serving.controller,
    createCertificateManager({
      ...common,
      secretName,
      generate: () =>
        createServingCertificate({
          dnsNames: isIP(address.host) === 0 ? [...new Set(["localhost", address.host])] : ["localhost"],
          ipAddresses: isIP(address.host) === 0 ? [] : [address.host],
          durationSeconds,
          now: clock.now(),
        }),
    }),
    createCertificateExpirer({ ...common, secretName, ...config.api.servingCertificate }),
    ...signer.controllers,
    ...createAuthenticatorControllers({
      ...common,
      cache: authenticators,
      apiGroupSuffix: config.apiGroupSuffix,
      environment: context.environment,
    }).controllers,
  ];
  const api = await buildAggregatedApi(context, {
    state,
    authorizer: createFixedAuthorizer({
      login: `login.concierge.${config.apiGroupSuffix}`,
      identity: `identity.concierge.${config.apiGroupSuffix}`,
    }),
    readinessChecks: [
      ...serving.readiness,
      ...signer.readiness,
      {
        name: "signer",
        problem: () => (state.proxySigningKey.current === undefined ? "no signing key is loaded" : undefined),
      },
    ],
  });

  metrics.observe(observedStatuses({ store, credentialIssuerName: config.names.credentialIssuer }));
  const { plainPort } = config.metrics;
  const plainMetrics =
    plainPort === undefined
      ? undefined
      : await startPlainMetricsServer({ host: address.host, port: plainPort, metrics, log });

  const stopping = new AbortController();
  let stopControllers = (): Promise<void> => Promise.resolve();
  installShutdown({
    clock,
    log,
    process,
    steps: [
      {
        name: "stop-controllers",
        limitMilliseconds: 5_000,
        stop: async () => {
          api.beginShutdown();
          stopping.abort();
          await stopControllers();
        },
      },
      {
        name: "drain-api",
        limitMilliseconds: 5_000,
        stop: async () => {
          await api.close(4_000);
          await plainMetrics?.close();
        },
      },
      {
        name: "close-store",
        limitMilliseconds: 2_000,
        stop: async () => {
          authenticators.close();
          await store.stop();
        },
      },
    ],
  });

  await store.start();
  await store.waitForSync();
  const servingSecret = store.view(secrets, { namespace: NAMESPACE });
  state.servingCertificate.subscribe(() => {
    const secret = servingSecret.get({ namespace: NAMESPACE, name: secretName });
    const caPem = secret === undefined ? undefined : secretTexts(secret)[SECRET_KEYS.caCertificate];
    if (caPem !== undefined) {
      writeAtomically(join(standalone.stateFolder, CA_FILE), caPem).catch((error: unknown) =>
        log.error("could not write the CA for clients", error),
      );
    }
  });
  const running = runControllers({
    controllers,
    clock,
    log,
    signal: stopping.signal,
    metrics: metrics.controllers,
  });
  stopControllers = () => running.stop();
  const { port } = await api.listen(address);
  log.info("serving a folder of manifests", {
    manifestsFolder: standalone.manifestsFolder,
    address: `https://${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${port}`,
    certificateAuthority: join(standalone.stateFolder, CA_FILE),
  });
}

function requireStandalone(standalone: StandaloneConfig | undefined): StandaloneConfig {
  if (standalone === undefined) {
    throw new TypeError("standalone mode needs its settings");
  }
  return standalone;
}

/** `host:port`; an IPv6 address in brackets. Refusal: `configuration.invalid`. */
function parseListenAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[(?<bracketed>[^\]]+)\]|(?<plain>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text);
  const host = match?.groups?.["bracketed"] ?? match?.groups?.["plain"];
  const port = Number(match?.groups?.["port"]);
  if (host === undefined || port > 65_535) {
    throw new LanyardError({
      code: "configuration.invalid",
      message: `standalone.listenAddress ${JSON.stringify(text)} is not of the form host:port, for example 127.0.0.1:10250`,
    });
  }
  return { host, port };
}

/** Written beside and renamed, so that a reader never sees half a file (S22). */
async function writeAtomically(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await chmod(`${path}.new`, 0o600);
  await rename(`${path}.new`, path);
}
