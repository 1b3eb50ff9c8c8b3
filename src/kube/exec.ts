import type { Clock } from "../clock.ts";
import { LanyardError, messageOf } from "../errors.ts";
import type { Status } from "./api-error.ts";
import type { KubernetesEndpoint } from "./configuration.ts";
import { protocolError } from "./exec-spdy.ts";
import { readExecStreams } from "./exec-session.ts";
import { createUpgrader } from "./exec-upgrade.ts";
import { resourcePath } from "./resource-path.ts";
import { pods } from "./resources.ts";

/** A command in a container of a Pod. */
export interface ExecRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
  /** Ends the call; the command itself may go on. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a command and answers its standard output, whole. Errors: `KubernetesApiError` when the API server refuses;
 * `kubernetes.exec.failed` when the command does (`exitCode` is there when it ran); `kubernetes.exec.refused`,
 * `.protocol`, `.too-large` and `.cut`; `kubernetes.unreachable` and `kubernetes.aborted` as for other calls. No message
 * quotes what the command wrote.
 */
export type PodExec = (request: ExecRequest) => Promise<Buffer>;

/** The command ended, or could not be started. */
export class ExecFailedError extends LanyardError {
  readonly exitCode: number | undefined;

  constructor(message: string, exitCode?: number) {
    super({ code: "kubernetes.exec.failed", message });
    this.name = "ExecFailedError";
    this.exitCode = exitCode;
  }
}

export interface PodExecOptions {
  readonly endpoint: KubernetesEndpoint;
  readonly clock: Clock;
  readonly userAgent: string;
  /** For the whole call, milliseconds; default 30,000. */
  readonly timeoutMilliseconds?: number;
  /** Of standard output; default 1 MiB. */
  readonly maximumOutputBytes?: number;
}

/** `k8s.io/apimachinery/pkg/util/remotecommand`: from v4 on the error stream carries a Status. */
const PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/**
 * `pods/exec` over SPDY/3.1 (clarification 11: a POST needs the verb create alone). Standard output only: without a
 * stream for it, the container's standard error is dropped by the kubelet.
 */
export function createPodExec(options: PodExecOptions): PodExec {
  const { clock, timeoutMilliseconds = 30_000, maximumOutputBytes = 1024 * 1024 } = options;
  const upgrader = createUpgrader(options);

  const run = async (request: ExecRequest, signal: AbortSignal): Promise<Buffer> => {
    const query = new URLSearchParams();
    for (const word of request.command) {
      query.append("command", word);
    }
    query.set("container", request.container);
    query.set("stdout", "true");
    const where = { namespace: request.namespace, name: request.pod, subresource: "exec" };
    const { socket, head, headers } = await upgrader.upgrade({
      path: `${resourcePath(pods, "", where)}?${query.toString()}`,
      headers: {
        connection: "Upgrade",
        upgrade: "SPDY/3.1",
        "x-stream-protocol-version": PROTOCOLS,
      },
      signal,
    });
    const protocol = headers["x-stream-protocol-version"];
    if (headers.upgrade?.toLowerCase() !== "spdy/3.1" || !PROTOCOLS.includes(String(protocol))) {
      socket.destroy();
      throw protocolError("the server chose a protocol that was not offered");
    }
    const streams = await readExecStreams(socket, head, { maximumOutputBytes, signal });
    checkStatus(streams.error);
    return streams.stdout;
  };

  return async (request) => {
    const controller = new AbortController();
    let cause: "aborted" | "timeout" | undefined;
    const abort = (why: "aborted" | "timeout"): void => {
      cause ??= why;
      controller.abort();
    };
    const onAbort = (): void => abort("aborted");
    request.signal?.addEventListener("abort", onAbort, { once: true });
    const stopTimer = clock.schedule(timeoutMilliseconds, () => abort("timeout"));
    if (request.signal?.aborted === true) {
      abort("aborted");
    }
    try {
      return await run(request, controller.signal);
    } catch (error) {
      if (cause === "aborted") {
        throw new LanyardError({
          code: "kubernetes.aborted",
          message: "the call was ended by its caller",
          cause: error,
        });
      }
      if (cause === undefined && error instanceof LanyardError) {
        throw error;
      }
      upgrader.expireMaterial();
      throw new LanyardError({
        code: "kubernetes.unreachable",
        message:
          cause === "timeout"
            ? `no answer from the API server at ${upgrader.host} within ${timeoutMilliseconds} ms`
            : `cannot reach the API server at ${upgrader.host}: ${messageOf(error)}`,
        cause: error,
      });
    } finally {
      stopTimer();
      request.signal?.removeEventListener("abort", onAbort);
    }
  };
}

/** How the command ended, by the Status on the error stream (`remotecommand.NonZeroExitCodeReason`). */
function checkStatus(bytes: Buffer): void {
  let status: Partial<Status> | undefined;
  try {
    status = JSON.parse(bytes.toString("utf8")) as Partial<Status>;
  } catch {
    // An empty one too: without a Status nobody knows whether the output is whole.
  }
  if (status?.status === "Success") {
    return;
  }
  if (status?.status !== "Failure") {
    throw protocolError("the error stream holds no Status");
  }
  if (status.reason === "NonZeroExitCode") {
    const code = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
    if (code !== undefined && /^\d{1,3}$/.test(code)) {
      throw new ExecFailedError(`command terminated with exit code ${code}`, Number(code));
    }
  }
  throw new ExecFailedError(status.message ?? "the command failed");
}
