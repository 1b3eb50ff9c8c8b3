import { X509Certificate } from "node:crypto";
import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { messageOf } from "../../errors.ts";
import { goNetworkErrorText } from "../../tls/go-errors.ts";
import { clientTlsOptions, tlsProfiles } from "../../tls/profiles.ts";
import type { CommandContext } from "../context.ts";
import { chooseProxy } from "../http/connector.ts";
import type { HttpClientOptions } from "../http/http-client.ts";
import { remedyFor } from "../http/network-error.ts";
import { openTunnel } from "../http/tunnel.ts";
import { userAgent } from "../http/user-agent.ts";
import type { Findings } from "./finding.ts";

const TIMEOUT_MILLISECONDS = 10_000;
const DAY_MILLISECONDS = 86_400_000;

export interface ServerToCheck {
  /** How its findings are called, such as `issuer`. */
  readonly where: string;
  readonly url: URL;
  readonly options: Pick<
    HttpClientOptions,
    "profile" | "caPem" | "serverName" | "proxyUrl" | "insecureSkipTlsVerify"
  >;
}

/**
 * Looks at the way to a server step by step: proxy, DNS, TCP, TLS version, certificate. Sends no request. Answers whether calls to it
 * can succeed.
 */
export async function checkServer(
  context: CommandContext,
  findings: Findings,
  server: ServerToCheck,
): Promise<boolean> {
  const host = server.url.hostname.replaceAll(/^\[|\]$/g, "");
  const port = Number(server.url.port) || (server.url.protocol === "https:" ? 443 : 80);
  const socket = await openSocket(context, findings, server, { host, port });
  if (socket === undefined) {
    return false;
  }
  try {
    if (server.url.protocol !== "https:") {
      findings.warn(
        `${server.where} tls`,
        `${server.url.origin} is not https`,
        "everybody on the way can read along",
      );
      return true;
    }
    return await checkTls(context, findings, server, socket, { host, port });
  } finally {
    socket.destroy();
  }
}

interface Target {
  readonly host: string;
  readonly port: number;
}

async function openSocket(
  context: CommandContext,
  findings: Findings,
  server: ServerToCheck,
  target: Target,
): Promise<Socket | undefined> {
  const { where, url, options } = server;
  try {
    const proxy = chooseProxy(context, options, url);
    if (proxy !== undefined) {
      const socket = await openTunnel({
        proxy,
        target,
        userAgent: userAgent(context),
        timeout: TIMEOUT_MILLISECONDS,
        onSocket: () => {},
      });
      findings.ok(`${where} proxy`, `${url.host} is reached through ${proxy.protocol}//${proxy.host}`);
      return socket;
    }
  } catch (error) {
    const remedy = "correct HTTPS_PROXY or the kubeconfig's proxy-url, or name the host in NO_PROXY";
    findings.fail(`${where} proxy`, messageOf(error), remedy);
    return undefined;
  }
  if (isIP(target.host) === 0) {
    try {
      const addresses = await lookup(target.host, { all: true });
      findings.ok(`${where} dns`, `${target.host} is ${addresses.map(({ address }) => address).join(", ")}`);
    } catch (error) {
      findings.fail(
        `${where} dns`,
        goNetworkErrorText(error, target),
        "check the address, this machine's DNS settings and the VPN",
      );
      return undefined;
    }
  }
  return connectDirectly(context, findings, server, target);
}

async function connectDirectly(
  context: CommandContext,
  findings: Findings,
  { where, options }: ServerToCheck,
  target: Target,
): Promise<Socket | undefined> {
  const socket = connectTcp({ ...target, timeout: TIMEOUT_MILLISECONDS });
  const started = context.clock.now();
  try {
    await arrival(socket, "connect");
    findings.ok(`${where} tcp`, `port ${target.port} answers after ${context.clock.now() - started} ms`);
    return socket;
  } catch (error) {
    socket.destroy();
    const text = goNetworkErrorText(error, target);
    const remedy = remedyFor(text, { ...options, timeout: TIMEOUT_MILLISECONDS });
    findings.fail(`${where} tcp`, text, remedy ?? "check the address, the network and VPN");
    return undefined;
  }
}

