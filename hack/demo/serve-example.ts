import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, relative, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type AuthenticatorStatus, authenticatorStatuses } from "./authenticator-statuses.ts";
import { DemoFailure, usageError } from "./failure.ts";
import type { Run } from "./run-to-the-end.ts";
import { startStandaloneServer } from "./standalone-server.ts";

const root = join(import.meta.dirname, "..", "..");
const example = join(root, "examples", "standalone");
/** How long the first statuses may take before the text goes out without them. */
const STATUS_LIMIT_MILLISECONDS = 3_000;

const usage = `Usage: npm start [-- FOLDER]

Serves a folder of manifests until it is interrupted. FOLDER holds concierge.yaml and manifests/;
without it, examples/standalone is served. State is kept in the user's state folder.
`;

/** Serves `concierge.yaml` and `manifests/` of a folder until the run is interrupted. Refusal: a usage error of one line. */
export async function serveExample(run: Run, args: readonly string[]): Promise<void> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(usage);
    return;
  }
  const folder = parseFolder(args);
  const stateHome = standaloneStateFolder();
  mkdirSync(stateHome, { recursive: true, mode: 0o700 });
  const manifestsFolder = join(folder, "manifests");
  const logFile = join(stateHome, "server.log");
  const server = await run.start(
    () =>
      startStandaloneServer({
        manifestsFolder,
        configFile: join(folder, "concierge.yaml"),
        // The example's state folder is relative: nothing is ever written into the checkout.
        workingFolder: stateHome,
        logFile,
        signal: run.signal,
      }),
    (started) => started.stop(),
  );
  const statuses = await firstStatuses(join(server.caFile, ".."), run.signal);
  process.stdout.write(
    [
      `Lanyard serves the manifests in ${shown(manifestsFolder)}.`,
      "",
      `  address  ${server.address}`,
      `  CA       ${server.caFile}`,
      `  log      ${logFile}`,
      ...statuses.map(({ kind, name, phase, problem }) =>
        [`  ${kind} "${name}": ${phase}`, problem].filter((part) => part !== undefined).join(": "),
      ),
      "",
      "Ask it who you are:",
      "",
      `  ${curlCommand(server.address, server.caFile)}`,
      "",
      "Edit the manifests and they are taken over at once. Stop with Ctrl-C.",
      "",
    ].join("\n"),
  );
  const code = await server.exited;
  if (!run.signal.aborted) {
    throw new DemoFailure(`the server ended by itself with code ${code}`, { log: server.lastLines() });
  }
}

function parseFolder(args: readonly string[]): string {
  const flag = args.find((each) => each.startsWith("-"));
  if (flag !== undefined) {
    throw usageError(`unknown flag ${JSON.stringify(flag)} (npm start -- --help tells what it takes)`);
  }
  if (args.length > 1) {
    throw usageError(`one folder is served at a time, not ${args.length} (npm start -- --help)`);
  }
  return args[0] === undefined ? example : resolve(args[0]);
}

/** `$XDG_STATE_HOME/lanyard/standalone`, with the default of the XDG Base Directory Specification. */
function standaloneStateFolder(): string {
  const state = process.env["XDG_STATE_HOME"];
  return join(
    state !== undefined && state !== "" ? state : join(homedir(), ".local", "state"),
    "lanyard",
    "standalone",
  );
}

async function firstStatuses(
  stateFolder: string,
  signal: AbortSignal,
): Promise<readonly AuthenticatorStatus[]> {
  const limit = performance.now() + STATUS_LIMIT_MILLISECONDS;
  for (;;) {
    const statuses = authenticatorStatuses(stateFolder);
    const known = statuses.length > 0 && statuses.every(({ phase }) => phase !== "");
    if (known || signal.aborted || performance.now() > limit) {
      return statuses;
    }
    await delay(20);
  }
}

function curlCommand(address: string, caFile: string): string {
  const body = '{"apiVersion":"identity.concierge.pinniped.dev/v1alpha1","kind":"WhoAmIRequest"}';
  const path = "/apis/identity.concierge.pinniped.dev/v1alpha1/whoamirequests";
  return `curl --cacert '${caFile}' --header 'content-type: application/json' --data '${body}' ${address}${path}`;
}

function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}
