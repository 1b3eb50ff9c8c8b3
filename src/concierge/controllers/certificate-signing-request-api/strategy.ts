import type { Clock } from "../../../clock.ts";
import { messageOf } from "../../../errors.ts";
import type { Controller, ReconcileResult } from "../../../kube/controller.ts";
import type { KubernetesClient } from "../../../kube/kubernetes-client.ts";
import { configMaps } from "../../../kube/objects.ts";
import type { ResourceStore } from "../../../kube/resource-store.ts";
import { credentialIssuers } from "../../../resources/credential-issuer.ts";
import type { Logger } from "../../../telemetry/log.ts";
import { MINIMUM_CLUSTER_SIGNING_SECONDS } from "../../credentials/cluster-signing.ts";
import type { ClusterSigning } from "../../credentials/cluster-signing.ts";
import { expirationFor } from "../../credentials/certificate-signing-request-api.ts";
import type { ReadonlyHolder } from "../../state/holder.ts";
import { CLUSTER_INFO, readClusterInfo } from "../cluster-info.ts";
import { removeStrategy, reportStrategy } from "../credential-issuer-status.ts";
import type { StrategyReport } from "../credential-issuer-status.ts";
import { credentialSettingsOf } from "../credential-settings.ts";
import { missingRights } from "./access.ts";

/** In `status.strategies[].type`. */
export const STRATEGY_TYPE = "CertificateSigningRequestAPI";

/**
 * The user of the certificate that shows that signing works. It has no groups, nothing should ever be granted to it, and
 * its key is thrown away unused.
 */
export const SELF_TEST_USERNAME = "lanyard:certificate-signing-request-self-test";

const RETEST_MILLISECONDS = 600_000;
const FIRST_RETRY_MILLISECONDS = 10_000;
const LARGEST_RETRY_MILLISECONDS = 300_000;

export interface CertificateSigningRequestStrategyOptions {
  readonly store: Pick<ResourceStore, "view" | "updateStatus">;
  readonly client: Pick<KubernetesClient, "review">;
  readonly signing: ClusterSigning;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether this replica leads: the others neither test nor report. */
  readonly mayWrite: () => boolean;
  /** `names.credentialIssuer`. */
  readonly credentialIssuerName: string;
  /** `discovery.url`. */
  readonly discoveryUrl: string | undefined;
  /** S11. */
  readonly fault: ReadonlyHolder<string | undefined>;
}

/**
 * Says in the CredentialIssuer whether certificates can be signed through `certificates.k8s.io`, while that is switched
 * on; no entry otherwise (clarification 12). As the rights alone do not show it, the leader has a certificate for
 * `SELF_TEST_USERNAME` signed: when the strategy is switched on, every ten minutes, and more often while it fails.
 */
