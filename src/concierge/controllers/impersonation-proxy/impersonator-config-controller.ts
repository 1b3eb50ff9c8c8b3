import type { Clock } from "../../../clock.ts";
import { messageOf } from "../../../errors.ts";
import type { Controller, ReconcileResult } from "../../../kube/controller.ts";
import type { KubernetesClient } from "../../../kube/kubernetes-client.ts";
import { secrets } from "../../../kube/objects.ts";
import type { ResourceStore } from "../../../kube/resource-store.ts";
import { services } from "../../../kube/resources.ts";
import { credentialIssuers } from "../../../resources/credential-issuer.ts";
import type { CredentialIssuer } from "../../../resources/credential-issuer.ts";
import type { Logger } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import type { ObjectNames } from "../../config/config.ts";
import type { WritableConciergeState } from "../../state/state.ts";
import { reportStrategy } from "../credential-issuer-status.ts";
import type { StrategyReport } from "../credential-issuer-status.ts";
import { denyListMessage } from "../deny-list-controller.ts";
import { createControlPlaneDetection } from "./control-plane-nodes.ts";
import { createProxySync } from "./proxy-sync.ts";
import { createProxyServerControl } from "./proxy-server.ts";
import type { ProxyServerFinding } from "./proxy-server.ts";
import { serverFailed, setupFailed } from "./proxy-strategy.ts";
import { waitsForChange } from "./setup-fault.ts";
import { createSyncWrites, unlessRefused } from "./sync-writes.ts";

export interface ImpersonatorConfigOptions {
  readonly store: ResourceStore;
  /** Lists nodes past the cache: there may be thousands, and they are looked at once. */
  readonly client: Pick<KubernetesClient, "list">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: Pick<
    WritableConciergeState,
    "proxySettings" | "proxyState" | "proxyServingCertificate" | "proxySigningKey" | "denyList"
  >;
  readonly namespace: string;
  readonly names: Pick<
    ObjectNames,
    | "credentialIssuer"
    | "impersonationLoadBalancerService"
    | "impersonationClusterIPService"
    | "impersonationTLSCertificateSecret"
    | "impersonationCACertificateSecret"
    | "impersonationSignerSecret"
  >;
  /** The configuration's labels; `app` selects the Pods behind the Services. */
  readonly labels: Readonly<Record<string, string>>;
  /** Where the proxy listens. */
  readonly port: number;
  readonly metrics?: Pick<Metrics, "certificateLoaded">;
}

/**
 * Runs the impersonation proxy as the CredentialIssuer says (contract 6.6): its server through the holders, its Services
 * and certificates, and the strategy `ImpersonationProxy`. Replicas that do not lead do all that is local; writes that
 * they are refused are no failure, as the leader's writes come back as events.
 */
