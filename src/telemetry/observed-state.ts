import type { MetricFactory } from "./metric-factory.ts";

/** What the impersonation proxy has open at the moment. */
export interface ProxyGauges {
  readonly connections: number;
  readonly http2Sessions: number;
  readonly requests: number;
  readonly upstreamConnections: number;
  readonly upstreamWaiting: number;
}

/** State that is looked at when somebody scrapes, and costs nothing in between. */
export interface ObservedState {
  /** Strategies of the CredentialIssuer's status: the types of contract 5.2, and whether each works. */
  readonly strategies?: () => readonly { readonly type: string; readonly status: string }[];
  /** Authenticators that exist, and whether their status says that they are ready. */
  readonly authenticators?: () => readonly {
    readonly kind: string;
    readonly name: string;
    readonly ready: boolean;
  }[];
  /** Absent where there is no impersonation proxy. */
  readonly proxy?: () => ProxyGauges;
}

/** Answers how to say, once everything is built, where the state is to be found. */
export function createObservedStateMetrics(factory: MetricFactory): (state: ObservedState) => void {
  let observed: ObservedState = {};
  factory.gauge(
    "strategy_ready",
    "1 where the CredentialIssuer says Success of a strategy, 0 where it says Error.",
    ["strategy"],
    (self) => {
      self.reset();
      for (const { type, status } of observed.strategies?.() ?? []) {
        self.set({ strategy: type }, status === "Success" ? 1 : 0);
      }
    },
  );
  factory.gauge(
    "authenticator_ready",
    "1 where an authenticator's status says Ready, 0 otherwise.",
    ["kind", "authenticator"],
    (self) => {
      self.reset();
      for (const { kind, name, ready } of observed.authenticators?.() ?? []) {
        self.set({ kind, authenticator: name }, ready ? 1 : 0);
      }
    },
  );
  const proxyGauge = (name: string, help: string, figure: keyof ProxyGauges): void => {
    factory.gauge(name, help, [], (self) => self.set(observed.proxy?.()[figure] ?? 0));
  };
  proxyGauge("proxy_connections", "Connections of clients at the impersonation proxy.", "connections");
  proxyGauge("proxy_http2_sessions", "Those of them that speak HTTP/2.", "http2Sessions");
  proxyGauge("proxy_requests_in_flight", "Requests at the impersonation proxy that run.", "requests");
  proxyGauge(
    "proxy_upstream_connections",
    "Connections of the impersonation proxy to the kube-apiserver.",
    "upstreamConnections",
  );
  proxyGauge(
    "proxy_upstream_waiting",
    "Requests that wait for a connection to the kube-apiserver.",
    "upstreamWaiting",
  );
  return (state) => {
    observed = state;
  };
}
