import { LanyardError } from "../errors.ts";
import { replaceApiGroupSuffix } from "../kube/api-group-suffix.ts";
import { createApiServerConnection } from "../kube/api-server-connection.ts";
import { createKubernetesClient } from "../kube/client.ts";
import { createClusterStore } from "../kube/cluster-store.ts";
import { inClusterEndpoint, kubeconfigEndpoint } from "../kube/configuration.ts";
import type { KubernetesEndpoint } from "../kube/configuration.ts";
import type { Controller } from "../kube/controller.ts";
import { runControllers } from "../kube/controller-runtime.ts";
import { createLeaderElection } from "../kube/leader-election.ts";
import type { LeaderElection } from "../kube/leader-election.ts";
import { pods } from "../kube/resources.ts";
import { buildAggregatedApi } from "./aggregated-api-server.ts";
import { createAuthenticatorCache } from "./authenticators/authenticator-cache.ts";
import { createClusterControllers } from "./cluster-controllers.ts";
import { loadDownwardApi } from "./config/downward-api.ts";
import { whileProxyRuns } from "./controllers/impersonation-proxy/running-proxy-key.ts";
import { createImpersonationProxyTokens } from "./controllers/impersonation-proxy-tokens.ts";
import { createBearerIssuer } from "./credentials/bearer-credential.ts";
import { buildImpersonationProxy } from "./impersonation-proxy-server.ts";
import { passPreflight } from "./preflight/preflight.ts";
import { installShutdown } from "./process/shutdown.ts";
import { createTokenReviewAuthenticator } from "./request/bearer-token.ts";
import { createDeniedLogin } from "./request/deny-list.ts";
import { createReviewBudget } from "./request/limits.ts";
import { createSubjectAccessReviewAuthorizer } from "./request/subject-access-review.ts";
import { observedStatuses } from "./observed-state.ts";
import { startPlainMetricsServer } from "./plain-metrics-server.ts";
import type { ServerContext } from "./server-context.ts";
import { createConciergeState } from "./state/state.ts";

const SYNC_LIMIT_MILLISECONDS = 60_000;
/** How long requests still come in after the Pod is told to go, until every node knows. */
const ENDPOINT_PROPAGATION_MILLISECONDS = 3_000;