export function createCertificateSigningRequestStrategyController(
  options: CertificateSigningRequestStrategyOptions,
): Controller {
  const { store, clock, credentialIssuerName, fault, mayWrite } = options;
  const log = options.log.named("certificate-signing-request-strategy-controller");
  const issuers = store.view(credentialIssuers);
  const infos = store.view(configMaps, { namespace: CLUSTER_INFO.namespace });
  const test = createSelfTest(options);
  let testedGeneration: number | undefined;

  const find = async (maximumSeconds: number, signal: AbortSignal): Promise<StrategyReport> => {
    if (fault.current !== undefined) {
      return failure("ErrorDuringSetup", fault.current);
    }
    if (maximumSeconds < MINIMUM_CLUSTER_SIGNING_SECONDS) {
      return failure(
        "ErrorDuringSetup",
        `maximumLifetimeSeconds must be at least ${MINIMUM_CLUSTER_SIGNING_SECONDS}`,
      );
    }
    const problem = await test.problem(signal);
    if (problem !== undefined) {
      return failure("CouldNotIssueCertificate", problem);
    }
    try {
      const tokenCredentialRequestInfo = readClusterInfo(infos.get(CLUSTER_INFO), options.discoveryUrl);
      return {
        type: STRATEGY_TYPE,
        status: "Success",
        reason: "IssuedCertificate",
        message: "certificates are signed through the CertificateSigningRequest API",
        frontend: { type: "TokenCredentialRequestAPI", tokenCredentialRequestInfo },
      };
    } catch (error) {
      return failure("CouldNotGetClusterInfo", messageOf(error));
    }
  };

  return {
    name: "certificate-signing-request-strategy-controller",
    watch: (enqueue) => {
      const stops = [
        issuers.subscribe(({ name }) => name === credentialIssuerName && enqueue()),
        infos.subscribe(({ name }) => name === CLUSTER_INFO.name && enqueue()),
        fault.subscribe(() => enqueue()),
      ];
      return () => stops.forEach((stop) => stop());
    },
    reconcile: async (signal): Promise<ReconcileResult | void> => {
      const issuer = issuers.get({ name: credentialIssuerName });
      if (issuer === undefined || !mayWrite()) {
        test.forget();
        return;
      }
      const { certificateSigningRequestApi, lifetimes } = credentialSettingsOf(issuer.spec);
      if (!certificateSigningRequestApi) {
        test.forget();
        await removeStrategy({ store, issuer, type: STRATEGY_TYPE });
        return;
      }
      if (issuer.metadata.generation !== testedGeneration) {
        // Whoever changes the object wants to see what it comes to.
        testedGeneration = issuer.metadata.generation;
        test.forget();
      }
      const report = await find(lifetimes.maximumLifetimeSeconds, signal);
      if (signal.aborted) {
        return;
      }
      if (report.status === "Error") {
        log.warning("signing through the CertificateSigningRequest API does not work", {
          reason: report.message,
        });
      }
      // The test takes its time: what is written is on top of what is there now.
      const present = issuers.get({ name: credentialIssuerName });
      if (present !== undefined && credentialSettingsOf(present.spec).certificateSigningRequestApi) {
        await reportStrategy({ store, issuer: present, report, now: clock.now() });
      }
      return test.dueInMilliseconds() === undefined
        ? undefined
        : { requeueAfterMilliseconds: test.dueInMilliseconds() ?? 0 };
    },
  };
}

function failure(reason: StrategyReport["reason"], message: string): StrategyReport {
  return { type: STRATEGY_TYPE, status: "Error", reason, message };
}

interface SelfTest {
  /** Why signing does not work, from the last test if that is recent; undefined: it works. */
  problem(signal: AbortSignal): Promise<string | undefined>;
  /** Undefined: there was none yet. */
  dueInMilliseconds(): number | undefined;
  /** The next question is answered by a new test. */
  forget(): void;
}

function createSelfTest(options: CertificateSigningRequestStrategyOptions): SelfTest {
  const { client, signing, clock } = options;
  let last: { readonly problem: string | undefined; readonly due: number } | undefined;
  let retry = FIRST_RETRY_MILLISECONDS;

  const run = async (signal: AbortSignal): Promise<string | undefined> => {
    try {
      const missing = await missingRights(client, signal);
      if (missing.length > 0) {
        return `the Concierge's ServiceAccount may not: ${missing.join(", ")}; install the chart with certificateSigningRequestAPI.mode Enabled, which adds the ClusterRole`;
      }
      const now = clock.now();
      const notAfter = new Date(now + MINIMUM_CLUSTER_SIGNING_SECONDS * 1000);
      await signing.sign({
        username: SELF_TEST_USERNAME,
        groups: [],
        ...expirationFor(notAfter, now),
        signal,
      });
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  };

  return {
    problem: async (signal) => {
      if (last !== undefined && clock.now() < last.due) {
        return last.problem;
      }
      const problem = await run(signal);
      if (signal.aborted) {
        return problem;
      }
      const wait = problem === undefined ? RETEST_MILLISECONDS : retry;
      retry =
        problem === undefined ? FIRST_RETRY_MILLISECONDS : Math.min(retry * 2, LARGEST_RETRY_MILLISECONDS);
      last = { problem, due: clock.now() + wait };
      return problem;
    },
    dueInMilliseconds: () => (last === undefined ? undefined : Math.max(0, last.due - clock.now())),
    forget: () => {
      last = undefined;
      retry = FIRST_RETRY_MILLISECONDS;
    },
  };
}