export function createImpersonatorConfigController(options: ImpersonatorConfigOptions): Controller {
  const { store, clock, state, namespace, names } = options;
  const log = options.log.named("impersonator-config-controller");
  const views = {
    issuers: store.view(credentialIssuers),
    services: store.view(services, { namespace }),
    secrets: store.view(secrets, { namespace }),
  };
  const server = createProxyServerControl({ clock, settings: state.proxySettings, state: state.proxyState });
  const sync = createProxySync({
    ...options,
    log,
    views,
    server,
    hasControlPlaneNodes: createControlPlaneDetection(options.client),
  });
  const logged = createChangeLog(log);

  const report = async (issuer: CredentialIssuer, strategy: StrategyReport): Promise<unknown> => {
    try {
      const noted = withNote(strategy, denyListMessage(state.denyList.current));
      await unlessRefused(reportStrategy({ store, issuer, report: noted, now: clock.now() }));
      return undefined;
    } catch (error) {
      return error;
    }
  };
  const reconcile = async (signal: AbortSignal): Promise<ReconcileResult | void> => {
    const issuer = views.issuers.get({ name: names.credentialIssuer });
    if (!Object.values(views).every((view) => view.hasSynced())) {
      return undefined;
    }
    if (issuer === undefined) {
      // What runs goes on: an object that is deleted to be made anew must not cut everybody off.
      logged.problem("CredentialIssuer not found, the impersonation proxy stays as it is");
      return undefined;
    }
    let finding: ProxyServerFinding | undefined;
    let strategy: StrategyReport | undefined;
    const failures: unknown[] = [];
    try {
      const outcome = await sync(issuer, { writes: createSyncWrites(store), now: clock.now() }, signal);
      ({ finding, strategy } = outcome);
      failures.push(...(outcome.failure === undefined ? [] : [outcome.failure]));
    } catch (error) {
      failures.push(error);
    }
    if (signal.aborted) {
      return undefined;
    }
    const [failure] = failures;
    if (failure !== undefined) {
      strategy = setupFailed(failure);
    }
    if (finding?.phase === "failed") {
      strategy = serverFailed(finding.message);
    }
    logged.strategy(strategy);
    const writeFailure = strategy === undefined ? undefined : await report(issuer, strategy);
    throwThoseToRepeat([...failures.filter((each) => !waitsForChange(each)), writeFailure]);
    return finding?.phase === "failed"
      ? { requeueAfterMilliseconds: finding.retryInMilliseconds }
      : undefined;
  };
  return {
    name: "impersonator-config-controller",
    reconcile,
    watch: (enqueue) => {
      const ownServices = [names.impersonationLoadBalancerService, names.impersonationClusterIPService];
      const ownSecrets = [
        names.impersonationCACertificateSecret,
        names.impersonationTLSCertificateSecret,
        names.impersonationSignerSecret,
      ];
      const externalSecret = (): string | undefined => {
        const issuer = views.issuers.get({ name: names.credentialIssuer });
        const spec: Partial<CredentialIssuer["spec"]> | undefined = issuer?.spec;
        return spec?.impersonationProxy?.tls?.secretName;
      };
      const stops = [
        views.issuers.subscribe(({ name }) => name === names.credentialIssuer && enqueue()),
        views.services.subscribe(({ name }) => ownServices.includes(name) && enqueue()),
        views.secrets.subscribe(
          ({ name }) => (ownSecrets.includes(name) || name === externalSecret()) && enqueue(),
        ),
        state.proxySigningKey.subscribe(enqueue),
        state.denyList.subscribe(enqueue),
        server.watch(enqueue),
      ];
      return () => stops.forEach((stop) => stop());
    },
  };
}

/** What administrators have to know besides is said here, as nobody looks for it elsewhere (S15). */
function withNote(strategy: StrategyReport, note: string | undefined): StrategyReport {
  return note === undefined ? strategy : { ...strategy, message: `${strategy.message}; ${note}` };
}

/** One is thrown as it is, so that the runtime knows it; several together. */
function throwThoseToRepeat(candidates: readonly unknown[]): void {
  const errors = candidates.filter((each) => each !== undefined);
  if (errors.length > 1) {
    throw new AggregateError(errors, errors.map(messageOf).join("; "));
  }
  if (errors.length === 1) {
    throw errors[0];
  }
}

/** Logs what the strategy says once, and again when it says something else; a proxy that is not in use is no problem. */
function createChangeLog(log: Logger): {
  strategy(strategy: StrategyReport | undefined): void;
  problem(text: string): void;
} {
  let last: string | undefined;
  const once = (text: string, write: () => void): void => {
    if (text !== last) {
      last = text;
      write();
    }
  };
  return {
    problem: (text) => once(text, () => log.warning(text)),
    strategy: (strategy) => {
      if (strategy === undefined) {
        return;
      }
      const { reason, message } = strategy;
      const fields = { reason, message };
      once(message, () =>
        reason === "ErrorDuringSetup"
          ? log.warning("the impersonation proxy cannot be set up", fields)
          : log.info("impersonation proxy", fields),
      );
    },
  };
}
