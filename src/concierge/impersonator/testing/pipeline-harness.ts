import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { createManualClock, systemClock } from "../../../clock.ts";
import type { ManualClock } from "../../../clock.ts";
import type { Identity } from "../../../identity/identity.ts";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import type { AuditEvent } from "../../../telemetry/audit.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import type { ProxiedRequestLabels } from "../../../telemetry/proxied-metrics.ts";
import { testAuthority, testClientCertificate } from "../../api/testing/harness.ts";
import type { TestClientCertificate } from "../../api/testing/harness.ts";
import type { AuthorizationDecision, RequestAttributes } from "../../request/authorizer.ts";
import { createAuthenticatorCache } from "../../authenticators/authenticator-cache.ts";
import { createConciergeState } from "../../state/state.ts";
import type { WritableConciergeState } from "../../state/state.ts";
import { createProxyPipeline } from "../pipeline.ts";
import type { ProxyPipelineOptions, RunningProxyPipeline } from "../pipeline.ts";
import type {
  ForwardInstructions,
  InboundRequest,
  Outcome,
  ProxiedRequest,
  Refusal,
} from "../proxied-request.ts";

export const BASE = "decision made by impersonation-proxy.concierge.pinniped.dev";
export const PROXY_TOKEN = "token-of-the-proxy";

export interface PipelineWorld {
  readonly clock: ManualClock;
  readonly state: WritableConciergeState;
  readonly pipeline: RunningProxyPipeline;
  readonly audit: AuditEvent[];
  readonly finished: { readonly labels: ProxiedRequestLabels; readonly seconds: number | undefined }[];
  readonly metrics: { streams: number; readonly cuts: string[]; readonly limited: string[] };
  /** What the authorizer was asked, in order. */
  readonly asked: { readonly user: Identity; readonly attributes: RequestAttributes }[];
  readonly authorities: {
    readonly signer: KeyPairPem;
    readonly cluster: KeyPairPem;
    readonly frontProxy: KeyPairPem;
  };
  begin(call: PipelineCall): ProxiedRequest;
  forward(call: PipelineCall): Promise<ForwardInstructions>;
  refuse(call: PipelineCall): Promise<Refusal>;
}

export interface PipelineCall {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: readonly string[];
  readonly certificate?: TestClientCertificate | undefined;
  readonly upgrade?: boolean;
  readonly peerAddress?: string;
  /** Several requests on one connection. */
  readonly socket?: TLSSocket;
}

export type WorldOptions = Partial<
  Pick<ProxyPipelineOptions, "bearers" | "concurrency" | "isOwnPod" | "auditRequests">
> & {
  /** A clock of this very moment unless given. */
  readonly clock?: ManualClock;
  readonly anonymousAllowed?: boolean;
  readonly authorize?: (user: Identity, attributes: RequestAttributes) => AuthorizationDecision;
  readonly authenticateToken?: (token: string, source: string) => Promise<Identity | undefined>;
};

export const complete = (status: number): Outcome => ({
  status,
  bytesReceived: 1,
  bytesSent: 2,
  end: "complete",
});

/** A connection as far as the steps look at it: whose certificate was shown. */
export function socketWith(certificate: TestClientCertificate | undefined): TLSSocket {
  const peer = certificate === undefined ? undefined : new X509Certificate(certificate.cert);
  return {
    getPeerX509Certificate: () => peer,
    getPeerCertificate: () => ({}),
  } as unknown as TLSSocket;
}

let authorities: Promise<readonly KeyPairPem[]> | undefined;