/** One replica in a cluster: informers, leader election, all controllers and the aggregated API (contract 9.1). */
export async function runInCluster(context: ServerContext): Promise<void> {
  const { config, clock, log, metrics, commandLine, version } = context;
  const { namespace, podName } = loadDownwardApi(commandLine.downwardApiPath);
  if (podName === undefined) {
    throw new LanyardError({
      code: "configuration.downwardApi",
      message: `the Pod's name is not known: mount it as ${commandLine.downwardApiPath}/name`,
    });
  }
  const endpoint = await findEndpoint(context);
  const client = createKubernetesClient({
    endpoint,
    apiGroupSuffix: config.apiGroupSuffix,
    clock,
    log,
    metrics: metrics.apiServerClient,
    userAgent: `lanyard-concierge/${version.version}`,
  });
  const apiServiceNames = ["login", "identity"].map(
    (group) => `v1alpha1.${replaceApiGroupSuffix(`${group}.concierge.pinniped.dev`, config.apiGroupSuffix)}`,
  );
  const owners = await passPreflight({
    client,
    config,
    namespace,
    podName,
    loginApiServiceName: apiServiceNames[0] ?? "",
    clock,
    log,
  });
  const election = createLeaderElection({
    client,
    lease: { namespace, name: owners.deployment.metadata.name },
    identity: podName,
    durations: config.leaderElection,
    clock,
    log: log.named("leader-election"),
    metrics: metrics.leaderElection,
    labels: config.labels,
    ownerReferences: () => [owners.ownerReference(namespace)],
  });
  const connection = createApiServerConnection({ clock, metrics: metrics.informers });
  const store = createClusterStore({
    client,
    clock,
    log,
    leadership: { mayWrite: () => election.isLeader(), signal: () => election.signal() },
    ownerReference: (objectNamespace) => owners.ownerReference(objectNamespace),
    labels: config.labels,
    metrics: connection.metrics,
  });
  const authenticators = createAuthenticatorCache();
  const state = createConciergeState({ authenticators });
  const app = owners.deployment.metadata.name;
  const cluster = createClusterControllers({
    context,
    state,
    store,
    client,
    endpoint,
    namespace,
    app,
    serviceAccountName: owners.deployment.spec?.template?.spec?.serviceAccountName ?? "default",
    apiServiceNames,
    mayWrite: () => election.isLeader(),
  });
  const controllers = cluster.controllers.map((controller) => alsoOnLeadership(controller, election));
  const proxyTokens = createImpersonationProxyTokens({
    client,
    clock,
    log,
    holder: state.proxyToken,
    namespace,
    serviceAccountName: config.names.impersonationProxyServiceAccount,
  });
  const ownPods = store.view(pods, { namespace, labelSelector: "deployment.pinniped.dev=concierge" });

  let started = false;
  const startedCheck = (name: string): { name: string; problem: () => string | undefined } => ({
    name: `poststarthook/${name}`,
    problem: () => (started ? undefined : "not finished"),
  });
  // Both servers ask the same questions: they share the answers and the budgets (S18).
  const reviews = {
    authorizer: createSubjectAccessReviewAuthorizer({ client, clock, metrics }),
    tokens: createTokenReviewAuthenticator({
      client,
      clock,
      metrics,
      budget: createReviewBudget({ limits: config.limits, clock, metrics }),
    }),
    isOwnPod: (address: string) => ownPods.list().some(({ status }) => status?.["podIP"] === address),
  };
  const api = await buildAggregatedApi(context, {
    ...reviews,
    state,
    // Nobody would accept what it signs while there is no proxy (contract 2.4).
    proxySigningKey: whileProxyRuns(state),
    certificateSigningRequestSigner: cluster.certificateSigningRequestSigner,
    issueBearer: createBearerIssuer({ ...state, clock }),
    isDenied: createDeniedLogin({ denyList: state.denyList, clock }),
    healthChecks: [startedCheck("start-controllers"), startedCheck("fetch-impersonation-proxy-tokens")],
    readinessChecks: [...cluster.readiness, connection.readiness],
  });
  const proxy = buildImpersonationProxy(context, { ...reviews, state, endpoint });
  metrics.observe({
    ...observedStatuses({ store, credentialIssuerName: config.names.credentialIssuer }),
    proxy: () => proxy.figures,
  });
  const { plainPort } = config.metrics;
  const plainMetrics =
    plainPort === undefined
      ? undefined
      : await startPlainMetricsServer({ host: "::", port: plainPort, metrics, log });

  const stopping = new AbortController();
  const background: Promise<unknown>[] = [];
  const shutdown = installShutdown({
    clock,
    log,
    process,
    steps: [
      {
        name: "stop-controllers",
        limitMilliseconds: 5_000,
        finishedMessage: "fetch-impersonation-proxy-tokens start hook's background goroutine has finished",
        stop: async () => {
          api.beginShutdown();
          proxy.beginShutdown();
          stopping.abort();
          await Promise.all(background);
        },
      },
      { name: "release-lease", limitMilliseconds: 5_000, stop: () => election.release() },
      {
        name: "wait-for-endpoints",
        limitMilliseconds: ENDPOINT_PROPAGATION_MILLISECONDS + 500,
        stop: (signal) => clock.sleep(ENDPOINT_PROPAGATION_MILLISECONDS, signal),
      },
      {
        name: "drain",
        limitMilliseconds: 4_500,
        stop: async () => {
          await Promise.all([api.close(4_000), proxy.close(4_000)]);
          await plainMetrics?.close();
        },
      },
      {
        name: "close-connections",
        limitMilliseconds: 1_000,
        stop: async () => {
          authenticators.close();
          await store.stop();
          await client.close();
        },
      },
    ],
  });

  proxy.follow();
  await api.listen({ host: "::", port: config.aggregatedAPIServerPort });
  store.start();
  try {
    await store.waitForSync(shutdown.signal, SYNC_LIMIT_MILLISECONDS);
  } catch (error) {
    if (!shutdown.signal.aborted) {
      throw error;
    }
  }
  if (shutdown.signal.aborted) {
    // Told to go while starting: the shutdown ends the process, and nothing may start any more.
    return;
  }
  const running = runControllers({
    controllers,
    clock,
    log,
    signal: stopping.signal,
    metrics: metrics.controllers,
  });
  background.push(
    proxyTokens.run(stopping.signal),
    new Promise<void>((resolve) => {
      stopping.signal.addEventListener("abort", () => void running.stop().then(resolve), { once: true });
    }),
  );
  const campaign = new AbortController();
  void election.run(campaign.signal);
  started = true;
  log.info("started", { pod: podName, namespace, version: version.version });
}

function findEndpoint({ commandLine, environment }: ServerContext): Promise<KubernetesEndpoint> {
  return commandLine.kubeconfigPath === undefined
    ? inClusterEndpoint({
        host: environment.kubernetesService?.host,
        port: environment.kubernetesService?.port,
      })
    : kubeconfigEndpoint({ path: commandLine.kubeconfigPath });
}

/** What another leader left undone must not wait for the next event: a new leader looks at everything at once. */
function alsoOnLeadership(controller: Controller, election: LeaderElection): Controller {
  return {
    ...controller,
    watch: (enqueue) => {
      const stops = [controller.watch(enqueue), election.subscribe((isLeader) => isLeader && enqueue())];
      return () => stops.forEach((stop) => stop());
    },
  };
}
