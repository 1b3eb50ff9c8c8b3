import { spawn } from "node:child_process";
import { goQuote } from "../../go-text.ts";
import type { CommandContext } from "../context.ts";
import { fileErrorCode } from "./file-error.ts";
import { isRecord, listIn, recordIn, textIn, type UnknownRecord } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

/** What a credential plugin answered; empty texts are absent. */
export interface PluginCredential {
  readonly token: string;
  readonly certificate: string;
  readonly key: string;
}

const VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
const MAXIMUM_ANSWER_BYTES = 4 * 1024 * 1024;

/**
 * Runs the credential plugin of a kubeconfig's user, as client-go does (`k8s.io/client-go/plugin/pkg/client/auth/exec`). Its
 * prompts and errors go straight to the user.
 *
 * @throws CommandError `cli.exec-plugin`
 */
export async function runExecPlugin(
  context: CommandContext,
  options: {
    readonly exec: UnknownRecord;
    readonly cluster: UnknownRecord;
    /** Ends the plugin. */
    readonly signal: AbortSignal;
  },
): Promise<PluginCredential> {
  const { exec, cluster, signal } = options;
  const apiVersion = textIn(exec, "apiVersion");
  const command = textIn(exec, "command");
  if (!VERSIONS.includes(apiVersion)) {
    throw refused(`exec plugin: invalid apiVersion ${goQuote(apiVersion)}`);
  }
  const mode = textIn(exec, "interactiveMode") || "IfAvailable";
  if (mode === "Always" && !context.stdinIsTerminal) {
    throw refused(`exec plugin cannot support interactive mode: standard input is not a terminal`);
  }
  const interactive = mode !== "Never" && context.stdinIsTerminal;
  const info = {
    kind: "ExecCredential",
    apiVersion,
    spec: {
      ...(exec["provideClusterInfo"] === true ? { cluster: clusterInfo(cluster) } : {}),
      interactive,
    },
  };
  const variables = listIn(exec, "env").map((item) => [textIn(item, "name"), textIn(item, "value")]);
  const args = listIn(exec, "args").filter((arg): arg is string => typeof arg === "string");
  const answer = await output({
    command,
    args,
    environment: {
      ...context.environment,
      ...Object.fromEntries(variables),
      KUBERNETES_EXEC_INFO: JSON.stringify(info),
    },
    interactive,
    installHint: textIn(exec, "installHint"),
    signal,
  });
  return credentialIn(answer, apiVersion);
}

function clusterInfo(cluster: UnknownRecord): UnknownRecord {
  const copied = ["server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data"];
  const present = [...copied, "proxy-url", "disable-compression"].filter((key) => Boolean(cluster[key]));
  const extension = listIn(cluster, "extensions").find(
    (item) => textIn(item, "name") === "client.authentication.k8s.io/exec",
  );
  return {
    ...Object.fromEntries(present.map((key) => [key, cluster[key]])),
    config: recordIn(extension)["extension"] ?? null,
  };
}

function output(plugin: {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly interactive: boolean;
  readonly installHint: string;
  readonly signal: AbortSignal;
}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(plugin.command, plugin.args, {
      env: plugin.environment,
      stdio: [plugin.interactive ? "inherit" : "ignore", "pipe", "inherit"],
      signal: plugin.signal,
      windowsHide: true,
    });
    const chunks: Buffer[] = [];
    let size = 0;
    child.stdout?.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAXIMUM_ANSWER_BYTES) {
        child.kill();
      } else {
        chunks.push(chunk);
      }
    });
    child.once("error", (error) => {
      const hint = plugin.installHint === "" ? "" : `: ${plugin.installHint}`;
      reject(
        fileErrorCode(error) === "ENOENT"
          ? refused(`exec: executable ${plugin.command} not found${hint}`, error)
          : refused(`exec: ${error.message}`, error),
      );
    });
    child.once("close", (code, signal) => {
      if (code === 0 && size <= MAXIMUM_ANSWER_BYTES) {
        resolve(Buffer.concat(chunks).toString("utf8"));
      } else {
        const how = code === null ? `was ended by ${signal}` : `failed with exit code ${code}`;
        reject(refused(`exec: executable ${plugin.command} ${how}`));
      }
    });
  });
}

function credentialIn(answer: string, apiVersion: string): PluginCredential {
  let object: unknown;
  try {
    object = JSON.parse(answer);
  } catch (error) {
    // The parser's message would quote the answer, which may be a token.
    throw refused(
      "decoding stdout: the exec plugin did not print JSON",
      error instanceof Error ? undefined : error,
    );
  }
  if (textIn(object, "apiVersion") !== apiVersion) {
    throw refused(
      `exec plugin is configured to use API version ${apiVersion}, plugin returned version ${textIn(object, "apiVersion")}`,
    );
  }
  const status = recordIn(object)["status"];
  if (!isRecord(status)) {
    throw refused("exec plugin didn't return a status field");
  }
  const credential = {
    token: textIn(status, "token"),
    certificate: textIn(status, "clientCertificateData"),
    key: textIn(status, "clientKeyData"),
  };
  if (credential.token === "" && credential.certificate === "" && credential.key === "") {
    throw refused("exec plugin didn't return a token or cert/key pair");
  }
  if ((credential.certificate === "") !== (credential.key === "")) {
    throw refused("exec plugin returned only certificate or key, not both");
  }
  return credential;
}

function refused(why: string, cause?: unknown): Error {
  return failure("cli.exec-plugin", `getting credentials: ${why}`, cause);
}
