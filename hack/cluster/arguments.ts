import { parseArgs } from "node:util";

import { usageError } from "./errors.ts";
import type { Tier } from "./layout.ts";

/** A command line of `npm run cluster`, understood. */
export interface ClusterArguments {
  readonly command: "up" | "down" | "status" | "kubeconfig" | "load-image" | "exec" | "build" | "help";
  readonly name: string;
  readonly tier: Tier;
  readonly folder: string | undefined;
  /** `load-image`: one path. `exec`: a command. Else empty. */
  readonly operands: readonly string[];
}

/** What `help` prints. */
export const usage = `Usage: npm run cluster -- COMMAND [options]

Real Kubernetes on this machine, made from Go modules, without a container registry.

Commands:
  up                    start a cluster and wait until it is ready
  down                  end a cluster and remove everything of it, after a crash too
  status                list all clusters, or the one that --name says
  kubeconfig            print the path of the administrator's kubeconfig
  load-image FILE       put an image (docker save format) on the node (tier node)
  exec -- COMMAND...    run a command with KUBECONFIG set, in the cluster's network
  build                 build Kubernetes and Helm into the cache now

Options:
  --name NAME           the cluster's name (default lanyard)
  --tier TIER           up only: control-plane (default; no root needed) or node (Linux, root)
  --folder FOLDER       where clusters keep their files (default $LANYARD_CLUSTERS,
                        or lanyard/clusters in the user's state folder)
`;

const commands = ["up", "down", "status", "kubeconfig", "load-image", "exec", "build", "help"] as const;
/** Operands each command takes: least and most. */
const operandCounts: Partial<Record<ClusterArguments["command"], readonly [number, number]>> = {
  "load-image": [1, 1],
  exec: [1, Infinity],
};
const operandNames: Partial<Record<ClusterArguments["command"], string>> = {
  "load-image": "load-image takes one FILE",
  exec: "exec takes a command after --",
};

/** Understands a command line; rejects one that it does not with a usage error of one line. */
export function parseClusterArguments(
  args: readonly string[],
): ClusterArguments & { readonly named: boolean } {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        name: { type: "string" },
        tier: { type: "string" },
        folder: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw usageError(`${firstSentence(error)} (npm run cluster -- help lists the options)`);
  }
  const { values, positionals } = parsed;
  const [word, ...operands] = positionals;
  const named = values.name !== undefined;
  const name = values.name ?? "lanyard";
  const folder = values.folder;
  if (values.help === true) {
    return { command: "help", name, tier: "control-plane", folder, operands: [], named };
  }
  if (word === undefined) throw usageError(`a command is missing: ${commands.join(", ")}`);
  const command = commands.find((candidate) => candidate === word);
  if (command === undefined) throw usageError(`unknown command "${word}": use ${commands.join(", ")}`);
  const [least, most] = operandCounts[command] ?? [0, 0];
  if (operands.length < least || operands.length > most) {
    throw usageError(operandNames[command] ?? `${command} takes no "${operands[0]}"`);
  }
  if (values.tier !== undefined && command !== "up")
    throw usageError(`--tier belongs to up, not to ${command}`);
  const tier = values.tier ?? "control-plane";
  if (tier !== "control-plane" && tier !== "node") {
    throw usageError(`unknown tier "${tier}": use control-plane or node`);
  }
  return { command, name, tier, folder, operands, named };
}

function firstSentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split(/\. |\n/)[0] ?? text;
}
