import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { dirname, join, resolve } from "node:path";

import { parse } from "yaml";

import { LanyardError, messageOf } from "../errors.ts";
import type { TextOrFile } from "./text-source.ts";

/** Where an API server is, whom it must prove to be, and how we prove who we are. */
export interface KubernetesEndpoint {
  /** `https://host[:port][/prefix]`. */
  readonly serverUrl: string;
  /** PEM; the system's roots when absent. */
  readonly certificateAuthority?: TextOrFile;
  /** The name the server's certificate must hold, when it is not the URL's. */
  readonly tlsServerName?: string;
  /** A bearer token, sent with each call. */
  readonly token?: TextOrFile;
  /** PEM, for mutual TLS. */
  readonly clientCertificate?: { readonly certificate: TextOrFile; readonly key: TextOrFile };
  /** The namespace of the Pod, or of the kubeconfig's context. */
  readonly namespace?: string;
}

export interface InClusterOptions {
  /** `KUBERNETES_SERVICE_HOST`. */
  readonly host: string | undefined;
  /** `KUBERNETES_SERVICE_PORT`. */
  readonly port: string | undefined;
  /** Holds `token`, `ca.crt` and `namespace`; defaults to where the kubelet mounts it. */
  readonly mountFolder?: string;
}

const defaultMountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

function invalid(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "kubernetes.configuration.invalid", message, cause });
}

/**
 * The API server of the cluster that this Pod runs in.
 *
 * @throws LanyardError `kubernetes.configuration.invalid`
 */
export async function inClusterEndpoint(options: InClusterOptions): Promise<KubernetesEndpoint> {
  const { host, port, mountFolder = defaultMountFolder } = options;
  if (host === undefined || host === "" || port === undefined || !/^\d{1,5}$/.test(port)) {
    throw invalid(
      "not inside a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be set; give a kubeconfig file outside of one",
    );
  }
  const namespace = await readMounted(mountFolder, "namespace");
  // Read once here, so that a Pod without its mount fails at start and not at its first call.
  await readMounted(mountFolder, "token");
  await readMounted(mountFolder, "ca.crt");
  return {
    serverUrl: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    certificateAuthority: { file: join(mountFolder, "ca.crt") },
    token: { file: join(mountFolder, "token") },
    namespace: namespace.trim(),
  };
}

async function readMounted(folder: string, name: string): Promise<string> {
  try {
    return await readFile(join(folder, name), "utf8");
  } catch (error) {
    throw invalid(
      `cannot read ${join(folder, name)}: ${messageOf(error)}; the Pod needs automountServiceAccountToken: true`,
      error,
    );
  }
}

export interface KubeconfigOptions {
  readonly path: string;
  /** Defaults to `current-context`. */
  readonly context?: string | undefined;
}

/**
 * The API server and user of one context of a kubeconfig file. What a server must not do (run programs, skip
 * verification, ask for passwords) is refused.
 *
 * @throws LanyardError `kubernetes.configuration.invalid`
 */
export async function kubeconfigEndpoint(options: KubeconfigOptions): Promise<KubernetesEndpoint> {
  const { path } = options;
  let document: unknown;
  try {
    // Pretty errors would quote the line, which may hold a token.
    document = parse(await readFile(path, "utf8"), {
      maxAliasCount: 0,
      prettyErrors: false,
      logLevel: "error",
    });
  } catch (error) {
    throw invalid(`cannot read kubeconfig ${path}: ${messageOf(error)}`, error);
  }
  const config = mapping(document);
  const contextName = options.context ?? text(config, "current-context");
  if (contextName === undefined) {
    throw invalid(`kubeconfig ${path}: no current-context; name one`);
  }
  const named = (list: string, kind: string, name: string | undefined): Readonly<Record<string, unknown>> => {
    const entries = Array.isArray(config[list]) ? config[list].map(mapping) : [];
    const entry = entries.find((candidate) => candidate["name"] === name);
    if (name === undefined || entry === undefined) {
      throw invalid(`kubeconfig ${path}: no ${kind} named "${name ?? ""}"`);
    }
    return mapping(entry[kind]);
  };
  const context = named("contexts", "context", contextName);
  const cluster = named("clusters", "cluster", text(context, "cluster"));
  const userName = text(context, "user");
  const user = userName === undefined ? {} : named("users", "user", userName);

  for (const [where, key, why] of [
    [user, "exec", "a server runs no credential plugins; use a token, a token file or a client certificate"],
    [user, "auth-provider", "auth providers are gone from Kubernetes; use a token or a client certificate"],
    [user, "username", "basic authentication is gone from Kubernetes; use a token or a client certificate"],
    [user, "as", "impersonation is not supported here; use the identity's own credential"],
    [cluster, "insecure-skip-tls-verify", "the server must prove who it is; set certificate-authority-data"],
    [cluster, "proxy-url", "proxies are not supported; give the server's own address"],
  ] as const) {
    if (where[key] !== undefined && where[key] !== null && where[key] !== false && where[key] !== "") {
      throw invalid(`kubeconfig ${path}: context "${contextName}" uses ${key}: ${why}`);
    }
  }

  const textOrFile = (where: Readonly<Record<string, unknown>>, key: string): TextOrFile | undefined => {
    const data = text(where, `${key}-data`);
    const file = text(where, key);
    if (data !== undefined) {
      return { text: Buffer.from(data, "base64").toString("utf8") };
    }
    return file === undefined ? undefined : { file: resolve(dirname(path), file) };
  };
  const serverUrl = checkedServerUrl(path, text(cluster, "server"));
  const certificateAuthority = textOrFile(cluster, "certificate-authority");
  const tlsServerName = text(cluster, "tls-server-name");
  const tokenFile = text(user, "tokenFile");
  const tokenText = text(user, "token");
  const certificate = textOrFile(user, "client-certificate");
  const key = textOrFile(user, "client-key");
  if ((certificate === undefined) !== (key === undefined)) {
    throw invalid(`kubeconfig ${path}: user "${userName ?? ""}" needs both a client certificate and its key`);
  }
  const namespace = text(context, "namespace");
  return {
    serverUrl,
    ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    // As in client-go, the file wins: it is the one that is kept fresh.
    ...(tokenFile !== undefined
      ? { token: { file: resolve(dirname(path), tokenFile) } }
      : tokenText !== undefined
        ? { token: { text: tokenText } }
        : {}),
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
    ...(namespace === undefined ? {} : { namespace }),
  };
}

function checkedServerUrl(path: string, server: string | undefined): string {
  const url = server === undefined || !URL.canParse(server) ? undefined : new URL(server);
  if (
    url === undefined ||
    url.protocol !== "https:" ||
    url.username !== "" ||
    url.password !== "" ||
    url.search !== "" ||
    url.hash !== ""
  ) {
    throw invalid(`kubeconfig ${path}: server must be an https:// URL without user, query and fragment`);
  }
  return url.href.replace(/\/+$/, "");
}

function mapping(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}

function text(where: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = where[key];
  return typeof value === "string" && value !== "" ? value : undefined;
}
