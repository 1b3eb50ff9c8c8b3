import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLogger } from "../../telemetry/log.ts";
import { disableCoreDumps, requireSafeStart } from "./start-rules.ts";

const folder = mkdtempSync(join(tmpdir(), "start-rules-"));
after(() => rmSync(folder, { recursive: true }));
const program = join(folder, "program.ts");
const module = (path: string): string => JSON.stringify(join(import.meta.dirname, path));
writeFileSync(
  program,
  `import { url } from "node:inspector";
import { readFileSync } from "node:fs";
import { readEnvironment } from ${module("../config/environment.ts")};
import { disableCoreDumps, requireSafeStart } from ${module("start-rules.ts")};
import { silentLogger } from ${module("../../telemetry/log.ts")};
try {
  requireSafeStart({ execArgv: process.execArgv, forbiddenVariables: readEnvironment().forbidden, inspectorUrl: url() });
  disableCoreDumps(silentLogger);
  console.log("started", Number.parseInt(readFileSync("/proc/self/coredump_filter", "utf8"), 16));
} catch (error) {
  console.log(error.message);
  process.exit(1);
}
`,
);

function start(flags: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { stdout } = spawnSync(process.execPath, [...flags, program], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    cwd: folder,
    encoding: "utf8",
  });
  return stdout;
}

test("a safe process starts, without memory in its core dumps", () => {
  assert.equal(start(["--disable-sigusr1"]), "started 0\n");
});

const refusedFlags: readonly (readonly [flags: readonly string[], message: RegExp])[] = [
  [[], /SIGUSR1 would open a debugger port: start node with --disable-sigusr1/],
  [["--disable-sigusr1", "--no-disable-sigusr1"], /SIGUSR1/],
  [["--disable-sigusr1", "--inspect=127.0.0.1:0"], /--inspect .*: start without it/],
  [["--disable-sigusr1", "--inspect_port=0"], /--inspect-port /],
  [["--disable-sigusr1", "--report-on-signal"], /--report-on-signal /],
  [["--disable-sigusr1", "--report_on_fatalerror"], /--report-on-fatalerror /],
  [["--disable-sigusr1", `--diagnostic-dir=${folder}`], /--diagnostic-dir /],
  [["--disable-sigusr1", "--heapsnapshot-signal=SIGUSR2"], /--heapsnapshot-signal /],
  [["--disable-sigusr1", "--heapsnapshot_near_heap_limit=1"], /--heapsnapshot-near-heap-limit /],
  [["--disable-sigusr1", "--insecure-http-parser"], /--insecure-http-parser /],
  [["--disable-sigusr1", "--abort-on-uncaught-exception"], /--abort-on-uncaught-exception /],
  [["--disable-sigusr1", `--tls-keylog=${folder}/keys`], /--tls-keylog /],
  [["--disable-sigusr1", "--tls-min-v1.0"], /--tls-min-v1.0 /],
];
for (const [flags, message] of refusedFlags) {
  test(`node refuses to start with [${flags.map((flag) => flag.split("=", 1)[0]).join(" ")}]`, () => {
    assert.match(start(flags), message);
    assert.match(start(flags), /^refusing to start: [^\n]+\n$/);
  });
}

for (const [name, value] of [
  ["NODE_OPTIONS", "--no-warnings"],
  ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
  ["NODE_EXTRA_CA_CERTS", "/dev/null"],
  ["NODE_DEBUG", "http"],
] as const) {
  test(`node refuses to start with ${name}`, () => {
    assert.match(
      start(["--disable-sigusr1"], { [name]: value }),
      new RegExp(`^refusing to start: the environment variable ${name} is set: unset it`),
    );
  });
}

test("an inspector that is open for another reason is seen", () => {
  assert.throws(
    () =>
      requireSafeStart({
        execArgv: ["--disable-sigusr1"],
        forbiddenVariables: [],
        inspectorUrl: "ws://127.0.0.1:1",
      }),
    { code: "process.unsafeStart", message: /a debugger port is open/ },
  );
});

test("harmless flags are let through", () => {
  requireSafeStart({
    execArgv: ["--disable_sigusr1", "--max-old-space-size=100", "--enable-source-maps", "--import", "./x.js"],
    forbiddenVariables: [],
  });
});

test("core dumps that cannot be emptied are a warning", () => {
  const warnings: string[] = [];
  disableCoreDumps(
    { ...silentLogger, warning: (message) => warnings.push(message) },
    join(folder, "no", "file"),
  );
  assert.deepEqual(warnings, ["core dumps could not be emptied, switch them off with ulimit -c 0"]);
});
