import { readFile } from "node:fs/promises";
import { delimiter as posixDelimiter } from "node:path/posix";
import { delimiter as windowsDelimiter } from "node:path/win32";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import { messageOf } from "../../errors.ts";
import { fileErrorCode, fileErrorText } from "./file-error.ts";
import type { Kubeconfig, KubeconfigEntry } from "./kubeconfig.ts";
import { isRecord, type UnknownRecord } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

/** Which files make up the kubeconfig. */
export interface LoadingRules {
  readonly paths: readonly string[];
  /** The only path was asked for by name: it must be there. Otherwise paths without a file are passed over. */
  readonly isExplicit: boolean;
}

/**
 * client-go's rules: the flag, else `KUBECONFIG`, each with any number of paths, else `~/.kube/config`. One path alone counts as
 * named, as in the existing CLI (contract cli.md 1).
 */
export function loadingRules(options: {
  /** `--kubeconfig` where it was typed. */
  readonly flag: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly homeFolder: string | undefined;
}): LoadingRules {
  const delimiter = options.platform === "win32" ? windowsDelimiter : posixDelimiter;
  // A flag typed as empty text asks for the standard place, whatever the environment says.
  const asked = options.flag ?? options.environment["KUBECONFIG"] ?? "";
  const paths = [...new Set(asked.split(delimiter).filter((path) => path !== ""))];
  if (paths.length > 0) {
    return { paths, isExplicit: paths.length === 1 };
  }
  return {
    paths: options.homeFolder === undefined ? [] : [join(options.homeFolder, ".kube", "config")],
    isExplicit: false,
  };
}

/**
 * Reads and merges the files of the rules. Relative paths in an entry are taken from the folder of its file.
 *
 * @throws CommandError `cli.kubeconfig-unreadable`, text `could not load --kubeconfig: …` (contract cli.md 2.8)
 */
export async function loadKubeconfig({ paths, isExplicit }: LoadingRules): Promise<Kubeconfig> {
  const clusters = new Map<string, KubeconfigEntry>();
  const contexts = new Map<string, KubeconfigEntry>();
  const users = new Map<string, KubeconfigEntry>();
  const files: string[] = [];
  let currentContext = "";
  for (const path of paths) {
    const text = await readFile(path, "utf8").catch((error: unknown) => {
      if (fileErrorCode(error) !== "ENOENT" || isExplicit) {
        const isMissing = fileErrorCode(error) === "ENOENT";
        const why = fileErrorText(isMissing ? "stat" : "open", path, error);
        throw unreadable(isMissing ? why : `error loading config file ${quoted(path)}: ${why}`, error);
      }
      return undefined;
    });
    if (text !== undefined) {
      const config = parseKubeconfig(text, path);
      files.push(path);
      currentContext ||= config.currentContext;
      addMissing(clusters, config.clusters);
      addMissing(contexts, config.contexts);
      addMissing(users, config.users);
    }
  }
  return { clusters, contexts, users, currentContext, files };
}

function addMissing<V>(into: Map<string, V>, from: ReadonlyMap<string, V>): void {
  for (const [name, value] of from) {
    if (!into.has(name)) {
      into.set(name, value);
    }
  }
}

/** Reads the text of one kubeconfig; `file` gives the folder for relative paths. */
export function parseKubeconfig(text: string, file: string): Kubeconfig {
  const fail = (why: string, cause?: unknown): never => {
    throw unreadable(`error loading config file ${quoted(file)}: ${why}`, cause);
  };
  const document = parseDocument(text, fail);
  const folder = dirname(resolve(file));
  const entries = (key: string, single: string, paths: readonly string[]): Map<string, KubeconfigEntry> => {
    const list = document[key] ?? [];
    if (!Array.isArray(list)) {
      return fail(`${key} is not a list`);
    }
    const found = new Map<string, KubeconfigEntry>();
    for (const [index, item] of list.entries()) {
      const at = `${key}[${index}]`;
      if (!isRecord(item) || typeof (item["name"] ?? "") !== "string" || !isRecord(item[single] ?? {})) {
        return fail(`${at} is not a name with a ${single}`);
      }
      const name = (item["name"] ?? "") as string;
      if (found.has(name)) {
        return fail(`duplicate name ${quoted(name)} in list ${key}`);
      }
      const value = (item[single] ?? {}) as UnknownRecord;
      const notText = TEXT_FIELDS.find((field) => value[field] != null && typeof value[field] !== "string");
      if (notText !== undefined) {
        return fail(`${at}.${single}.${notText} is not a string`);
      }
      found.set(name, { value: withAbsolutePaths(value, folder, paths), file });
    }
    return found;
  };
  const currentContext = document["current-context"] ?? "";
  return {
    clusters: entries("clusters", "cluster", ["certificate-authority"]),
    contexts: entries("contexts", "context", []),
    users: entries("users", "user", ["client-certificate", "client-key", "tokenFile"]),
    currentContext:
      typeof currentContext === "string" ? currentContext : fail("current-context is not a string"),
    files: [file],
  };
}

const TEXT_FIELDS = [
  ...["server", "tls-server-name", "certificate-authority", "certificate-authority-data", "proxy-url"],
  ...["cluster", "user", "namespace", "client-certificate", "client-certificate-data", "client-key"],
  ...["client-key-data", "token", "tokenFile", "username", "password", "as", "as-uid"],
];

function parseDocument(text: string, fail: (why: string, cause?: unknown) => never): UnknownRecord {
  let value: unknown;
  try {
    const documents = parseAllDocuments(text, { merge: true, logLevel: "silent" });
    const first = "empty" in documents ? undefined : documents[0];
    if (first?.errors[0] !== undefined) {
      throw first.errors[0];
    }
    value = first?.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    // The parser quotes the line in which it stopped from its second line on: that may be a key.
    return fail(`yaml: ${messageOf(error).split("\n")[0]?.replace(/:$/, "")}`, error);
  }
  return isRecord(value) ? value : fail("it is not an object");
}

function withAbsolutePaths(value: UnknownRecord, folder: string, keys: readonly string[]): UnknownRecord {
  const changed: Record<string, unknown> = { ...value };
  for (const key of keys) {
    const path = value[key];
    if (typeof path === "string" && path !== "" && !isAbsolute(path)) {
      changed[key] = join(folder, path);
    }
  }
  const exec = value["exec"];
  const command = isRecord(exec) ? exec["command"] : undefined;
  // A bare name is looked for in PATH; a path counts from the kubeconfig's folder.
  if (isRecord(exec) && typeof command === "string" && /[\\/]/.test(command) && !isAbsolute(command)) {
    changed["exec"] = { ...exec, command: join(folder, command) };
  }
  return changed;
}

function quoted(text: string): string {
  return `"${text}"`;
}

function unreadable(why: string, cause?: unknown): Error {
  return failure("cli.kubeconfig-unreadable", `could not load --kubeconfig: ${why}`, cause);
}