async function checkTls(
  context: CommandContext,
  findings: Findings,
  { where, options }: ServerToCheck,
  socket: Socket,
  target: Target,
): Promise<boolean> {
  const check = `${where} tls`;
  const remedyOf = (text: string): string =>
    remedyFor(text, { ...options, timeout: TIMEOUT_MILLISECONDS }) ?? "ask who runs the server";
  const profile = options.profile === "secure" ? tlsProfiles.secureClient : tlsProfiles.defaultClient;
  const servername = options.serverName ?? (isIP(target.host) === 0 ? target.host : undefined);
  let tls: TLSSocket;
  try {
    tls = connectTls({
      socket,
      ...clientTlsOptions(profile, { caPem: options.caPem }),
      // The verdict is read from `authorized`, so that what was shown can be told; no request goes over this connection.
      rejectUnauthorized: false,
      ...(servername === undefined ? { host: target.host } : { servername }),
      ALPNProtocols: ["http/1.1"],
      timeout: TIMEOUT_MILLISECONDS,
    });
    await arrival(tls, "secureConnect");
  } catch (error) {
    const text = goNetworkErrorText(error, target);
    findings.fail(check, text, remedyOf(text));
    return false;
  }
  try {
    findings.ok(check, `${tls.getProtocol() ?? "an unknown version"}, ${tls.getCipher().standardName}`);
    return judgeCertificate(context, findings, {
      where,
      options,
      tls,
      host: servername ?? target.host,
      port: target.port,
      remedyOf,
    });
  } finally {
    tls.destroy();
  }
}

function judgeCertificate(
  context: CommandContext,
  findings: Findings,
  shown: Pick<ServerToCheck, "where" | "options"> & {
    readonly tls: TLSSocket;
    readonly host: string;
    readonly port: number;
    readonly remedyOf: (text: string) => string;
  },
): boolean {
  const { where, options, tls, host, port } = shown;
  const check = `${where} certificate`;
  const certificate = tls.getPeerX509Certificate();
  if (certificate === undefined) {
    findings.fail(check, "the server shows no certificate", "ask who runs the server");
    return false;
  }
  const issuer = commonNameOf(certificate.issuer);
  const until = `until ${certificate.validToDate.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const now = context.clock.now();
  if (!tls.authorized) {
    const code = String(tls.authorizationError);
    // Node answers a name that does not fit with its sentence, the rest with codes.
    const error = /altnames|does not match/i.test(code)
      ? { code: "ERR_TLS_CERT_ALTNAME_INVALID", host, cert: { raw: certificate.raw } }
      : { code, message: code };
    const text = goNetworkErrorText(error, { host, port, peerCertificate: certificate, now });
    const message = `${text} (it was issued by ${issuer}, ${until})`;
    if (options.insecureSkipTlsVerify === true) {
      findings.warn(
        check,
        message,
        "the kubeconfig says insecure-skip-tls-verify: remove that and give the right CA",
      );
      return true;
    }
    findings.fail(check, message, shown.remedyOf(text));
    return false;
  }
  const roots =
    options.caPem === undefined || options.caPem === "" ? "the system's roots" : "the given CA bundle";
  const message = `issued by ${issuer}, ${until}, trusted by ${roots}`;
  if (certificate.validToDate.getTime() - now < DAY_MILLISECONDS) {
    findings.warn(check, message, "it ends within a day: tell who runs the server");
  } else {
    findings.ok(check, message);
  }
  return true;
}

function commonNameOf(name: X509Certificate["issuer"]): string {
  return /^CN=(?<name>.*)$/m.exec(name)?.groups?.["name"] ?? name.replaceAll("\n", ", ");
}

function arrival(socket: Socket, event: "connect" | "secureConnect"): Promise<void> {
  return new Promise((resolve, reject) => {
    const timedOut = (): void => {
      const error = Object.assign(new Error("no answer in time"), { code: "UND_ERR_CONNECT_TIMEOUT" });
      reject(error);
      socket.destroy(error);
    };
    socket.once("timeout", timedOut);
    socket.once("error", reject);
    socket.once("close", () => reject(Object.assign(new Error("EOF"), { code: "UND_ERR_SOCKET" })));
    socket.once(event, () => {
      socket.removeListener("timeout", timedOut);
      socket.setTimeout(0);
      resolve();
    });
  });
}
