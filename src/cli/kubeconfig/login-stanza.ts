import { isRecord, listIn, recordIn, textIn, type UnknownRecord } from "./unknown-value.ts";

/** A user that logs in by this program or the existing one: what its arguments say. */
export interface LoginStanza {
  readonly command: "oidc" | "static";
  readonly issuer: string;
  /** What ID tokens are for: `--request-audience`, else the client. */
  readonly audience: string;
}

/** Reads a kubeconfig's user; nothing when it is not `login oidc` or `login static`. */
export function loginStanza(user: UnknownRecord): LoginStanza | undefined {
  const args = listIn(user["exec"], "args").filter((arg): arg is string => typeof arg === "string");
  const [group, command] = args;
  if (!isRecord(user["exec"]) || group !== "login" || (command !== "oidc" && command !== "static")) {
    return undefined;
  }
  const value = (flag: string): string => {
    // The last one counts, as for any flag that is given twice.
    const index = args.findLastIndex((arg) => arg === `--${flag}` || arg.startsWith(`--${flag}=`));
    const found = args[index] ?? "";
    return found === `--${flag}` ? (args[index + 1] ?? "") : found.slice(flag.length + 3);
  };
  return {
    command,
    issuer: value("issuer"),
    audience: value("request-audience") || value("client-id") || DEFAULT_CLIENT_ID,
  };
}

/** The client of `login oidc` when no flag names one (contract cli.md 4.1). */
const DEFAULT_CLIENT_ID = "pinniped-cli";

/** `server` of a cluster in the form in which two of them compare. */
export function comparableServer(cluster: unknown): string {
  const server = textIn(recordIn(cluster), "server");
  return URL.parse(server)?.href.replace(/\/+$/, "") ?? server;
}
