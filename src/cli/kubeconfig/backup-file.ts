import { writeFile } from "node:fs/promises";
import type { Clock } from "../../clock.ts";
import { fileErrorCode, fileErrorText } from "./file-error.ts";
import { failure } from "./visible-text.ts";

/**
 * Keeps a text beside the file that it was in, as `<file>.backup-<UTC time>`, for its owner alone; answers the copy's path.
 *
 * @throws CommandError `cli.backup`
 */
export async function writeBackup(target: string, text: string, clock: Clock): Promise<string> {
  const time = new Date(clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  for (let number = 0; ; number++) {
    const path = `${target}.backup-${time}${number === 0 ? "" : `-${number}`}`;
    try {
      await writeFile(path, text, { flag: "wx", mode: 0o600, flush: true });
      return path;
    } catch (error) {
      if (fileErrorCode(error) !== "EEXIST") {
        throw failure("cli.backup", `could not write a backup: ${fileErrorText("open", path, error)}`, error);
      }
    }
  }
}