/** The pipeline with every dependency in memory; everybody may do everything unless `authorize` says otherwise. */
export async function createPipelineWorld(options: WorldOptions = {}): Promise<PipelineWorld> {
  authorities ??= Promise.all(["signer", "cluster-ca", "front-proxy-ca"].map(testAuthority));
  const [signer, cluster, frontProxy] = await authorities;
  if (signer === undefined || cluster === undefined || frontProxy === undefined) {
    throw new TypeError("unreachable");
  }
  const clock = options.clock ?? createManualClock(systemClock.now());
  const state = createConciergeState({ authenticators: createAuthenticatorCache() });
  state.proxySignerTrust.set(signer.certificatePem);
  state.clientCaPem.set(cluster.certificatePem);
  state.requestHeader.set({
    clientCaPem: frontProxy.certificatePem,
    allowedNames: ["front-proxy-client"],
    usernameHeaders: ["x-remote-user"],
    uidHeaders: ["x-remote-uid"],
    groupHeaders: ["x-remote-group"],
    extraHeaderPrefixes: ["x-remote-extra-"],
  });
  state.proxyToken.set({ token: PROXY_TOKEN, expiresAt: clock.now() + 3_600_000 });
  state.denyList.set({ entries: [], problems: [] });
  const audit: AuditEvent[] = [];
  const asked: { user: Identity; attributes: RequestAttributes }[] = [];
  const finished: PipelineWorld["finished"] = [];
  const metrics = { streams: 0, cuts: [] as string[], limited: [] as string[] };
  const { authorize, authenticateToken, anonymousAllowed = true, ...rest } = options;
  const pipeline = createProxyPipeline({
    state,
    clock,
    log: silentLogger,
    audit: { record: (event) => audit.push(event) },
    auditRequests: true,
    metrics: {
      proxiedRequestFinished: (labels, seconds) => finished.push({ labels, seconds }),
      proxiedStreams: (change) => {
        metrics.streams += change;
      },
      proxiedStreamCut: (reason) => metrics.cuts.push(reason),
      rateLimited: (limit) => metrics.limited.push(limit),
    },
    authorizer: {
      authorize: async (user, attributes) => {
        asked.push({ user, attributes });
        return authorize?.(user, attributes) ?? { allowed: true, reason: "" };
      },
    },
    ...(authenticateToken === undefined ? {} : { tokens: { authenticateToken } }),
    anonymousAllowed: () => anonymousAllowed,
    random: () => 0.5,
    ...rest,
  });
  const begin = (call: PipelineCall): ProxiedRequest => {
    const { headers = [], upgrade = false } = call;
    const asks = upgrade && !headers.includes("Upgrade");
    const request: InboundRequest = {
      protocol: "HTTP/1.1",
      method: call.method ?? "GET",
      target: call.target ?? "/api/v1/namespaces/default/pods/p",
      rawHeaders: [
        ...["Host", "proxy.example", ...headers],
        ...(asks ? ["Connection", "Upgrade", "Upgrade", "SPDY/3.1"] : []),
      ],
      socket: call.socket ?? socketWith(call.certificate),
      peerAddress: call.peerAddress ?? "192.0.2.1",
      upgrade,
    };
    return pipeline.begin(request);
  };
  return {
    clock,
    state,
    pipeline,
    audit,
    finished,
    metrics,
    asked,
    authorities: { signer, cluster, frontProxy },
    begin,
    forward: async (call) => {
      const verdict = await begin(call).verdict;
      if (verdict.kind !== "forward") {
        throw new Error(`refused: ${verdict.refusal.status} ${verdict.refusal.body}`);
      }
      return verdict.forward;
    },
    refuse: async (call) => {
      const verdict = await begin(call).verdict;
      if (verdict.kind !== "refuse") {
        throw new Error(`forwarded: ${JSON.stringify(verdict.forward)}`);
      }
      return verdict.refusal;
    },
  };
}

/** A certificate as the exchange hands out. */
export function certificateOf(
  { authorities: { signer } }: Pick<PipelineWorld, "authorities">,
  username: string,
  groups: readonly string[] = [],
  notAfter?: Date,
): Promise<TestClientCertificate> {
  return testClientCertificate(signer, username, groups, notAfter === undefined ? {} : { notAfter });
}
