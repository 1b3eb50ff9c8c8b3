import { parseArgs } from "node:util";
import { LanyardError, messageOf } from "../../errors.ts";

/** What the server was asked to do (contract 9.1). */
export type CommandLine =
  | { readonly action: "help" | "version" }
  | {
      readonly action: "serve";
      readonly configPath: string;
      readonly downwardApiPath: string;
      /** The folder of manifests to serve instead of a cluster. */
      readonly standaloneManifestsFolder: string | undefined;
      /** A kubeconfig, for running outside the cluster. */
      readonly kubeconfigPath: string | undefined;
    };

export const HELP_TEXT = `lanyard-concierge exchanges tokens for short-lived Kubernetes credentials.

Usage:
  lanyard-concierge [flags]

Flags:
  -c, --config FILE              configuration file (default concierge.yaml)
      --downward-api-path FOLDER files with the Pod's namespace, name and labels (default /etc/podinfo)
      --kubeconfig FILE          reach the cluster with this kubeconfig instead of the Pod's ServiceAccount
      --standalone FOLDER        serve the manifests in this folder instead of a cluster
      --version                  print the version
  -h, --help                     print this text
`;

/** The exit code after misuse of the command line. */
export const MISUSE_EXIT_CODE = 2;

/** Reads the arguments behind the program's name. Refusal: `commandLine.misuse`, one line that says what and how to fix it. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parse(args);
  if (values.help === true) {
    return { action: "help" };
  }
  if (values.version === true) {
    return { action: "version" };
  }
  const [extra] = positionals;
  if (extra !== undefined) {
    throw misuse(`unexpected argument ${JSON.stringify(extra)}: lanyard-concierge takes flags only`);
  }
  for (const flag of ["config", "downward-api-path", "kubeconfig", "standalone"] as const) {
    if (values[flag] === "") {
      throw misuse(`--${flag} is empty: give it a path or leave the flag out`);
    }
  }
  if (values.standalone !== undefined && values.kubeconfig !== undefined) {
    throw misuse("--standalone and --kubeconfig exclude each other: leave one of them out");
  }
  return {
    action: "serve",
    configPath: values.config ?? "concierge.yaml",
    downwardApiPath: values["downward-api-path"] ?? "/etc/podinfo",
    standaloneManifestsFolder: values.standalone,
    kubeconfigPath: values.kubeconfig,
  };
}

// eslint-disable-next-line typescript/explicit-function-return-type -- the library infers it from the options.
function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string", short: "c" },
        "downward-api-path": { type: "string" },
        kubeconfig: { type: "string" },
        standalone: { type: "string" },
        version: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    const [sentence = ""] = messageOf(error).split(". ", 1);
    throw misuse(sentence.replaceAll("\n", " "));
  }
}

function misuse(message: string): LanyardError {
  return new LanyardError({
    code: "commandLine.misuse",
    message: `${message} (see lanyard-concierge --help)`,
  });
}
