import { ensureGoProgram } from "../../hack/cluster/go-program.ts";

/** Programs built on client-go, in one binary; `main.go` says what it can do. */
export function ensureClientGo(): Promise<string> {
  return ensureGoProgram({
    name: "client-go",
    title: "the client-go driver",
    hint: " (about 1 minute on 2 cores)",
    folder: import.meta.dirname,
    package: ".",
    ldflags: "-s -w",
  });
}
