import type { RunCommand } from "../command-line/command.ts";
import { bashScript } from "./completion-bash.ts";
import { fishScript } from "./completion-fish.ts";
import { powershellScript } from "./completion-powershell.ts";
import { zshScript } from "./completion-zsh.ts";

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript, powershell: powershellScript };

/** `completion <shell>`: a script that asks this program through `__complete`, so that it need not change with the commands. */
export function runFor(shell: keyof typeof scripts): RunCommand {
  return async ({ programName, stdout }, flags) => {
    const name = programName.replace(/\.exe$/i, "");
    // The name becomes part of a script.
    const safeName = /^[\w.+-]+$/.test(name) ? name : "lanyard";
    stdout.write(
      scripts[shell](safeName, flags.boolean("no-descriptions") ? "__completeNoDesc" : "__complete"),
    );
  };
}
