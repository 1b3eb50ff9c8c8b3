import assert from "node:assert/strict";
import { test } from "node:test";
import { parseKubeconfig } from "./load-kubeconfig.ts";
import { mergeKubeconfig } from "./merge-kubeconfig.ts";
import { kubeconfigText, type WrittenKubeconfig, writtenUser } from "./written-kubeconfig.ts";

const user = (...args: string[]) => writtenUser({ command: "/bin/lanyard", args, installHint: "" });
const written: WrittenKubeconfig = {
  names: { context: "prod-pinniped", cluster: "prod-pinniped", user: "admin-pinniped" },
  cluster: { server: "https://prod" },
  user: user("login", "oidc", "--issuer=i"),
};
const merge = (text: string, config = written): string => mergeKubeconfig(text, config, "/f");
const mine = `# my clusters
apiVersion: v1
kind: Config
preferences: {colors: true} # bright
clusters:
# the old one
- cluster:
    server: "https://old"
    insecure-skip-tls-verify: true
  name: old
contexts:
- context: {cluster: old, user: me, namespace: 'x'}
  name: old
current-context: old
users:
- name: me
  user:
    token: secret # do not share
`;

test("entries are added; comments, order and other entries stay", () => {
  const merged = merge(mine);
  for (const line of mine.split("\n").filter((line) => !line.startsWith("current-context") && line !== "")) {
    assert.ok(merged.includes(line.trim().replace(/ {2,}#/, " #")), `${line} is gone from\n${merged}`);
  }
  const config = parseKubeconfig(merged, "/f");
  assert.deepEqual([...config.clusters.keys()], ["old", "prod-pinniped"]);
  assert.equal(config.currentContext, "prod-pinniped");
  assert.deepEqual(config.users.get("admin-pinniped")?.value, written.user);
  assert.deepEqual(config.contexts.get("prod-pinniped")?.value, {
    cluster: "prod-pinniped",
    user: "admin-pinniped",
  });
});

test("the same again changes not one byte", () => {
  const once = merge(mine);
  assert.equal(merge(once), once);
  assert.equal(merge(kubeconfigText(written)), kubeconfigText(written));
});

test("an empty file becomes what would have been written without it", () => {
  assert.equal(merge(""), kubeconfigText(written));
  assert.equal(merge("\n"), kubeconfigText(written));
});

test("JSON, empty lists and lists that are null take entries, too", () => {
  for (const text of [
    '{"clusters":[],"users":[],"contexts":[]}',
    "clusters: []\nusers:\ncontexts: null\n",
    "{}",
  ]) {
    const config = parseKubeconfig(merge(text), "/f");
    assert.deepEqual(config.clusters.get("prod-pinniped")?.value, written.cluster);
    assert.deepEqual(config.users.get("admin-pinniped")?.value, written.user);
  }
});

test("our own entries are renewed; what people added to the context stays", () => {
  const text = merge(mine).replace(
    "    user: admin-pinniped\n",
    "    user: admin-pinniped\n    namespace: team # mine\n",
  );
  const next = {
    ...written,
    cluster: { server: "https://moved" },
    user: user("login", "static", "--token=x"),
  };
  const merged = merge(text, next);
  assert.match(merged, /namespace: team # mine\n/);
  const config = parseKubeconfig(merged, "/f");
  assert.deepEqual(config.clusters.get("prod-pinniped")?.value, next.cluster);
  assert.deepEqual(config.users.get("admin-pinniped")?.value, next.user);
  assert.deepEqual(config.contexts.get("prod-pinniped")?.value, {
    cluster: "prod-pinniped",
    user: "admin-pinniped",
    namespace: "team",
  });
});

test("our context that pointed elsewhere keeps the rest of it", () => {
  const text = merge("")
    .replace("cluster: prod-pinniped\n    user", "cluster: elsewhere\n    namespace: team\n    user")
    .replace("name: prod-pinniped\ncontexts", "name: elsewhere\ncontexts");
  assert.deepEqual(parseKubeconfig(merge(text), "/f").contexts.get("prod-pinniped")?.value, {
    cluster: "prod-pinniped",
    user: "admin-pinniped",
    namespace: "team",
  });
});

test("an entry that is somebody else's is refused by name", () => {
  const refused = (kind: string, name: string): string =>
    `could not merge into /f: it has another ${kind} "${name}" already: remove or rename it, or choose another --generated-name-suffix`;
  const ours = merge("");
  const other = "- context: {cluster: prod-pinniped, user: admin-pinniped}\n  name: other\n";
  const shared = ours.replace("contexts:\n", `contexts:\n${other}`);
  for (const [text, config, message] of [
    ["users: [{name: admin-pinniped, user: {token: t}}]", written, refused("user", "admin-pinniped")],
    [
      "clusters: [{name: prod-pinniped, cluster: {server: https://x}}]",
      written,
      refused("cluster", "prod-pinniped"),
    ],
    [
      "contexts: [{name: prod-pinniped, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]",
      written,
      refused("context", "prod-pinniped"),
    ],
    [
      "clusters: [{name: prod-pinniped, cluster: {server: https://x}}]\ncontexts: [{name: prod-pinniped, context: {cluster: prod-pinniped, user: u}}]\nusers: [{name: u, user: {token: t}}]",
      written,
      refused("cluster", "prod-pinniped"),
    ],
    // Ours, but another context would be changed with it.
    [shared, { ...written, user: user("login", "oidc", "--issuer=j") }, refused("user", "admin-pinniped")],
    [shared, { ...written, cluster: { server: "https://moved" } }, refused("cluster", "prod-pinniped")],
  ] as const) {
    assert.throws(() => merge(text, config), { name: "CommandError", message });
  }
  assert.equal(parseKubeconfig(merge(shared), "/f").contexts.size, 2);
});

test("anchors of other entries survive", () => {
  const text =
    "clusters:\n- name: a\n  cluster: &a {server: https://a}\n- name: b\n  cluster:\n    <<: *a\n    proxy-url: p\n";
  const config = parseKubeconfig(merge(text), "/f");
  assert.deepEqual(config.clusters.get("b")?.value, { server: "https://a", "proxy-url": "p" });
});

test("what is no kubeconfig is not touched", () => {
  for (const text of ["- a", "a: 'b", "a: 1\n---\nb: 1\n"]) {
    assert.throws(() => merge(text), { name: "CommandError" });
  }
});
