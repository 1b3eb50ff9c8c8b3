import { spawn } from "node:child_process";
import { constants } from "node:os";

import { LanyardError, messageOf } from "../../src/errors.ts";
import { parseClusterArguments, usage } from "./arguments.ts";
import { ensureHelm, ensureKubernetes, ensureLauncher, ensurePause } from "./binaries.ts";
import { openCluster, startCluster, stopCluster } from "./cluster.ts";
import { clusterError } from "./errors.ts";
import { clusterFolder, clusterNames, clustersFolder, existingState } from "./layout.ts";
import { loadImage } from "./images.ts";
import { insideNetwork } from "./network.ts";
import { clusterEnvironment } from "./run-command.ts";
import { statusTable } from "./status.ts";

const print = (text: string): void => void process.stdout.write(text);

async function main(args: readonly string[]): Promise<number> {
  const { command, name, tier, folder, operands, named } = parseClusterArguments(args);
  const inFolder = folder === undefined ? {} : { folder };
  if (command === "exec") return execute(name, folder, operands);
  if (command === "help") {
    print(usage);
  } else if (command === "up") {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted(name));
    const cluster = await startCluster({ name, tier, ...inFolder });
    print(`cluster "${name}" is ready; kubeconfig: ${cluster.kubeconfig}\n`);
    if (tier === "node")
      print(`its network is its own: npm run cluster -- exec --name ${name} -- kubectl ...\n`);
  } else if (command === "down") {
    if (!(await stopCluster(name, inFolder))) throw unknownCluster(name, folder);
    print(`cluster "${name}" is gone\n`);
  } else if (command === "status") {
    const names = clusterNames(folder).filter((other) => !named || other === name);
    if (named && names.length === 0) throw unknownCluster(name, folder);
    print(statusTable(names, folder));
  } else if (command === "kubeconfig") {
    print(`${openCluster(name, folder).kubeconfig}\n`);
  } else if (command === "load-image") {
    const images = await loadImage(openCluster(name, folder), operands[0] ?? "");
    for (const image of images) print(`loaded ${image}\n`);
  } else {
    for (const ensure of [ensureKubernetes, ensureHelm, ensurePause, ensureLauncher])
      print(`${await ensure()}\n`);
  }
  return 0;
}

function interrupted(name: string): never {
  process.stderr.write(`interrupted: down --name ${name} removes what was started\n`);
  process.exit(130);
}

function unknownCluster(name: string, folder: string | undefined): LanyardError {
  return clusterError("unknown", `there is no cluster named "${name}" in ${clustersFolder(folder)}`);
}

/** Runs a command with our own standard streams and answers its exit code. */
function execute(name: string, clusters: string | undefined, command: readonly string[]): Promise<number> {
  const { tier } = existingState(name, clusters);
  const folder = clusterFolder(name, clusters);
  const [program = "", ...args] = insideNetwork(folder, tier, command);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: "inherit",
      env: { ...process.env, ...clusterEnvironment(folder) },
    });
    child.on("error", (error) => reject(clusterError("exec", `${program}: ${error.message}`, error)));
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = error instanceof LanyardError && error.code === "cluster.usage" ? 2 : 1;
}
