import { arch } from "node:os";
import { versions } from "node:process";
import { CommandError } from "../command-error.ts";
import type { RunCommand } from "../command-line/command.ts";
import type { CommandContext } from "../context.ts";
import { readVersionStamp, type VersionStamp } from "./version-stamp.ts";

const GO_SYSTEMS: Readonly<Record<string, string>> = { win32: "windows", sunos: "solaris" };
const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

/** `version` (contract cli.md 9). */
export const run: RunCommand = async (context, flags) => {
  const format = flags.string("output");
  const stamp = readVersionStamp();
  switch (format) {
    case "":
      context.stdout.write(`${gitVersion(stamp)}\n`);
      return;
    case "json":
      context.stdout.write(`${JSON.stringify(describe(stamp, context), undefined, 2)}\n`);
      return;
    case "yaml":
      context.stdout.write((await import("yaml")).stringify(describe(stamp, context)));
      return;
    default:
      throw new CommandError("cli.output-format", `'${format}' is not a valid option for output`);
  }
};

/** `v1.2.3` of a release; any other build names its commit. */
export function gitVersion({ version, gitCommit, gitTreeState, released }: VersionStamp): string {
  return released ? `v${version}` : `v${version}-${gitCommit.slice(0, 8)}-${gitTreeState}`;
}

/** The fields of Kubernetes' `version.Info`; those that name a compiler tell of the runtime. */
function describe(stamp: VersionStamp, { platform }: CommandContext): Readonly<Record<string, string>> {
  const [major = "", minor = ""] = stamp.version.split(".");
  return {
    major,
    minor,
    gitVersion: gitVersion(stamp),
    gitCommit: stamp.gitCommit,
    gitTreeState: stamp.gitTreeState,
    buildDate: stamp.buildDate,
    goVersion: `node${versions.node}`,
    compiler: "v8",
    platform: `${GO_SYSTEMS[platform] ?? platform}/${GO_ARCHITECTURES[arch()] ?? arch()}`,
  };
}
