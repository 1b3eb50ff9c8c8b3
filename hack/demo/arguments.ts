import { parseArgs } from "node:util";
import { messageOf } from "../../src/errors.ts";
import { usageError } from "./failure.ts";

/** What `npm run demo` was asked to do. */
export type DemoArguments = "standalone" | "cluster" | "help";

/** What `--help` prints. */
export const usage = `Usage: npm run demo [-- --cluster]

Logs a user in at an OpenID Connect issuer, exchanges the ID token for a certificate that lives five minutes, and uses it.
Everything runs on this machine and is removed at the end.

  (no flag)    with one Lanyard process and a folder of YAML; needs npm and nothing else
  --cluster    with a real Kubernetes, which needs Go and is built on the first run
  -h, --help   print this text
`;

/** Refusal: a usage error of one line. */
export function parseDemoArguments(args: readonly string[]): DemoArguments {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { cluster: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    });
  } catch (error) {
    throw usageError(`${messageOf(error).split(/\. |\n/, 1)[0]} (npm run demo -- --help lists the flags)`);
  }
  const [extra] = parsed.positionals;
  if (extra !== undefined) {
    throw usageError(
      `unexpected argument ${JSON.stringify(extra)}: the demo takes flags only (npm run demo -- --help lists them)`,
    );
  }
  if (parsed.values.help === true) {
    return "help";
  }
  return parsed.values.cluster === true ? "cluster" : "standalone";
}
