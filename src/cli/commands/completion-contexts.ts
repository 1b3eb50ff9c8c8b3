import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { parse } from "yaml";
import type { CommandContext } from "../context.ts";

/** Names of the contexts of a kubeconfig, or of several in the form of `$KUBECONFIG`; empty: the default one. */
export async function readContextNames(
  { environment, homeFolder }: CommandContext,
  kubeconfig: string,
): Promise<readonly string[]> {
  const configured = kubeconfig === "" ? (environment["KUBECONFIG"] ?? "") : kubeconfig;
  const paths = configured
    .split(delimiter)
    .filter((path) => path !== "")
    .concat(configured === "" && homeFolder !== undefined ? [join(homeFolder, ".kube", "config")] : []);
  const names = await Promise.all(
    paths.map(async (path) => contextNames(parse(await readFile(path, "utf8"), { maxAliasCount: 10 }))),
  );
  return [...new Set(names.flat())].toSorted();
}

function contextNames(document: unknown): readonly string[] {
  const contexts = isObject(document) && Array.isArray(document["contexts"]) ? document["contexts"] : [];
  return contexts.flatMap((context: unknown) =>
    isObject(context) && typeof context["name"] === "string" ? [context["name"]] : [],
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
