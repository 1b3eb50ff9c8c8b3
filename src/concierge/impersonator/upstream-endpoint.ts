import { isIP } from "node:net";
import { connect, createSecureContext } from "node:tls";
import type { OnReadOpts } from "node:net";
import type { ConnectionOptions, SecureContext, TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { KubernetesEndpoint } from "../../kube/configuration.ts";
import { createTextSource } from "../../kube/text-source.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import type { Logger } from "../../telemetry/log.ts";
import { clientTlsOptions } from "../../tls/profiles.ts";
import type { TlsProfile } from "../../tls/profiles.ts";

/** Where connections to the kube-apiserver go, and whom it must prove to be. */
export interface UpstreamEndpoint {
  /** Put before every target; mostly empty. */
  readonly pathPrefix: string;
  /** Grows whenever older connections trust what is not trusted any more. */
  readonly generation: number;
  /**
   * Rejects when there is no connection within ten seconds. No credential of ours is part of it: no client certificate, ever.
   * `onread`: what is read goes there instead of to `data` listeners.
   */
  connect(alpnProtocols: readonly string[], onread?: OnReadOpts): Promise<TLSSocket>;
  /** Calls back when `generation` grew. */
  onChange(listener: () => void): void;
  close(): void;
}

export interface UpstreamEndpointOptions {
  readonly endpoint: KubernetesEndpoint;
  /** `tlsProfiles.secureClient` (contract 8.1). */
  readonly tlsProfile: TlsProfile;
  readonly clock: Clock;
  readonly log: Logger;
}

const CONNECT_MILLISECONDS = 10_000;
const CA_CHECK_MILLISECONDS = 5_000;
const KEEP_ALIVE_MILLISECONDS = 30_000;

/** Reads the CA; rejects when that is impossible. Afterwards the last good one counts (S4 allows it for CA bundles). */
export async function createUpstreamEndpoint(options: UpstreamEndpointOptions): Promise<UpstreamEndpoint> {
  const { endpoint, tlsProfile, clock, log } = options;
  const url = new URL(endpoint.serverUrl);
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const servername = endpoint.tlsServerName ?? (isIP(hostname) === 0 ? hostname : "");
  const source =
    endpoint.certificateAuthority === undefined
      ? undefined
      : createTextSource(endpoint.certificateAuthority, { clock });
  const listeners: (() => void)[] = [];
  let generation = 0;
  let closed = false;

  const load = (caPem: string | undefined): SecureContext => {
    if (caPem !== undefined && parseCertificateBundle(caPem).length === 0) {
      // An empty `ca` would mean every public one (T6).
      throw new TypeError("it holds no certificate");
    }
    return createSecureContext(clientTlsOptions(tlsProfile, { caPem }));
  };
  let caPem = await source?.read();
  let secureContext = load(caPem);

  const check = async (): Promise<void> => {
    try {
      const next = await source?.read();
      if (next !== caPem) {
        secureContext = load(next);
        caPem = next;
        generation += 1;
        log.info("the kube-apiserver's certificate authority changed");
        for (const listener of listeners) {
          listener();
        }
      }
    } catch (error) {
      log.warning("keeping the kube-apiserver's certificate authority as the new one cannot be used", {
        error: messageOf(error),
      });
    }
  };
  let cancel = (): void => {};
  const checkAgain = (): void => {
    cancel = clock.schedule(CA_CHECK_MILLISECONDS, () => {
      void check().finally(() => {
        if (!closed) {
          checkAgain();
        }
      });
    });
  };
  checkAgain();

  return {
    pathPrefix: url.pathname.replace(/\/+$/, ""),
    get generation() {
      return generation;
    },
    connect: (alpnProtocols, onread) =>
      new Promise((resolve, reject) => {
        const socket = connect({
          host: hostname,
          port: url.port === "" ? 443 : Number(url.port),
          secureContext,
          rejectUnauthorized: true,
          ...(servername === "" ? {} : { servername }),
          ALPNProtocols: [...alpnProtocols],
          ...(onread === undefined ? {} : { onread }),
          // Missing in its types, not in `tls.connect`: a tunnel may close one direction only.
          allowHalfOpen: true,
        } as ConnectionOptions);
        const cancelTimer = clock.schedule(CONNECT_MILLISECONDS, () =>
          socket.destroy(new Error("no connection within 10 s")),
        );
        const failed = (error: Error): void => {
          cancelTimer();
          socket.destroy();
          reject(error);
        };
        const ended = (): void => failed(new Error("the connection was closed in the handshake"));
        socket.once("error", failed);
        socket.once("close", ended);
        socket.once("secureConnect", () => {
          cancelTimer();
          socket.off("error", failed);
          socket.off("close", ended);
          // R3, H7: found dead by probes, never by silence.
          socket.setKeepAlive(true, KEEP_ALIVE_MILLISECONDS);
          resolve(socket);
        });
      }),
    onChange: (listener) => {
      listeners.push(listener);
    },
    close: () => {
      closed = true;
      cancel();
    },
  };
}
