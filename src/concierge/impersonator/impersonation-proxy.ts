import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { KubernetesEndpoint } from "../../kube/configuration.ts";
import type { Logger } from "../../telemetry/log.ts";
import { tlsProfiles } from "../../tls/profiles.ts";
import type { ServingPair, TlsProfile } from "../../tls/profiles.ts";
import type { ConciergeState } from "../state/concierge-state.ts";
import type { ProxySettings } from "../state/proxy.ts";
import { createForwarder } from "./forward.ts";
import { createHttp1Front } from "./http1-front.ts";
import type { Http1Front } from "./http1-front.ts";
import { createHttp2Front } from "./http2-front.ts";
import type { Http2Front } from "./http2-front.ts";
import { createListener } from "./listener.ts";
import type { Listener } from "./listener.ts";
import { createLoopbackCertificate } from "./loopback-certificate.ts";
import type { ProxyTlsState } from "./proxy-tls.ts";
import type { ProxyPipeline } from "./proxied-request.ts";
import { defaultProxyLimits, defaultProxyTimeouts } from "./proxy-limits.ts";
import type { ProxyLimits, ProxyTimeouts } from "./proxy-limits.ts";
import { createRunningExchanges } from "./running-exchanges.ts";
import type { RunningExchanges } from "./running-exchanges.ts";
import { createTunnels } from "./tunnel.ts";
import { createUpstreamEndpoint } from "./upstream-endpoint.ts";
import type { UpstreamEndpoint } from "./upstream-endpoint.ts";
import { createUpstreamPool } from "./upstream-pool.ts";
import type { UpstreamPool } from "./upstream-pool.ts";
import { createUpstreamSessions } from "./upstream-sessions.ts";
import type { UpstreamSessions } from "./upstream-sessions.ts";

export interface ImpersonationProxyOptions {
  readonly state: ProxyTlsState & Pick<ConciergeState, "proxySettings" | "proxyState">;
  readonly endpoint: KubernetesEndpoint;
  readonly pipeline: ProxyPipeline;
  readonly clock: Clock;
  readonly log: Logger;
  /** Asked at every start before the port is open (contract 7.2: the anonymous probe); what it throws is why the start failed. */
  readonly beforeListening?: (() => Promise<void>) | undefined;
  /** All interfaces by default. */
  readonly host?: string | undefined;
  /** `tlsProfiles.defaultServer` by default; narrower by `tls.onedottwo.allowedCiphers`. */
  readonly serverTlsProfile?: TlsProfile | undefined;
  readonly upstreamTlsProfile?: TlsProfile | undefined;
  readonly timeouts?: Partial<ProxyTimeouts> | undefined;
  readonly limits?: Partial<ProxyLimits> | undefined;
}

/** What is open at the moment. */
export interface ProxyFigures {
  readonly connections: number;
  readonly http2Sessions: number;
  readonly requests: number;
  readonly streams: number;
  readonly upstreamConnections: number;
  /** Requests that wait for an upstream connection (R4). */
  readonly upstreamWaiting: number;
}

export interface ImpersonationProxy {
  /** Follows `state.proxySettings` from now on: listens, moves or stops, and writes `state.proxyState`. */
  follow(): void;
  /** Listens; rejects when that fails, and the port is free then. Port 0 takes any. */
  start(settings: ProxySettings): Promise<{ readonly port: number }>;
  /** Stops at once and resolves when the port is free. */
  stop(): Promise<void>;
  /** Requests are still served, but every connection is told to go elsewhere. */
  beginShutdown(): void;
  /** Takes nothing new, ends watches properly, lets the rest finish, cuts what is left after the grace period (milliseconds). */
  close(gracePeriodMilliseconds: number): Promise<void>;
  readonly figures: ProxyFigures;
}

interface Running {
  readonly listener: Listener;
  readonly http1: Http1Front;
  readonly http2: Http2Front;
  readonly endpoint: UpstreamEndpoint;
  readonly pool: UpstreamPool;
  readonly sessions: UpstreamSessions;
  readonly exchanges: RunningExchanges;
  readonly port: number;
}

const MAXIMUM_IDLE_UPSTREAM = 256;

