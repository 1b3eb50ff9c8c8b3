import { isIP, type Socket } from "node:net";
import { proxyError, readUntil, type TunnelTarget } from "./proxy-socket.ts";

const REPLIES: Readonly<Record<number, string>> = {
  1: "general failure",
  2: "connection not allowed by its rules",
  3: "network unreachable",
  4: "host unreachable",
  5: "connection refused",
  6: "TTL expired",
  7: "command not supported",
  8: "address type not supported",
};

const NO_AUTHENTICATION = 0;
const USERNAME_PASSWORD = 2;

/** SOCKS 5 CONNECT on an open socket (RFC 1928, RFC 1929); names are resolved by the proxy. */
export async function openSocksTunnel(socket: Socket, proxy: URL, target: TunnelTarget): Promise<void> {
  const user = Buffer.from(decodeURIComponent(proxy.username));
  const password = Buffer.from(decodeURIComponent(proxy.password));
  const withPassword = user.length > 0;
  socket.write(
    Buffer.from(withPassword ? [5, 2, NO_AUTHENTICATION, USERNAME_PASSWORD] : [5, 1, NO_AUTHENTICATION]),
  );
  const [version, method] = await readUntil(socket, (bytes) => (bytes.length >= 2 ? 2 : undefined));
  if (version !== 5) {
    throw proxyError(proxy, "it does not speak SOCKS 5");
  }
  if (method === USERNAME_PASSWORD && withPassword) {
    socket.write(
      Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([password.length]), password]),
    );
    const [, refused] = await readUntil(socket, (bytes) => (bytes.length >= 2 ? 2 : undefined));
    if (refused !== 0) {
      throw proxyError(proxy, "it refused the username or password in its address");
    }
  } else if (method !== NO_AUTHENTICATION) {
    throw proxyError(proxy, "it asks for a username and password; put them into its address");
  }
  socket.write(Buffer.concat([Buffer.from([5, 1, 0]), addressOf(target.host), portOf(target.port)]));
  const reply = await readUntil(socket, lengthOfReply);
  const code = reply[1] ?? 1;
  if (code !== 0) {
    throw proxyError(proxy, `${REPLIES[code] ?? `error ${code}`} for ${target.host}:${target.port}`);
  }
}

function addressOf(host: string): Buffer {
  if (isIP(host) === 4) {
    return Buffer.from([1, ...host.split(".").map(Number)]);
  }
  const name = Buffer.from(host, "utf8");
  // An IPv6 address goes as a name, too: proxies parse it, and a second encoder is spared.
  return Buffer.concat([Buffer.from([3, name.length]), name]);
}

function portOf(port: number): Buffer {
  return Buffer.from([port >> 8, port & 0xff]);
}

function lengthOfReply(bytes: Buffer): number | undefined {
  const kind = bytes[3];
  const address =
    kind === 1 ? 4 : kind === 4 ? 16 : kind === 3 && bytes[4] !== undefined ? bytes[4] + 1 : undefined;
  const length = address === undefined ? undefined : 4 + address + 2;
  return length !== undefined && bytes.length >= length ? length : undefined;
}
