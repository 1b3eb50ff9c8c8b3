import type { Socket } from "node:net";
import { buildConnector } from "undici";
import { clientTlsOptions, tlsProfiles } from "../../tls/profiles.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import type { HttpClientOptions } from "./http-client.ts";
import { parseProxy, proxyFromEnvironment } from "./proxy-from-environment.ts";
import { openTunnel } from "./tunnel.ts";

const CONNECT_TIMEOUT_MILLISECONDS = 10_000;

/** How undici opens connections here: straight or through a proxy, with the profile's TLS. `connecting` holds what is open. */
export function createConnector(
  context: CommandContext,
  options: HttpClientOptions,
  agentName: string,
  connecting: Set<Socket>,
): buildConnector.connector {
  const direct = createDirectConnector(options);
  const track = (socket: Socket): void => {
    connecting.add(socket);
    socket.once("close", () => connecting.delete(socket));
  };
  return (target, callback) => {
    const host = target.hostname;
    const port = Number(target.port) || (target.protocol === "https:" ? 443 : 80);
    const url = new URL(`${target.protocol}//${host.includes(":") ? `[${host}]` : host}:${port}`);
    let proxy: URL | undefined;
    try {
      refuseEmptyBundle(options.caPem);
      proxy = chooseProxy(context, options, url);
    } catch (error) {
      callback(error as Error, null);
      return;
    }
    const connect = (options: buildConnector.Options): void => {
      try {
        track(direct()(options, callback) as unknown as Socket);
      } catch (error) {
        callback(unusable(error), null);
      }
    };
    if (proxy === undefined) {
      connect(target);
      return;
    }
    const tunnel = openTunnel({
      proxy,
      target: { host, port },
      userAgent: agentName,
      timeout: CONNECT_TIMEOUT_MILLISECONDS,
      onSocket: track,
    });
    void handOver(tunnel, (error, socket) => {
      if (socket === undefined) {
        callback(error ?? new Error("there is no tunnel"), null);
      } else if (target.protocol === "https:") {
        connect({ ...target, httpSocket: socket });
      } else {
        callback(null, socket);
      }
    });
  };
}

async function handOver(
  tunnel: Promise<Socket>,
  take: (error: Error | undefined, socket: Socket | undefined) => void,
): Promise<void> {
  let socket: Socket;
  try {
    socket = await tunnel;
  } catch (error) {
    take(error as Error, undefined);
    return;
  }
  take(undefined, socket);
}

/** The system's roots are read when the first connection needs them (clarification 33). */
function createDirectConnector(options: HttpClientOptions): () => buildConnector.connector {
  let connector: buildConnector.connector | undefined;
  return () => {
    connector ??= buildConnector({
      ...clientTlsOptions(
        options.profile === "secure" ? tlsProfiles.secureClient : tlsProfiles.defaultClient,
        { caPem: options.caPem },
      ),
      ...(options.insecureSkipTlsVerify === true ? { rejectUnauthorized: false } : {}),
      ...(options.serverName === undefined ? {} : { servername: options.serverName }),
      ...(options.clientCertificate === undefined
        ? {}
        : { cert: options.clientCertificate.certificate, key: options.clientCertificate.key }),
      allowH2: false,
      maxCachedSessions: 0,
      timeout: CONNECT_TIMEOUT_MILLISECONDS,
    });
    return connector;
  };
}

/** The proxy that a connection to `url` goes through, if any. Throws `CommandError` for a `proxyUrl` that is no address. */
export function chooseProxy(
  context: Pick<CommandContext, "environment">,
  { proxyUrl }: Pick<HttpClientOptions, "proxyUrl">,
  url: URL,
): URL | undefined {
  if (proxyUrl === undefined || proxyUrl === "") {
    return proxyFromEnvironment(url, context.environment);
  }
  const proxy = parseProxy(proxyUrl);
  if (proxy === undefined) {
    throw new CommandError(
      "cli.http.proxy",
      "the proxy-url of the kubeconfig is not the address of a proxy, such as http://proxy.example.com:3128",
    );
  }
  return proxy;
}

/** Node would take a bundle without any certificate for one that trusts nobody, or everybody's roots: say what is wrong instead. */
function refuseEmptyBundle(caPem: string | undefined): void {
  if (caPem !== undefined && caPem !== "" && !caPem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new CommandError(
      "cli.http.ca-bundle",
      "the CA bundle given for this address holds no certificate: give one in PEM form",
    );
  }
}

/** Node refuses a client certificate and key that do not belong together, or that it cannot read, before it connects. */
function unusable(error: unknown): CommandError {
  return new CommandError(
    "cli.http.credential",
    "the client certificate and its key cannot be used: log out and try again, or correct the kubeconfig",
    error,
  );
}
