import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BundleOptions, bundleOneFile, START_FILE } from "./bundle.ts";

const RUNS = 15;

/** One executable that holds Node itself, by Node's own builder; prints its size, and the start time of both forms. */
export async function buildExecutable(options: BundleOptions): Promise<void> {
  const { folder } = options;
  const output = join(folder, process.platform === "win32" ? "lanyard.exe" : "lanyard");
  const work = mkdtempSync(join(tmpdir(), "lanyard-executable-"));
  try {
    const main = join(work, "lanyard.mjs");
    await bundleOneFile({ ...options, outfile: main });
    const configuration = join(work, "sea.json");
    writeFileSync(
      configuration,
      JSON.stringify({
        main,
        mainFormat: "module",
        output,
        disableExperimentalSEAWarning: true,
        useSnapshot: false,
        useCodeCache: false,
      }),
    );
    const { status, stderr } = spawnSync(process.execPath, ["--build-sea", configuration], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"] },
    });
    if (status !== 0) {
      throw new Error(`node --build-sea failed: ${stderr.trim()}`);
    }
    chmodSync(output, 0o755);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  console.log(`dist-cli/lanyard  ${(statSync(output).size / 1024 / 1024).toFixed(0)} MiB, with Node in it`);
  const script = startTime([process.execPath, join(folder, START_FILE), "version"]);
  const executable = startTime([output, "version"]);
  const empty = startTime([process.execPath, "-e", "0"]);
  console.log(
    `start of "version", median of ${RUNS}: script ${script} ms, executable ${executable} ms; node -e 0 ${empty} ms`,
  );
}

function startTime([program = "", ...args]: readonly string[]): string {
  const times = Array.from({ length: RUNS }, () => {
    const startedAt = performance.now();
    const { status, stderr } = spawnSync(program, args, {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"] },
    });
    if (status !== 0) {
      throw new Error(`${program} failed: ${stderr.trim()}`);
    }
    return performance.now() - startedAt;
  }).toSorted((a, b) => a - b);
  return (times[RUNS >> 1] ?? Number.NaN).toFixed(0);
}
