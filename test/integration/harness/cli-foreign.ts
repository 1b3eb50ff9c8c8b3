import { join } from "node:path";
import { ensureGoProgram } from "../../../hack/cluster/go-program.ts";

/** A program that is not ours, on the same files: `hack/foreign-cli/main.go` says what it is. Built when it is not there yet. */
export function ensureForeignCli(): Promise<string> {
  return ensureGoProgram(
    {
      name: "foreign-cli",
      title: "the foreign CLI",
      folder: join(import.meta.dirname, "..", "..", "..", "hack", "foreign-cli"),
      package: ".",
      ldflags: "-s -w",
    },
    () => {},
  );
}
