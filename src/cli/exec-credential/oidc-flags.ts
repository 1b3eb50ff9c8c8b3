import { readFile } from "node:fs/promises";
import { base64ErrorOffset } from "../../go-text.ts";
import { CommandError } from "../command-error.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import { fileErrorText } from "../kubeconfig/file-error.ts";
import type { OidcLoginOptions } from "../oidc/login.ts";

const FLOW_FLAG = "upstream-identity-provider-flow";

/** The flags that a login at the issuer needs. */
export function oidcLoginOptions(
  flags: ParsedFlags,
  caBundlePem: string | undefined,
): Omit<OidcLoginOptions, "sessions" | "interactive" | "signal"> {
  const audience = flags.string("request-audience");
  return {
    issuer: flags.string("issuer"),
    clientId: flags.string("client-id"),
    scopes: flags.list("scopes"),
    listenPort: flags.port("listen-port"),
    skipBrowser: flags.boolean("skip-browser"),
    skipListen: flags.boolean("skip-listen"),
    ...(flags.boolean("device-code") ? { deviceCode: true } : {}),
    ...(caBundlePem === undefined ? {} : { caBundlePem }),
    ...(audience === "" ? {} : { requestAudience: audience }),
    upstreamIdentityProvider: {
      name: flags.string("upstream-identity-provider-name"),
      type: flags.string("upstream-identity-provider-type"),
      ...(flags.string(FLOW_FLAG) === ""
        ? {}
        : { flow: { value: flags.string(FLOW_FLAG), source: `--${FLOW_FLAG}` } }),
    },
  };
}

/** What the CA flags hold together; undefined if none was given, and then the system's roots count. */
export async function readCaBundle(flags: ParsedFlags): Promise<string | undefined> {
  const files = await Promise.all(
    flags.list("ca-bundle").map(async (path) => {
      try {
        return await readFile(path, "utf8");
      } catch (error) {
        throw flagError(`could not read --ca-bundle: ${fileErrorText("open", path, error)}`, error);
      }
    }),
  );
  const data = flags.list("ca-bundle-data").map((text) => {
    const offset = base64ErrorOffset(text);
    if (offset !== undefined) {
      throw flagError(`could not read --ca-bundle-data: illegal base64 data at input byte ${offset}`);
    }
    return Buffer.from(text, "base64").toString("latin1");
  });
  const parts = [...files, ...data];
  // A bundle of nothing trusts nobody: an empty text would mean the system's roots.
  return parts.length === 0 ? undefined : `${parts.join("\n")}\n`;
}

function flagError(message: string, cause?: unknown): CommandError {
  return new CommandError("cli.flag.ca-bundle", message, cause);
}
