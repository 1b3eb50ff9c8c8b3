import { randomUUID } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { AuditLog } from "../../telemetry/audit.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Authorizer } from "../request/authorizer.ts";
import type { TokenAuthenticator } from "../request/bearer-token.ts";
import { createFrontProxyAuthenticator } from "../request/front-proxy.ts";
import { presentedCertificate } from "../request/presented-certificate.ts";
import { requestSource } from "../request/request-source.ts";
import { internalError, StatusError } from "../request/status.ts";
import type { ConciergeState } from "../state/concierge-state.ts";
import { createProxyAuthentication } from "./authentication.ts";
import { isExchange } from "./exchange-request.ts";
import { createOpenStreams } from "./open-streams.ts";
import type { OwnBearers } from "./own-bearers.ts";
import type {
  InboundRequest,
  Outcome,
  ProxiedRequest,
  ProxyPipeline,
  Refusal,
  Verdict,
} from "./proxied-request.ts";
import { failedCheck, statusRefusal } from "./refusals.ts";
import { createRequestAudit } from "./request-audit.ts";
import type { RequestContext, Step, StepResult } from "./request-context.ts";
import { requestLabels } from "./request-labels.ts";
import { createAuthenticationStep } from "./steps/authentication.ts";
import { createAuthorizationStep } from "./steps/authorization.ts";
import { createBytesStep } from "./steps/bytes.ts";
import { createConcurrencyStep, defaultProxyConcurrency } from "./steps/concurrency.ts";
import type { ProxyConcurrency } from "./steps/concurrency.ts";
import { createDenyListStep } from "./steps/deny-list.ts";
import { createIdentityStep } from "./steps/identity.ts";
import {
  createLeftoverImpersonationStep,
  createNestedImpersonationStep,
} from "./steps/nested-impersonation.ts";
import { createRequestFormStep } from "./steps/request-form.ts";
import { createRequestInfoStep } from "./steps/request-info.ts";

export interface ProxyPipelineOptions {
  readonly state: Pick<
    ConciergeState,
    | "requestHeader"
    | "clientCaPem"
    | "proxySignerTrust"
    | "bearerKeys"
    | "credentialSettings"
    | "sharedAuthorityFault"
    | "denyList"
    | "proxyToken"
  >;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: AuditLog;
  /** `audit.proxiedRequests` of the configuration. */
  readonly auditRequests: boolean;
  readonly metrics: Pick<
    Metrics,
    "proxiedRequestFinished" | "proxiedStreams" | "proxiedStreamCut" | "rateLimited"
  >;
  /** Allow and deny cached for 10 s, shared with the aggregated API. */
  readonly authorizer: Authorizer;
  /** TokenReview with its cache and budget (S18). */
  readonly tokens?: TokenAuthenticator | undefined;
  /** The local verifier of bearer credentials (S13). */
  readonly bearers?: OwnBearers | undefined;
  /** What the probe at start found (S14, contract 7.2). */
  readonly anonymousAllowed: () => boolean;
  /** Whether an address is a Pod of this Deployment (S18). */
  readonly isOwnPod?: ((address: string) => boolean) | undefined;
  readonly concurrency?: ProxyConcurrency | undefined;
  readonly random?: (() => number) | undefined;
}

/** The pipeline, and how to let go of what it follows. */
export interface RunningProxyPipeline extends ProxyPipeline {
  /** What every request goes through, in order. */
  readonly stepNames: readonly string[];
  close(): void;
}

const DEADLINE_MILLISECONDS = 60_000;

