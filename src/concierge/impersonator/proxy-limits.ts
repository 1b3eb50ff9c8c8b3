/** How long a peer may take, milliseconds (contract 7.7). */
export interface ProxyTimeouts {
  readonly handshake: number;
  readonly headers: number;
  readonly idle: number;
  readonly pingInterval: number;
  /** How often HTTP/1.1 connections are looked at for the two above. */
  readonly checkingInterval: number;
}

export const defaultProxyTimeouts: ProxyTimeouts = {
  handshake: 10_000,
  headers: 32_000,
  idle: 90_000,
  pingInterval: 30_000,
  checkingInterval: 5_000,
};

/** How many requests run at a time is for the pipeline to say. */
export interface ProxyLimits {
  readonly connections: number;
  /** Of one HTTP/2 connection (contract 7.7). */
  readonly streamsPerConnection: number;
  /** For short calls; more wait. As many as the pipeline lets in, so that none does. */
  readonly upstreamConnections: number;
}

export const defaultProxyLimits: ProxyLimits = {
  connections: 20_000,
  streamsPerConnection: 1_000,
  upstreamConnections: 600,
};
