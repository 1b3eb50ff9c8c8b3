import { arch } from "node:os";
import { readVersionStamp } from "../commands/version-stamp.ts";
import type { CommandContext } from "../context.ts";

const GO_SYSTEMS: Readonly<Record<string, string>> = { win32: "windows", sunos: "solaris" };
const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

/**
 * `<program>/<version without pre-release> (<os>/<arch>) kubernetes/<commit, 7 characters>`, systems and architectures as Go names
 * them (contract cli.md 1).
 */
export function userAgent(context: Pick<CommandContext, "programName" | "platform">): string {
  const { version, gitCommit } = readVersionStamp();
  const name = context.programName.replaceAll(/[^\w.+-]/g, "-") || "lanyard";
  const system = GO_SYSTEMS[context.platform] ?? context.platform;
  const architecture = GO_ARCHITECTURES[arch()] ?? arch();
  return `${name}/v${version.split("-", 1)[0] ?? ""} (${system}/${architecture}) kubernetes/${gitCommit.slice(0, 7)}`;
}