/** The engine of the impersonation proxy (contract chapter 7): it carries requests, the pipeline says whose they are. */
export function createImpersonationProxy(options: ImpersonationProxyOptions): ImpersonationProxy {
  const { state, clock } = options;
  const log = options.log.named("impersonation-proxy");
  const limits = { ...defaultProxyLimits, ...options.limits };
  const timeouts = { ...defaultProxyTimeouts, ...options.timeouts };
  let running: Running | undefined;
  /** Starts and stops come one after the other. */
  let last: Promise<unknown> = Promise.resolve();
  let unsubscribe = (): void => {};
  let shuttingDown = false;
  let loopback: Promise<ServingPair> | undefined;

  const build = async (settings: ProxySettings): Promise<Running> => {
    await options.beforeListening?.();
    loopback ??= createLoopbackCertificate(clock);
    const endpoint = await createUpstreamEndpoint({
      endpoint: options.endpoint,
      tlsProfile: options.upstreamTlsProfile ?? tlsProfiles.secureClient,
      clock,
      log,
    });
    const exchanges = createRunningExchanges();
    const pool = createUpstreamPool({
      endpoint,
      clock,
      maximumConnections: limits.upstreamConnections,
      maximumIdle: MAXIMUM_IDLE_UPSTREAM,
    });
    const sessions = createUpstreamSessions({ endpoint, clock });
    const parts = {
      pipeline: options.pipeline,
      frontProxyHeaders: () => state.requestHeader.current,
      running: exchanges,
      clock,
      log,
    };
    const onExchange = createForwarder({
      ...parts,
      upstream: { send: (request, sink) => (request.longRunning ? sessions : pool).send(request, sink) },
      pathPrefix: endpoint.pathPrefix,
    });
    const openTunnel = createTunnels({ ...parts, endpoint });
    const http1 = createHttp1Front({
      onExchange,
      onUpgrade: (inbound, socket, early, body) => openTunnel({ inbound, socket, early, body }),
      clock,
      log,
      headersTimeout: timeouts.headers,
      keepAliveTimeout: timeouts.idle,
      checkingInterval: timeouts.checkingInterval,
    });
    const http2 = createHttp2Front({
      onExchange,
      clock,
      idleTimeout: timeouts.idle,
      pingInterval: timeouts.pingInterval,
      maximumStreams: limits.streamsPerConnection,
    });
    const listener = createListener({
      state,
      profile: options.serverTlsProfile ?? tlsProfiles.defaultServer,
      loopback: await loopback,
      log,
      handshakeTimeout: timeouts.handshake,
      maximumConnections: limits.connections,
      onConnection: (socket, peerAddress) => {
        (socket.alpnProtocol === "h2" ? http2 : http1).serve(socket, peerAddress);
      },
    });
    const built = { listener, http1, http2, endpoint, pool, sessions, exchanges };
    try {
      const { port } = await listener.listen({ host: options.host, port: settings.port });
      return { ...built, port };
    } catch (error) {
      await tearDown(built);
      throw error;
    }
  };
  const tearDown = async (parts: Omit<Running, "port">): Promise<void> => {
    const stopped = parts.listener.stop();
    parts.http2.closeAll();
    parts.http1.closeAll();
    parts.listener.destroyAll();
    parts.pool.close();
    parts.sessions.close();
    parts.endpoint.close();
    parts.http1.release();
    parts.http2.release();
    await stopped;
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => {});
    return next;
  };
  const stopNow = async (): Promise<void> => {
    const stopping = running;
    running = undefined;
    if (stopping !== undefined) {
      await tearDown(stopping);
      log.info("the impersonation proxy stopped");
    }
    state.proxyState.set({ phase: "stopped" });
  };
  const startNow = async (settings: ProxySettings): Promise<{ readonly port: number }> => {
    if (shuttingDown) {
      throw new TypeError("the impersonation proxy is shutting down");
    }
    if (running !== undefined) {
      await stopNow();
    }
    state.proxyState.set({ phase: "starting" });
    try {
      running = await build(settings);
    } catch (error) {
      state.proxyState.set({ phase: "failed", message: messageOf(error) });
      log.warning("the impersonation proxy did not start", { error: messageOf(error) });
      throw error;
    }
    state.proxyState.set({ phase: "listening" });
    log.info("the impersonation proxy listens", { port: running.port });
    return { port: running.port };
  };

  return {
    follow: () => {
      const apply = (settings: ProxySettings | undefined): void => {
        if (shuttingDown) {
          return;
        }
        inTurn(async () => {
          if (settings === undefined) {
            await stopNow();
          } else if (running === undefined || running.port !== settings.port) {
            await startNow(settings);
          }
        }).catch(() => {});
      };
      unsubscribe = state.proxySettings.subscribe(apply);
      if (state.proxySettings.current !== undefined) {
        apply(state.proxySettings.current);
      }
    },
    start: (settings) => inTurn(() => startNow(settings)),
    stop: () => inTurn(stopNow),
    beginShutdown: () => {
      shuttingDown = true;
      unsubscribe();
      running?.http1.beginShutdown();
      running?.http2.beginShutdown();
    },
    close: async (gracePeriodMilliseconds) => {
      shuttingDown = true;
      unsubscribe();
      await last;
      const closing = running;
      running = undefined;
      if (closing === undefined) {
        return;
      }
      closing.http1.beginShutdown();
      closing.http2.close();
      const allGone = closing.listener.stop();
      closing.exchanges.closeStreams();
      closing.http1.closeIdle();
      const cancel = clock.schedule(gracePeriodMilliseconds, () => {
        closing.listener.destroyAll();
        closing.http2.closeAll();
        closing.http1.closeAll();
      });
      await allGone;
      cancel();
      await tearDown(closing);
      state.proxyState.set({ phase: "stopped" });
    },
    get figures() {
      return {
        connections: running?.listener.connections ?? 0,
        http2Sessions: running?.http2.sessions ?? 0,
        requests: running?.exchanges.requests ?? 0,
        streams: running?.exchanges.streams ?? 0,
        upstreamConnections: (running?.pool.size ?? 0) + (running?.sessions.size ?? 0),
        upstreamWaiting: running?.pool.waiting ?? 0,
      };
    },
  };
}
