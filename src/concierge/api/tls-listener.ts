import { createServer } from "node:https";
import type { RequestListener, Server } from "node:http";
import type { Server as HttpsServer } from "node:https";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import { encodePem } from "../../pki/pem.ts";
import { serverTlsOptions } from "../../tls/profiles.ts";
import type { ServerTlsOptions, TlsProfile } from "../../tls/profiles.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ConciergeState, KeyPair } from "../state/concierge-state.ts";

/** How long a peer may take, milliseconds (H7). */
export interface ListenerTimeouts {
  readonly handshake: number;
  readonly headers: number;
  readonly request: number;
  readonly keepAlive: number;
  /** How often the two in the middle are looked at. */
  readonly checkingInterval: number;
}

export const defaultListenerTimeouts: ListenerTimeouts = {
  handshake: 10_000,
  headers: 10_000,
  // Above the create handler's 34 s, below the 60 s that any request may take (contract 1.4).
  request: 40_000,
  // Above the 90 s of Go's transport: a POST on a connection that we are just closing would fail, and nobody repeats it (R2).
  keepAlive: 120_000,
  checkingInterval: 5_000,
};

export interface TlsListenerOptions {
  readonly state: Pick<ConciergeState, "servingCertificate" | "requestHeader" | "clientCaPem">;
  readonly profile: TlsProfile;
  readonly timeouts: ListenerTimeouts;
  readonly log: Logger;
}

export interface TlsListener {
  readonly server: HttpsServer;
  /** Stops following the holders. */
  release(): void;
}

/**
 * An HTTPS server whose certificate and client CAs follow the holders (T4, T8): new handshakes see a change at once, and
 * requests on old connections are judged against the bundles of their moment anyway. Without a serving certificate the
 * port is open and every handshake fails. HTTP/1.1 only.
 */
export function createTlsListener(options: TlsListenerOptions, handler: RequestListener): TlsListener {
  const { state, profile, timeouts, log } = options;
  const server = createServer(
    {
      ...(currentOptions(state, profile) ?? optionsWithoutCertificate(profile)),
      handshakeTimeout: timeouts.handshake,
      headersTimeout: timeouts.headers,
      requestTimeout: timeouts.request,
      keepAliveTimeout: timeouts.keepAlive,
      connectionsCheckingInterval: timeouts.checkingInterval,
      // Go's limit, so that users with thousands of groups get through (H6).
      maxHeaderSize: 1024 * 1024,
      insecureHTTPParser: false,
      requireHostHeader: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    },
    handler,
  );
  // 2,000 groups and room; Node's default of 1,000 pairs would drop the rest (H6).
  server.maxHeadersCount = 10_000;
  server.maxRequestsPerSocket = 0;
  server.on("tlsClientError", (error: Error) => log.debug("TLS handshake failed", { error: error.message }));

  const follow = (): void => {
    try {
      const next = currentOptions(state, profile);
      if (next !== undefined) {
        // A whole option set: what is left out would fall back to Node's defaults (T8).
        server.setSecureContext(next);
      }
    } catch (error) {
      // The last good context stays in force.
      log.error("could not load the serving certificate", error);
    }
  };
  const subscriptions = [
    state.servingCertificate.subscribe(follow),
    state.requestHeader.subscribe(follow),
    state.clientCaPem.subscribe(follow),
  ];
  return { server, release: () => subscriptions.forEach((unsubscribe) => unsubscribe()) };
}

function currentOptions(
  state: TlsListenerOptions["state"],
  profile: TlsProfile,
): ServerTlsOptions | undefined {
  const pair = state.servingCertificate.current;
  return pair === undefined ? undefined : tlsOptions(pair, state, profile);
}

function tlsOptions(
  pair: KeyPair,
  state: TlsListenerOptions["state"],
  profile: TlsProfile,
): ServerTlsOptions {
  const bundle = [state.requestHeader.current?.clientCaPem, state.clientCaPem.current]
    .flatMap((pem) => parseCertificateBundle(pem ?? ""))
    .map(({ der }) => encodePem("CERTIFICATE", der));
  return serverTlsOptions(profile, {
    certificateChainPem: pair.certificatePem,
    privateKeyPem: pair.privateKeyPem,
    // The list only tells clients whose certificates are wanted; each request is judged against the bundle of its own
    // purpose (T12). With nobody trusted, our own name stands in: an empty list would mean every public CA (T6).
    clientCaPem: bundle.length > 0 ? [...new Set(bundle)].join("") : pair.certificatePem,
    alpnProtocols: ["http/1.1"],
  });
}

/** Enough to fail every handshake, in the right TLS version. */
function optionsWithoutCertificate(profile: TlsProfile): object {
  return {
    minVersion: profile.minVersion,
    maxVersion: profile.maxVersion,
    ca: [],
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
  };
}

/** Ends what is idle and lets the rest finish; after `gracePeriodMilliseconds` nothing is left. */
export async function drain(
  server: Server,
  gracePeriodMilliseconds: number,
  schedule: (milliseconds: number, callback: () => void) => () => void,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = schedule(gracePeriodMilliseconds, () => server.closeAllConnections());
  server.close(() => resolve());
  server.closeIdleConnections();
  await promise;
  cancel();
}
