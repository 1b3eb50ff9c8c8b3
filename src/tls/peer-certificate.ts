import type { X509Certificate } from "node:crypto";
import { connect } from "node:tls";

/**
 * The certificate that a server shows, read without trusting it and without sending anything; undefined when no handshake
 * succeeds in time. Node does not keep the certificate of a handshake that it refused, and Go's message about an expired
 * one names its dates (contract 4.3).
 */
export function fetchPeerCertificate(options: {
  readonly host: string;
  readonly port: number;
  /** Server name indication; absent for addresses. */
  readonly servername?: string | undefined;
  /** Milliseconds. */
  readonly timeout: number;
}): Promise<X509Certificate | undefined> {
  return new Promise((resolve) => {
    const socket = connect({
      host: options.host,
      port: options.port,
      ...(options.servername === undefined ? {} : { servername: options.servername }),
      ca: [],
      // The one connection whose peer is not verified: it carries no request and its answer is only printed.
      rejectUnauthorized: false,
      timeout: options.timeout,
    });
    const finish = (certificate: X509Certificate | undefined): void => {
      resolve(certificate);
      socket.destroy();
    };
    socket.once("secureConnect", () => finish(socket.getPeerX509Certificate()));
    socket.once("timeout", () => finish(undefined));
    socket.once("error", () => finish(undefined));
    socket.once("close", () => finish(undefined));
  });
}
