import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { clientTlsOptions, tlsProfiles } from "../../tls/profiles.ts";
import { goNetworkErrorText } from "../../tls/go-errors.ts";
import { CommandError } from "../command-error.ts";
import { proxyError, readUntil, type TunnelTarget } from "./proxy-socket.ts";
import { openSocksTunnel } from "./socks.ts";

/**
 * A connection to `target` through a proxy: CONNECT over `http://` or `https://` (RFC 9110 section 9.3.6), or SOCKS 5. `onSocket`
 * receives the socket as soon as it is there, so that the caller can end it while it is still connecting.
 *
 * @throws CommandError `cli.http.proxy`, with the proxy's address but never its password
 */
export async function openTunnel(options: {
  readonly proxy: URL;
  readonly target: TunnelTarget;
  readonly userAgent: string;
  readonly timeout: number;
  readonly onSocket: (socket: Socket) => void;
}): Promise<Socket> {
  const { proxy, target, timeout, onSocket } = options;
  const scheme = proxy.protocol.replace(/:$/, "");
  if (!["http", "https", "socks5", "socks5h"].includes(scheme)) {
    throw proxyError(proxy, `proxies of kind "${scheme}" are not supported; use http, https or socks5`);
  }
  const host = proxy.hostname.replaceAll(/^\[|\]$/g, "");
  const port = Number(proxy.port) || { http: 80, https: 443, socks5: 1080, socks5h: 1080 }[scheme] || 80;
  const socket =
    scheme === "https"
      ? connectTls({
          host,
          port,
          servername: /^[\d.]+$|:/.test(host) ? "" : host,
          ALPNProtocols: ["http/1.1"],
          ...clientTlsOptions(tlsProfiles.defaultClient),
        })
      : connectTcp({ host, port });
  onSocket(socket);
  socket.setNoDelay(true);
  socket.setTimeout(timeout, () => {
    socket.destroy(
      Object.assign(new Error("the proxy does not answer"), { code: "UND_ERR_CONNECT_TIMEOUT" }),
    );
  });
  try {
    await connected(socket, scheme === "https" ? "secureConnect" : "connect");
    if (scheme.startsWith("socks5")) {
      await openSocksTunnel(socket, proxy, target);
    } else {
      await requestTunnel(socket, proxy, target, options.userAgent);
    }
  } catch (error) {
    socket.destroy();
    if (error instanceof CommandError) {
      throw error;
    }
    throw proxyError(proxy, goNetworkErrorText(error, { host, port }), error);
  }
  socket.setTimeout(0);
  return socket;
}

function connected(socket: Socket, event: "connect" | "secureConnect"): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once(event, () => {
      socket.removeListener("error", reject);
      resolve();
    });
  });
}

async function requestTunnel(
  socket: Socket,
  proxy: URL,
  target: TunnelTarget,
  userAgent: string,
): Promise<void> {
  const authority = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
  const user = decodeURIComponent(proxy.username);
  const credentials =
    user === "" && proxy.password === ""
      ? ""
      : `Proxy-Authorization: Basic ${Buffer.from(`${user}:${decodeURIComponent(proxy.password)}`).toString("base64")}\r\n`;
  socket.write(
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: ${userAgent}\r\n${credentials}\r\n`,
  );
  const head = await readUntil(socket, (bytes) => {
    const end = bytes.indexOf("\r\n\r\n");
    return end < 0 ? undefined : end + 4;
  });
  const status = /^HTTP\/1\.[01] (?<code>\d{3}) ?(?<text>[^\r\n]*)/.exec(head.toString("latin1"))?.groups;
  if (status === undefined) {
    throw proxyError(proxy, "it does not speak HTTP");
  }
  const code = status["code"] ?? "";
  if (code !== "200") {
    const remedy = code === "407" ? " (put a username and password for it into the proxy's address)" : "";
    throw proxyError(proxy, `${code} ${status["text"] ?? ""}`.trim() + remedy);
  }
}
