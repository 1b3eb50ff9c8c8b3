import type { CommandSpecification } from "./command-line/command.ts";
import type { FlagSpecification } from "./command-line/flag.ts";
import { getKubeconfigFlags, kubeconfigFlags } from "./command-line/kubeconfig-flags.ts";
import { loginCommands } from "./login-commands.ts";

/** The tree of commands (contract cli.md 1): what there is, not what it does; a command's code is loaded when it runs. */
export const program: CommandSpecification = {
  name: "lanyard",
  summary: "Short-lived Kubernetes credentials from tokens that the cluster's owner trusts",
  description: `Logs you into Kubernetes clusters with credentials that live for minutes.

"lanyard get kubeconfig" makes a kubeconfig for a cluster that runs a Concierge; from then on kubectl calls
"lanyard login" by itself, and you see it only when a browser or a password is needed.`,
  commands: [
    {
      name: "get",
      summary: "Make a kubeconfig",
      commands: [
        {
          name: "kubeconfig",
          summary: "Make a kubeconfig that logs in with this program",
          description: `Writes a kubeconfig whose user logs in with this program.

The cluster is asked for everything that no flag gives: its Concierge, its authenticator, the issuer. The
kubeconfig that is read must be allowed to see these.`,
          examples: `  lanyard get kubeconfig --kubeconfig admin.yaml -o team.yaml
  lanyard get kubeconfig --kubeconfig-context prod --merge`,
          flags: getKubeconfigFlags,
          load: () => import("./commands/get-kubeconfig.ts"),
        },
      ],
    },
    loginCommands,
    {
      name: "whoami",
      summary: "Show who the cluster takes you for",
      flags: (environment) => [
        ...kubeconfigFlags(environment),
        {
          name: "output",
          shorthand: "o",
          kind: "string",
          defaultValue: "text",
          description: "`format` of the answer: text, yaml or json",
          choices: ["text", "yaml", "json"],
        },
        {
          name: "api-group-suffix",
          kind: "string",
          defaultValue: "pinniped.dev",
          description: "`suffix` of the API groups in this cluster",
        },
        {
          name: "timeout",
          kind: "duration",
          defaultValue: "0s",
          description: "time for the call, a login that it needs included (0: no limit)",
        },
      ],
      load: () => import("./commands/whoami.ts"),
    },
    {
      name: "logout",
      summary: "Forget credentials and sessions, and revoke them at the issuer where it can be done",
      description: `Forgets what was kept for the context of a kubeconfig: its credential and its session at the issuer, which is
asked to revoke it.`,
      flags: (environment) => [
        ...kubeconfigFlags(environment),
        { name: "all", kind: "boolean", description: "forget the credentials and sessions of all clusters" },
      ],
      load: () => import("./commands/logout.ts"),
    },
    {
      name: "doctor",
      summary: "Check a kubeconfig from end to end, and say what is wrong and what to do",
      flags: (environment) => [
        ...kubeconfigFlags(environment),
        {
          name: "output",
          shorthand: "o",
          kind: "string",
          defaultValue: "text",
          description: "`format` of the findings: text or json",
          choices: ["text", "json"],
        },
      ],
      load: () => import("./commands/doctor.ts"),
    },
    {
      name: "version",
      summary: "Show the version of this program",
      flags: () => [
        {
          name: "output",
          shorthand: "o",
          kind: "string",
          description: "`format` of the answer: json or yaml (empty: the version alone)",
          choices: ["json", "yaml"],
        },
      ],
      load: () => import("./commands/version.ts"),
    },
    {
      name: "completion",
      summary: "Print what teaches your shell to complete this program's commands",
      description: "Prints a script for your shell. Each command's help says where it goes.",
      commands: [
        shell("bash", "source <(lanyard completion bash)"),
        shell("zsh", "source <(lanyard completion zsh)"),
        shell("fish", "lanyard completion fish | source"),
        shell("powershell", "lanyard completion powershell | Out-String | Invoke-Expression"),
      ],
    },
    {
      name: "help",
      summary: "Help about any command",
      positional: { usage: "[command]", maximum: Number.POSITIVE_INFINITY },
      load: () => import("./commands/help.ts"),
    },
    {
      name: "generate-markdown-help",
      summary: "Print a reference of all commands in Markdown",
      hidden: true,
      load: () => import("./commands/generate-markdown-help.ts"),
    },
    {
      name: "__complete",
      summary: "What may come next on a command line, with descriptions; for the completion scripts",
      hidden: true,
      rawArguments: true,
      positional: { usage: "[word...]", maximum: Number.POSITIVE_INFINITY },
      load: () => import("./commands/completion-candidates.ts"),
    },
    {
      name: "__completeNoDesc",
      summary: "What may come next on a command line; for the completion scripts",
      hidden: true,
      rawArguments: true,
      positional: { usage: "[word...]", maximum: Number.POSITIVE_INFINITY },
      load: async () => ({
        run: (await import("./commands/completion-candidates.ts")).runWithoutDescriptions,
      }),
    },
  ],
};

function shell(name: "bash" | "zsh" | "fish" | "powershell", once: string): CommandSpecification {
  return {
    name,
    summary: `Print the completion script for ${name}`,
    description: `Prints the completion script for ${name}. For this session:

  ${once}

For every session put that line into your shell's start-up file.`,
    flags: () => [noDescriptions],
    load: async () => ({ run: (await import("./commands/completion.ts")).runFor(name) }),
  };
}

const noDescriptions: FlagSpecification = {
  name: "no-descriptions",
  kind: "boolean",
  description: "complete without descriptions",
};
