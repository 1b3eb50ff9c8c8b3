import type { CommandSpecification } from "./command-line/command.ts";
import { loginOidcFlags, loginStaticFlags } from "./command-line/login-flags.ts";

/** The commands that kubectl starts: apart from the rest of the tree, which they must not wait for. */
export const loginCommands = {
  name: "login",
  summary: "Log in for kubectl",
  description: "Credential plugins: kubectl and other clients start them, as a kubeconfig tells them to.",
  commands: [
    {
      name: "oidc",
      summary: "Log in at an OIDC issuer and print a credential for kubectl",
      flags: loginOidcFlags,
      load: () => import("./commands/login-oidc.ts"),
    },
    {
      name: "static",
      summary: "Turn a given token into a credential for kubectl",
      flags: loginStaticFlags,
      load: () => import("./commands/login-static.ts"),
    },
  ],
} satisfies CommandSpecification;
