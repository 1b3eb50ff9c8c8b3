import type { CommandContext } from "../context.ts";

/**
 * Whether a question may be asked on the terminal: somebody can type, and the program that started this one does not need its input
 * itself (`spec.interactive` of the ExecCredential, which is false too for `interactiveMode: Never`).
 */
export function mayPrompt(context: Pick<CommandContext, "stdinIsTerminal" | "environment">): boolean {
  return context.stdinIsTerminal && !forbidsInteraction(context.environment["KUBERNETES_EXEC_INFO"]);
}

function forbidsInteraction(execInfo: string | undefined): boolean {
  try {
    const info = JSON.parse(execInfo ?? "") as { readonly spec?: { readonly interactive?: unknown } } | null;
    return info?.spec?.interactive === false;
  } catch {
    return false;
  }
}
