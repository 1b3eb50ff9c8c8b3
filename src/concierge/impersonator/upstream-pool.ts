import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { createConnectionReader, createUpstreamConnection, upstreamFault } from "./upstream-connection.ts";
import type { ConnectionSink, UpstreamConnection } from "./upstream-connection.ts";
import type { UpstreamEndpoint } from "./upstream-endpoint.ts";
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from "./upstream.ts";

export interface UpstreamPool extends Upstream {
  /** Open connections. */
  readonly size: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
  /** Ends every connection at once. */
  close(): void;
}

export interface UpstreamPoolOptions {
  readonly endpoint: UpstreamEndpoint;
  readonly clock: Clock;
  /** More requests wait (R4). */
  readonly maximumConnections: number;
  /** Kept without a request. */
  readonly maximumIdle: number;
}

/** Below the 90 s after which a kube-apiserver drops an idle connection, so that we are the ones who let go (R2). */
const IDLE_MILLISECONDS = 60_000;
const SWEEP_MILLISECONDS = 15_000;
const NOTHING_TO_DO = (): void => {};

interface Job {
  readonly request: UpstreamRequest;
  readonly sink: UpstreamSink;
  connection: UpstreamConnection | undefined;
  aborted: boolean;
  /** Answered: the connection may serve somebody else by now. */
  done: boolean;
  retried: boolean;
  /** What the client sent while there was no connection; bounded by the answer of `write`. */
  early: Buffer[];
  earlyEnd: boolean;
}

/** Short calls over kept-alive HTTP/1.1 connections, the one used last first. */
export function createUpstreamPool(options: UpstreamPoolOptions): UpstreamPool {
  const { endpoint, clock, maximumConnections, maximumIdle } = options;
  const idle: UpstreamConnection[] = [];
  const open = new Set<UpstreamConnection>();
  const stale = new WeakSet<UpstreamConnection>();
  const queue: Job[] = [];
  let connecting = 0;
  let closed = false;

  endpoint.onChange(() => {
    for (const connection of open) {
      stale.add(connection);
    }
    for (const connection of idle.splice(0)) {
      connection.destroy();
    }
  });
  let cancelSweep = NOTHING_TO_DO;
  const sweep = (): void => {
    const oldest = clock.now() - IDLE_MILLISECONDS;
    for (const connection of idle.filter(({ idleSince }) => idleSince <= oldest)) {
      connection.destroy();
    }
    cancelSweep = clock.schedule(SWEEP_MILLISECONDS, sweep);
  };
  cancelSweep = clock.schedule(SWEEP_MILLISECONDS, sweep);

  const events = {
    released: (connection: UpstreamConnection): void => {
      if (closed || stale.has(connection)) {
        connection.destroy();
        return;
      }
      const next = nextWaiting();
      if (next !== undefined) {
        start(next, connection);
      } else if (idle.length >= maximumIdle) {
        connection.destroy();
      } else {
        connection.idleSince = clock.now();
        idle.push(connection);
      }
    },
    closed: (connection: UpstreamConnection): void => {
      open.delete(connection);
      const index = idle.lastIndexOf(connection);
      if (index !== -1) {
        idle.splice(index, 1);
      }
      const next = closed ? undefined : nextWaiting();
      if (next !== undefined) {
        dispatch(next);
      }
    },
  };

  function nextWaiting(): Job | undefined {
    for (;;) {
      const job = queue.shift();
      if (job === undefined || !job.aborted) {
        return job;
      }
    }
  }

  function dispatch(job: Job): void {
    // A repeated request gets a connection that nobody used before: the next old one may be just as dead.
    const connection = job.retried ? undefined : idle.pop();
    if (connection !== undefined) {
      start(job, connection);
    } else if (open.size + connecting < maximumConnections || job.retried) {
      connecting += 1;
      void establish(job);
    } else {
      queue.push(job);
    }
  }

  async function establish(job: Job): Promise<void> {
    try {
      const { generation } = endpoint;
      const reader = createConnectionReader();
      const socket = await endpoint.connect(["http/1.1"], reader.onread);
      connecting -= 1;
      const connection = createUpstreamConnection(socket, events, reader);
      open.add(connection);
      if (generation !== endpoint.generation) {
        stale.add(connection);
      }
      if (closed) {
        connection.destroy();
        job.sink.failed(upstreamFault("the proxy is shutting down"));
      } else if (job.aborted) {
        events.released(connection);
      } else {
        start(job, connection);
      }
    } catch (error) {
      connecting -= 1;
      if (!job.aborted) {
        job.sink.failed(upstreamFault(`no connection to the kube-apiserver: ${messageOf(error)}`, error));
      }
      const next = nextWaiting();
      if (next !== undefined) {
        dispatch(next);
      }
    }
  }

  function start(job: Job, connection: UpstreamConnection): void {
    const { request, sink } = job;
    job.connection = connection;
    const reused = connection.served > 0;
    const receiver: ConnectionSink = {
      informational: sink.informational,
      head: sink.head,
      data: sink.data,
      flush: sink.flush,
      end: (trailers) => {
        job.done = true;
        job.connection = undefined;
        sink.end(trailers);
      },
      drained: sink.drained,
      failed: sink.failed,
      lost: (error, untouched) => {
        job.connection = undefined;
        if (job.aborted) {
          return;
        }
        // R2: an idle connection that was being closed as we wrote. Nothing but a read may be asked twice.
        if (reused && untouched && !job.retried && isSafeToRepeat(request) && !closed) {
          job.retried = true;
          dispatch(job);
        } else {
          sink.failed(error);
        }
      },
    };
    connection.send(request, receiver);
    if (job.early.length > 0 || job.earlyEnd) {
      for (const chunk of job.early.splice(0)) {
        connection.write(chunk);
      }
      if (job.earlyEnd) {
        connection.end();
      } else {
        sink.drained();
      }
    }
  }

  return {
    get size() {
      return open.size;
    },
    get waiting() {
      return queue.length;
    },
    send: (request, sink): UpstreamCall => {
      const job: Job = {
        request,
        sink,
        connection: undefined,
        aborted: false,
        done: false,
        retried: false,
        early: [],
        earlyEnd: false,
      };
      dispatch(job);
      return {
        write: (chunk) => {
          if (job.connection !== undefined) {
            return job.connection.write(chunk);
          }
          if (job.done || job.aborted) {
            return true;
          }
          job.early.push(chunk);
          return false;
        },
        end: () => {
          if (job.connection === undefined) {
            job.earlyEnd = true;
          } else {
            job.connection.end();
          }
        },
        resume: () => job.connection?.resume(),
        abort: () => {
          job.aborted = true;
          job.connection?.destroy();
        },
      };
    },
    close: () => {
      closed = true;
      cancelSweep();
      for (const job of queue.splice(0)) {
        job.sink.failed(upstreamFault("the proxy is shutting down"));
      }
      for (const connection of open) {
        connection.destroy();
      }
    },
  };
}

function isSafeToRepeat({ method, body }: UpstreamRequest): boolean {
  return (method === "GET" || method === "HEAD") && body === "none";
}
