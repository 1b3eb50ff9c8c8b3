// npm test: runs every tier that this machine can, names those it cannot and why, and exits 0 only if all that ran are green.
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { missingForTier, type Tier } from "./tiers.ts";

const root = join(import.meta.dirname, "..");

interface TierRun {
  readonly tier: Tier;
  readonly patterns: readonly string[];
  /** Files at once; tiers that start clusters run one file at a time on a small machine. */
  readonly concurrency: number;
  /** Seconds a single test may take. */
  readonly timeoutSeconds: number;
}

const tiers: readonly TierRun[] = [
  {
    tier: "unit",
    patterns: ["src/**/*.test.ts", "hack/**/*.test.ts", "test/*.test.ts"],
    concurrency: 2,
    timeoutSeconds: 120,
  },
  { tier: "security", patterns: ["test/security/**/*.test.ts"], concurrency: 2, timeoutSeconds: 120 },
  {
    tier: "integration",
    patterns: ["test/cel/**/*.test.ts", "test/integration/**/*.test.ts"],
    concurrency: 1,
    timeoutSeconds: 300,
  },
  { tier: "cluster", patterns: ["test/cluster/*.test.ts"], concurrency: 1, timeoutSeconds: 600 },
  // Beside anything else its load would be the machine's limit, and not the product's.
  {
    tier: "cluster-alone",
    patterns: ["test/cluster/alone/*.test.ts"],
    concurrency: 1,
    timeoutSeconds: 600,
  },
  { tier: "long", patterns: ["test/long/**/*.test.ts"], concurrency: 1, timeoutSeconds: 3600 },
];
const byDefault = new Set<Tier>(["unit", "security", "integration", "cluster", "cluster-alone"]);

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !tiers.some(({ tier }) => tier === name));
if (unknown.length > 0) {
  console.error(
    `test: there is no tier "${unknown.join('", "')}"; choose from ${tiers.map(({ tier }) => tier).join(", ")}`,
  );
  process.exit(2);
}

let failed = false;
const report: string[] = [];
const wanted = tiers.filter(({ tier }) => (asked.length === 0 ? byDefault.has(tier) : asked.includes(tier)));

// Kubernetes takes minutes to build on a fresh machine: it is built while the first tiers run.
const needsKubernetes = wanted.some(({ tier }) => tier !== "unit" && missingForTier(tier) === undefined);
const kubernetes = needsKubernetes
  ? spawn(process.execPath, ["test/prebuild.ts"], { cwd: root, stdio: "inherit" })
  : undefined;
const kubernetesBuilt = new Promise<boolean>((resolve) => {
  if (kubernetes === undefined) {
    resolve(true);
  } else {
    kubernetes.once("exit", (code) => resolve(code === 0));
  }
});

if (asked.length === 0) {
  const ok = await run(process.execPath, ["hack/check.ts"]);
  report.push(`check: ${ok ? "passed" : "FAILED"}`);
  failed ||= !ok;
}
// The node tier mostly waits, so it runs beside the integration tier; its output comes in one piece at its end.
const beside = new Map<Tier, Promise<void>>();
for (const each of wanted) {
  if (each.tier === "integration" && wanted.some(({ tier }) => tier === "cluster")) {
    const cluster = wanted.filter(({ tier }) => tier === "cluster");
    beside.set(
      "cluster",
      Promise.all(cluster.map((other) => runTier(other, "at its end"))).then(() => {}),
    );
  }
  await (beside.get(each.tier) ?? runTier(each, "as it comes"));
}
console.log(`\nTiers:\n  ${report.join("\n  ")}`);
process.exit(failed ? 1 : 0);

function run(program: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    spawn(program, args, { cwd: root, stdio: "inherit" }).once("exit", (code) => resolve(code === 0));
  });
}

async function runTier(
  { tier, patterns, concurrency, timeoutSeconds }: TierRun,
  output: "as it comes" | "at its end",
): Promise<void> {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).toSorted();
  if (files.length === 0) {
    report.push(`${tier}: no tests yet`);
    return;
  }
  const missing = missingForTier(tier);
  if (missing !== undefined) {
    report.push(`${tier}: not run on this machine: ${missing}`);
    failed ||= process.env["CI"] === "true";
    return;
  }
  if (tier !== "unit" && !(await kubernetesBuilt)) {
    report.push(`${tier}: FAILED: Kubernetes could not be built; see above`);
    failed = true;
    return;
  }
  const title = `\n== ${tier}: ${files.length} files`;
  if (output === "as it comes") {
    console.log(title);
  }
  const started = Date.now();
  const args = [
    "--test",
    "--test-reporter=spec",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${timeoutSeconds * 1000}`,
    ...files,
  ];
  const ok =
    output === "as it comes"
      ? await run(process.execPath, args)
      : await runAside(process.execPath, args, title);
  const seconds = Math.round((Date.now() - started) / 1000);
  report.push(`${tier}: ${ok ? "passed" : "FAILED"} in ${seconds} s (${files.length} files)`);
  failed ||= !ok;
}

/** Runs a program and prints what it wrote once it has ended. */
function runAside(program: string, args: readonly string[], title: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.once("close", (code) => {
      console.log(`${title}\n${Buffer.concat(chunks).toString("utf8")}`);
      resolve(code === 0);
    });
  });
}