/** The ordered list of steps of contract chapter 7: the same for HTTP/1.1, HTTP/2 and upgrades. */
export function createProxyPipeline(options: ProxyPipelineOptions): RunningProxyPipeline {
  const { state, clock, metrics, authorizer } = options;
  const log = options.log.named("impersonator");
  const frontProxy = createFrontProxyAuthenticator({ configuration: state.requestHeader, clock });
  const authentication = createProxyAuthentication({ ...options, log, frontProxy });
  const audit = createRequestAudit({ audit: options.audit, enabled: options.auditRequests });
  const streams = createOpenStreams({ ...options, log, authentication, audit });
  const steps: readonly Step[] = [
    createRequestFormStep({ state }),
    createRequestInfoStep({ clock }),
    createConcurrencyStep({ concurrency: options.concurrency ?? defaultProxyConcurrency, metrics }),
    createAuthenticationStep(authentication),
    createBytesStep(),
    createDenyListStep({ name: "deny-list", state, clock }),
    createNestedImpersonationStep({ authorizer, clock, log }),
    createDenyListStep({ name: "deny-list-final-user", state, clock }),
    createAuthorizationStep({ authorizer, log }),
    createLeftoverImpersonationStep(),
    createIdentityStep(options),
  ];

  const sourceOf = (request: InboundRequest): string =>
    requestSource({
      rawHeaders: request.rawHeaders,
      peerAddress: request.peerAddress,
      fromFrontProxy:
        state.sharedAuthorityFault.current === undefined &&
        frontProxy.isFrontProxy(presentedCertificate(request.socket)),
      isOwnPod: options.isOwnPod ?? (() => false),
    });

  return {
    stepNames: steps.map(({ name }) => name),
    begin: (request) => {
      const context = newContext(request, clock.now(), sourceOf);
      // Most requests are never cut: made when somebody asks.
      let controller: AbortController | undefined;
      const cut = (): AbortController => (controller ??= new AbortController());
      let refusedBy: string | undefined;
      let started = false;
      let stopWatching: (() => void) | undefined;

      const refuse = (step: Step, refusal: Refusal): Verdict => {
        refusedBy = step.name;
        return { kind: "refuse", refusal };
      };
      const refuseError = (step: Step, error: unknown): Verdict =>
        refuse(step, refusalOf(error, context, step, log));

      /** Runs on in the same turn as long as no step has to wait. */
      const runFrom = (first: number): Verdict | Promise<Verdict> => {
        for (let index = first; index < steps.length; index++) {
          const step = steps[index];
          if (step === undefined) {
            break;
          }
          let result: StepResult | Promise<StepResult>;
          try {
            result = step.run(context);
          } catch (error) {
            return refuseError(step, error);
          }
          if (result instanceof Promise) {
            return result.then(
              (refusal) => (refusal === undefined ? runFrom(index + 1) : refuse(step, refusal)),
              (error: unknown) => refuseError(step, error),
            );
          }
          if (result !== undefined) {
            return refuse(step, result);
          }
        }
        return forward(context);
      };

      const proxied: ProxiedRequest = {
        auditID: context.auditID,
        verdict: Promise.resolve(runFrom(0)),
        get cut() {
          return cut().signal;
        },
        streamStarted: (status) => {
          if (started || context.ended) {
            return;
          }
          started = true;
          audit.streamStarted(context, status);
          stopWatching = streams.add(context, cut());
        },
        finished: (outcome) => {
          if (context.ended) {
            return;
          }
          context.ended = true;
          stopWatching?.();
          for (const release of context.releases.splice(0)) {
            release();
          }
          finish(context, outcome);
        },
      };

      function finish(ended: RequestContext, outcome: Outcome): void {
        const now = clock.now();
        metrics.proxiedRequestFinished(
          { ...requestLabels(ended), code: outcome.status },
          ended.longRunning ? undefined : (now - ended.startedAt) / 1000,
        );
        if (started) {
          audit.streamEnded(ended, outcome, now);
        } else {
          audit.finished(ended, outcome, refusedBy, now);
        }
      }
      return proxied;
    },
    close: () => streams.close(),
  };
}

function newContext(
  request: InboundRequest,
  startedAt: number,
  sourceOf: (request: InboundRequest) => string,
): RequestContext {
  let source: string | undefined;
  return {
    request,
    auditID: randomUUID(),
    startedAt,
    clientAuditID: undefined,
    userAgent: undefined,
    impersonates: false,
    // Until it is understood; for the audit line alone.
    attributes: { kind: "path", verb: "", path: request.target.split("?", 1)[0] ?? "" },
    longRunning: false,
    deadlineMilliseconds: DEADLINE_MILLISECONDS,
    source: () => (source ??= sourceOf(request)),
    caller: undefined,
    identity: undefined,
    nested: false,
    bearer: undefined,
    reviews: [],
    identityHeaders: undefined,
    releases: [],
    ended: false,
  };
}

function forward({
  auditID,
  attributes,
  longRunning,
  deadlineMilliseconds,
  identityHeaders,
}: RequestContext): Verdict {
  if (identityHeaders === undefined) {
    // Nobody said who this is: without a step that did, nothing goes out (design.md rule 4.1).
    return { kind: "refuse", refusal: failedCheck("invalid user") };
  }
  return {
    kind: "forward",
    forward: {
      identityHeaders,
      auditID,
      longRunning,
      deadlineMilliseconds,
      marksExchange: isExchange(attributes),
    },
  };
}

function refusalOf(error: unknown, { auditID, request }: RequestContext, step: Step, log: Logger): Refusal {
  if (error instanceof StatusError) {
    const refusal = statusRefusal(error);
    // As the kube-apiserver does since CVE-2023-44487: who is nobody gets no second stream for free (field test 19).
    return refusal.status === 401 && request.protocol === "HTTP/2.0"
      ? { ...refusal, closeConnection: true }
      : refusal;
  }
  log.error("a proxied request failed unexpectedly", error, {
    auditID,
    step: step.name,
    reason: messageOf(error),
  });
  return statusRefusal(
    new StatusError(internalError("the server could not complete the request"), { cause: error }),
  );
}
