import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { eventually } from "./harness/eventually.ts";

/** One series of an answer: labels, and pairs of seconds and value. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

export interface AlertState {
  readonly name: string;
  readonly state: "inactive" | "pending" | "firing";
  readonly health: string;
  readonly lastError?: string;
}

/** A real Prometheus on loopback. */
export interface Prometheus {
  /** An expression at this moment: one value per series. Throws what Prometheus says of an expression that is wrong. */
  query(expression: string): Promise<readonly Series[]>;
  /** The same over the seconds before now, one value per second. */
  queryRange(expression: string, seconds: number): Promise<readonly Series[]>;
  /** Its targets: `up`, `down`, `unknown`, with the last error. */
  targets(): Promise<readonly { readonly health: string; readonly lastError: string }[]>;
  alerts(): Promise<readonly AlertState[]>;
  stop(): Promise<void>;
}

/** Starts Prometheus with these scrape configurations and rules, evaluated once a second. */
export async function startPrometheus(options: {
  readonly scrapeConfigs: readonly object[];
  readonly ruleFiles: readonly string[];
}): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-prometheus-"));
  writeFileSync(
    join(folder, "prometheus.yml"),
    stringify({
      global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
      rule_files: options.ruleFiles,
      scrape_configs: options.scrapeConfigs,
    }),
  );
  const port = await freePort();
  const child = spawn(
    "prometheus",
    [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    { cwd: folder, env: { PATH: process.env["PATH"] ?? "" }, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString("utf8")));
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (cause) =>
      reject(new Error("Prometheus did not start: install the Debian package prometheus", { cause })),
    );
  });
  failed.catch(() => {});
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  const ask = async <T>(path: string, form?: Readonly<Record<string, string>>): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`, {
      ...(form === undefined ? {} : { method: "POST", body: new URLSearchParams(form) }),
      signal: AbortSignal.timeout(20_000),
    });
    const answer = (await response.json()) as { readonly status: string; readonly error?: string; data: T };
    if (answer.status !== "success") {
      throw new Error(`${answer.error} in ${JSON.stringify(form)}`);
    }
    return answer.data;
  };
  try {
    await Promise.race([
      failed,
      eventually("Prometheus", async () => {
        if (child.exitCode !== null) {
          throw new Error(`Prometheus exited:\n${log}`);
        }
        return (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok;
      }),
    ]);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    query: async (query) => {
      const { result } = await ask<{
        result: readonly { metric: Series["metric"]; value: readonly [number, string] }[];
      }>("query", { query });
      return result.map(({ metric, value }) => ({ metric, values: [value] }));
    },
    queryRange: async (query, seconds) => {
      const end = Math.floor(Date.now() / 1000);
      const { result } = await ask<{ result: readonly Series[] }>("query_range", {
        query,
        start: String(end - seconds),
        end: String(end),
        step: "1",
      });
      return result;
    },
    targets: async () => {
      const { activeTargets } = await ask<{
        activeTargets: readonly { readonly health: string; readonly lastError: string }[];
      }>("targets?state=active");
      return activeTargets;
    },
    alerts: async () => {
      const { groups } = await ask<{ groups: readonly { readonly rules: readonly AlertState[] }[] }>(
        "rules?type=alert",
      );
      return groups.flatMap(({ rules }) => rules);
    },
    stop,
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}
