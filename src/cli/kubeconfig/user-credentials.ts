import { readFile } from "node:fs/promises";
import { goQuote } from "../../go-text.ts";
import type { CommandContext } from "../context.ts";
import { countCertificates, decodeBase64 } from "./ca-bundle.ts";
import { runExecPlugin } from "./exec-plugin.ts";
import { fileErrorText } from "./file-error.ts";
import { isRecord, listIn, recordIn, textIn, type UnknownRecord } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

/** How a kubeconfig's user shows who it is. */
export interface UserCredentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
}

/**
 * Reads what a user's entry says, all files included; the answer asks an exec plugin, if there is one, only when a call is about
 * to be made.
 *
 * @throws CommandError `cli.kubeconfig-user`, text `could not configure Kubernetes client: …`
 */
export async function userCredentials(
  context: CommandContext,
  user: UnknownRecord,
  cluster: UnknownRecord,
): Promise<(signal: AbortSignal) => Promise<UserCredentials>> {
  if (isRecord(user["auth-provider"])) {
    throw refused(`no Auth Provider found for name ${goQuote(textIn(user["auth-provider"], "name"))}`);
  }
  const fixed: UserCredentials = {
    headers: { ...impersonation(user), ...(await authorization(user)) },
    ...(await certificatePair(user)),
  };
  const exec = user["exec"];
  const hasOwn = fixed.clientCertificate !== undefined || "authorization" in fixed.headers;
  if (!isRecord(exec)) {
    return () => Promise.resolve(fixed);
  }
  if (hasOwn) {
    throw refused("a user has an exec plugin and another credential: remove one of them from the kubeconfig");
  }
  return async (signal) => {
    const found = await runExecPlugin(context, { exec, cluster, signal });
    return {
      headers: {
        ...fixed.headers,
        ...(found.token === "" ? {} : { authorization: `Bearer ${found.token}` }),
      },
      ...(found.certificate === ""
        ? {}
        : { clientCertificate: { certificate: found.certificate, key: found.key } }),
    };
  };
}

async function authorization(user: UnknownRecord): Promise<Record<string, string>> {
  const path = textIn(user, "tokenFile");
  // A token file is read anew by those who live longer; the token beside it counts only without one.
  const token = path === "" ? textIn(user, "token") : (await fileOf(path, "tokenFile")).trim();
  const name = textIn(user, "username");
  if (token !== "") {
    return { authorization: `Bearer ${headerText(token, "token")}` };
  }
  const pair = Buffer.from(`${name}:${textIn(user, "password")}`, "utf8").toString("base64");
  return name === "" ? {} : { authorization: `Basic ${pair}` };
}

function headerText(text: string, what: string): string {
  if (/[^\x20-\x7e]/.test(text)) {
    throw refused(`the user's ${what} holds characters that no HTTP header can`);
  }
  return text;
}

async function certificatePair(user: UnknownRecord): Promise<Pick<UserCredentials, "clientCertificate">> {
  const read = async (field: string): Promise<string> => {
    const data = textIn(user, `${field}-data`);
    if (data === "") {
      const path = textIn(user, field);
      return path === "" ? "" : await fileOf(path, field);
    }
    const decoded = decodeBase64(data);
    if ("error" in decoded) {
      throw refused(`the user's ${field}-data is not base64: ${decoded.error}`);
    }
    return decoded.text;
  };
  const [certificate, key] = [await read("client-certificate"), await read("client-key")];
  if (certificate === "" && key === "") {
    return {};
  }
  if (certificate === "" || key === "") {
    throw refused("the user has a client certificate without its key, or a key without its certificate");
  }
  if (countCertificates(certificate) === 0) {
    throw refused("the user's client certificate cannot be read: it must be PEM");
  }
  return { clientCertificate: { certificate, key } };
}

async function fileOf(path: string, field: string): Promise<string> {
  return await readFile(path, "utf8").catch((error: unknown) => {
    throw refused(`unable to read ${field}: ${fileErrorText("open", path, error)}`, error);
  });
}

function impersonation(user: UnknownRecord): Record<string, string> {
  const groups = listIn(user, "as-groups");
  const extra = recordIn(user["as-user-extra"]);
  if (groups.length > 1 || Object.keys(extra).length > 0) {
    throw refused(
      "a user that impersonates several groups or extra values cannot be used here: choose another context",
    );
  }
  const headers: Record<string, string> = {};
  const add = (name: string, value: unknown): void => {
    if (typeof value === "string" && value !== "") {
      headers[name] = headerText(value, name);
    }
  };
  add("impersonate-user", user["as"]);
  add("impersonate-uid", user["as-uid"]);
  add("impersonate-group", groups[0]);
  return headers;
}

function refused(why: string, cause?: unknown): Error {
  return failure("cli.kubeconfig-user", `could not configure Kubernetes client: ${why}`, cause);
}
