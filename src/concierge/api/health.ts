import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { goQuote } from "../request/go-quote.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import { contextOf } from "./request-context.ts";
import { sendText } from "./responses.ts";

export interface HealthOptions {
  readonly healthz: readonly ReadinessCheck[];
  readonly livez: readonly ReadinessCheck[];
  readonly readyz: readonly ReadinessCheck[];
  readonly log: Logger;
}

/** The checks that every server has. */
export const pingCheck: ReadinessCheck = { name: "ping", problem: () => undefined };
/** The log is written synchronously here: a server that can answer can log. */
export const logCheck: ReadinessCheck = { name: "log", problem: () => undefined };

/** `/healthz`, `/livez`, `/readyz` and one path below them per check; answers the paths with their methods. */
export function installHealth(
  server: FastifyInstance,
  options: HealthOptions,
): ReadonlyMap<string, readonly string[]> {
  const paths: string[] = [];
  for (const endpoint of ["healthz", "livez", "readyz"] as const) {
    const checks = options[endpoint];
    paths.push(`/${endpoint}`);
    server.get(`/${endpoint}`, async (request, reply) =>
      report(endpoint, checks, options.log, request, reply),
    );
    for (const { name, problem } of checks) {
      paths.push(`/${endpoint}/${name}`);
      server.get(`/${endpoint}/${name}`, async (_request, reply) => {
        const reason = problem();
        return reason === undefined
          ? sendOk(reply, "ok")
          : sendText(reply, 500, `internal server error: ${reason}`);
      });
    }
  }
  return new Map(paths.map((path) => [path, ["GET"]]));
}

function report(
  endpoint: string,
  checks: readonly ReadinessCheck[],
  log: Logger,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { text, failures } = healthReport(endpoint, checks, contextOf(request).target.query);
  if (failures !== undefined) {
    log.info("health check failed", { endpoint, failures });
    return sendText(reply, 500, text);
  }
  return sendOk(reply, text);
}

/** Text of the generic API server's health handler; failures are always spelled out, their reasons never. */
export function healthReport(
  endpoint: string,
  checks: readonly ReadinessCheck[],
  query: URLSearchParams,
): { readonly text: string; readonly failures: Readonly<Record<string, string>> | undefined } {
  const excluded = new Set(query.getAll("exclude"));
  const unknown = new Set(excluded);
  const failures: Record<string, string> = {};
  let lines = "";
  for (const { name, problem } of checks) {
    if (excluded.has(name)) {
      unknown.delete(name);
      lines += `[+]${name} excluded: ok\n`;
      continue;
    }
    const reason = problem();
    if (reason === undefined) {
      lines += `[+]${name} ok\n`;
    } else {
      failures[name] = reason;
      lines += `[-]${name} failed: reason withheld\n`;
    }
  }
  if (unknown.size > 0) {
    const names = [...unknown].toSorted().map(goQuote).join(", ");
    lines += `warn: some health checks cannot be excluded: no matches for ${names}\n`;
  }
  if (Object.keys(failures).length > 0) {
    return { text: `${lines}${endpoint} check failed`, failures };
  }
  return { text: query.has("verbose") ? `${lines}${endpoint} check passed\n` : "ok", failures: undefined };
}

function sendOk(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .code(200)
    .header("Content-Type", "text/plain; charset=utf-8")
    .header("X-Content-Type-Options", "nosniff")
    .send(Buffer.from(text));
}
