import { posix, win32 } from "node:path";
import type { CommandContext } from "../context.ts";

/**
 * Where `credentials.yaml` and `sessions.yaml` are if no flag says otherwise: the folder of the existing CLI, as both share their
 * files (contract cli.md 1). undefined: the user has no home folder.
 */
export function defaultCacheFolder(
  context: Pick<CommandContext, "environment" | "platform" | "homeFolder">,
): string | undefined {
  const { join } = context.platform === "win32" ? win32 : posix;
  const configured = context.environment["XDG_CONFIG_HOME"] ?? "";
  if (configured !== "") {
    return join(configured, "pinniped");
  }
  return context.homeFolder === undefined ? undefined : join(context.homeFolder, ".config", "pinniped");
}
