import { type Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";
import { goQuote } from "../../go-text.ts";
import { parseKubeconfig } from "./load-kubeconfig.ts";
import type { Kubeconfig } from "./kubeconfig.ts";
import { loginStanza } from "./login-stanza.ts";
import { recordIn, textIn, type UnknownRecord } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";
import { goLess } from "./key-order.ts";
import { writeYaml } from "./write-yaml.ts";
import { jsonValue, kubeconfigText, type WrittenKubeconfig } from "./written-kubeconfig.ts";

/**
 * Puts one cluster, user and context into the text of a kubeconfig and makes the context the current one. Everything else stays,
 * comments too. An entry of the same name is replaced only if it is a login stanza, or belongs to one, and nothing else uses it.
 *
 * @param file for relative paths and messages
 * @throws CommandError `cli.merge-refused`, text `could not merge into <file>: …`
 */
export function mergeKubeconfig(text: string, written: WrittenKubeconfig, file: string): string {
  const { names } = written;
  const refuse = (why: string, cause?: unknown): never => {
    throw failure("cli.merge-refused", `could not merge into ${file}: ${why}`, cause);
  };
  // With the loader's own texts about what is no kubeconfig.
  const present = parseKubeconfig(text, file);
  if (text.trim() === "") {
    return kubeconfigText(written);
  }
  const document = parseDocument(text, { merge: true, keepSourceTokens: false });
  if (document.errors.length > 0 || !(document.contents === null || isMap(document.contents))) {
    return refuse("it is not a single YAML object");
  }
  const taken = firstTaken(present, written);
  if (taken !== undefined) {
    return refuse(
      `it has another ${taken.kind} ${goQuote(taken.name)} already: remove or rename it, or choose another --generated-name-suffix`,
    );
  }
  for (const [key, value] of [
    ["apiVersion", "v1"],
    ["kind", "Config"],
  ]) {
    if (document.get(key) === undefined) {
      document.set(key, value);
    }
  }
  put(document, "clusters", "cluster", names.cluster, (old) =>
    sameEntry(old, written.cluster) ? undefined : written.cluster,
  );
  put(document, "users", "user", names.user, (old) =>
    sameEntry(old, written.user) ? undefined : written.user,
  );
  const pair = { cluster: names.cluster, user: names.user };
  // What people add to a context, such as a namespace, is theirs.
  put(document, "contexts", "context", names.context, (old) =>
    textIn(old, "cluster") === pair.cluster && textIn(old, "user") === pair.user
      ? undefined
      : { ...recordIn(old), ...pair },
  );
  if (document.get("current-context") !== names.context) {
    document.set("current-context", names.context);
  }
  const merged = document.toString({ lineWidth: 0, indentSeq: false, flowCollectionPadding: false });
  assertNothingLost(present, parseKubeconfig(merged, file), written, refuse);
  return merged;
}

/** The first entry whose name we need and that must not be replaced. */
function firstTaken(
  present: Kubeconfig,
  { names, cluster, user }: WrittenKubeconfig,
): { readonly kind: string; readonly name: string } | undefined {
  const usersOf = (key: "cluster" | "user", name: string): readonly string[] =>
    [...present.contexts].filter(([, { value }]) => textIn(value, key) === name).map(([context]) => context);
  const isLogin = (name: string): boolean => {
    const entry = present.users.get(name);
    return entry !== undefined && loginStanza(entry.value) !== undefined;
  };
  const oursAlone = (contexts: readonly string[]): boolean =>
    contexts.every((name) => name === names.context);
  const oldContext = present.contexts.get(names.context)?.value;
  const contextIsLogin = oldContext !== undefined && isLogin(textIn(oldContext, "user"));
  const oldUser = present.users.get(names.user)?.value;
  const oldCluster = present.clusters.get(names.cluster)?.value;
  const isOurContext =
    oldContext === undefined ||
    contextIsLogin ||
    (textIn(oldContext, "cluster") === names.cluster && textIn(oldContext, "user") === names.user);
  if (oldUser !== undefined && !sameEntry(oldUser, user)) {
    if (!isLogin(names.user) || !oursAlone(usersOf("user", names.user))) {
      return { kind: "user", name: names.user };
    }
  }
  if (oldCluster !== undefined && !sameEntry(oldCluster, cluster)) {
    const users = usersOf("cluster", names.cluster);
    if (!contextIsLogin || users.length === 0 || !oursAlone(users)) {
      return { kind: "cluster", name: names.cluster };
    }
  }
  return isOurContext ? undefined : { kind: "context", name: names.context };
}

function sameEntry(old: unknown, wanted: UnknownRecord): boolean {
  return writeYaml(jsonValue(recordIn(old))) === writeYaml(jsonValue(wanted));
}

function put(
  document: Document,
  listKey: string,
  entryKey: string,
  name: string,
  change: (old: unknown) => UnknownRecord | undefined,
): void {
  const list = document.get(listKey, true);
  const sequence = isSeq(list) ? list : (document.createNode([]) as YAMLSeq);
  if (sequence !== list) {
    document.set(listKey, sequence);
  }
  const item = sequence.items.find((each): each is YAMLMap => isMap(each) && each.get("name") === name);
  if (item === undefined) {
    const value = change(undefined);
    if (sequence.items.length === 0) {
      // An empty list is written `[]`; what goes into it is not.
      sequence.flow = false;
    }
    sequence.add(document.createNode(sorted({ [entryKey]: value ?? {}, name })));
    return;
  }
  const old: unknown = item.toJS(document) as unknown;
  const value = change(recordIn(old)[entryKey]);
  if (value !== undefined) {
    item.set(entryKey, document.createNode(sorted(value)));
  }
}

/** Keys in the order in which kubeconfigs have them. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(sorted);
  }
  return typeof value === "object" && value !== null
    ? Object.fromEntries(
        Object.entries(value)
          .toSorted(([a], [b]) => (goLess(a, b) ? -1 : 1))
          .map(([key, item]) => [key, sorted(item)]),
      )
    : value;
}

/** People's access hangs on this file: what was written must read back as what was there and what was added. */
function assertNothingLost(
  before: Kubeconfig,
  after: Kubeconfig,
  { names, cluster, user }: WrittenKubeconfig,
  refuse: (why: string) => never,
): void {
  const kept = (["clusters", "users", "contexts"] as const).every((key) => {
    const ours = { clusters: names.cluster, users: names.user, contexts: names.context }[key];
    return [...before[key]].every(
      ([name, { value }]) => name === ours || sameEntry(after[key].get(name)?.value, value),
    );
  });
  const added =
    sameEntry(after.clusters.get(names.cluster)?.value, cluster) &&
    sameEntry(after.users.get(names.user)?.value, user) &&
    after.currentContext === names.context;
  if (!kept || !added) {
    refuse("its form cannot be kept: write to a file of its own with -o");
  }
}
