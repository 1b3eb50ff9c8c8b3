import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sourceContext } from "./kubeconfig.ts";
import { loadingRules, loadKubeconfig, parseKubeconfig } from "./load-kubeconfig.ts";

const folder = mkdtempSync(join(tmpdir(), "lanyard-kubeconfig-"));
after(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const rules = (KUBECONFIG: string | undefined, flag?: string, platform: NodeJS.Platform = "linux") =>
  loadingRules({ flag, environment: { KUBECONFIG }, platform, homeFolder: "/home/jane" });

test("the flag counts more than KUBECONFIG, and that more than the home folder", () => {
  const home = { paths: ["/home/jane/.kube/config"], isExplicit: false };
  assert.deepEqual(rules("/a:/b", "/f"), { paths: ["/f"], isExplicit: true });
  assert.deepEqual(rules("/a:/b"), { paths: ["/a", "/b"], isExplicit: false });
  assert.deepEqual(rules(":/a::/b:/a:"), { paths: ["/a", "/b"], isExplicit: false });
  assert.deepEqual(rules("/a"), { paths: ["/a"], isExplicit: true });
  assert.deepEqual(rules("/a", "/b:/c"), { paths: ["/b", "/c"], isExplicit: false });
  assert.deepEqual(rules("C:\\a;D:\\b", undefined, "win32").paths, ["C:\\a", "D:\\b"]);
  assert.deepEqual([rules(undefined), rules(""), rules("/a", "")], [home, home, home]);
  assert.deepEqual(
    loadingRules({ flag: undefined, environment: {}, platform: "linux", homeFolder: undefined }).paths,
    [],
  );
});

test("several files: the first that names something decides, missing ones are passed over", async () => {
  const one = write(
    "one",
    "clusters: [{name: c, cluster: {server: https://one}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]",
  );
  const two = write(
    "two",
    "current-context: x\nclusters: [{name: c, cluster: {server: https://two, proxy-url: p}}, {name: d}]\nusers: [{name: u, user: {token: t}}]",
  );
  const config = await loadKubeconfig({ paths: [one, join(folder, "gone"), two], isExplicit: false });
  assert.deepEqual(sourceContext(config, ""), {
    contextName: "x",
    clusterName: "c",
    userName: "u",
    cluster: { server: "https://one" },
    user: { token: "t" },
  });
  assert.deepEqual([...config.clusters.keys()], ["c", "d"]);
  assert.deepEqual(config.files, [one, two]);
});

test("relative paths are taken from the folder of their file; unknown fields and extensions stay", async () => {
  mkdirSync(join(folder, "sub"), { recursive: true });
  const path = write(
    "sub/config",
    `
clusters: [{name: c, cluster: {certificate-authority: ../ca.pem, later: {a: 1}, extensions: [{name: e, extension: {x: y}}]}}]
users:
- {name: u, user: {client-certificate: c.pem, client-key: /abs/k.pem, tokenFile: t, exec: {command: ./bin/plugin}}}
- {name: v, user: {exec: {command: plugin}}}`,
  );
  const { clusters, users } = await loadKubeconfig({ paths: [path], isExplicit: true });
  assert.deepEqual(clusters.get("c")?.value, {
    "certificate-authority": join(folder, "ca.pem"),
    later: { a: 1 },
    extensions: [{ name: "e", extension: { x: "y" } }],
  });
  assert.deepEqual(users.get("u")?.value, {
    "client-certificate": join(folder, "sub/c.pem"),
    "client-key": "/abs/k.pem",
    tokenFile: join(folder, "sub/t"),
    exec: { command: join(folder, "sub/bin/plugin") },
  });
  assert.deepEqual(users.get("v")?.value, { exec: { command: "plugin" } });
});

test("JSON, anchors and empty files are kubeconfigs", () => {
  assert.equal(parseKubeconfig('{"current-context":"x"}', "/f").currentContext, "x");
  assert.equal(parseKubeconfig("", "/f").currentContext, "");
  const text = "a: &a {server: s}\nclusters: [{name: c, cluster: {<<: *a, proxy-url: p}}]";
  assert.deepEqual(parseKubeconfig(text, "/f").clusters.get("c")?.value, { server: "s", "proxy-url": "p" });
});

test("what cannot be loaded says why on one line, without quoting what is in it", async () => {
  const fails = async (path: string, message: string | RegExp, isExplicit = true): Promise<void> => {
    await assert.rejects(loadKubeconfig({ paths: [path], isExplicit }), { name: "CommandError", message });
  };
  const gone = join(folder, "gone");
  await fails(gone, `could not load --kubeconfig: stat ${gone}: no such file or directory`);
  await fails(
    folder,
    `could not load --kubeconfig: error loading config file "${folder}": read ${folder}: is a directory`,
    false,
  );
  for (const [text, why] of [
    ["users: [{name: u, user: {token: 'secret\n", /^yaml: .* at line \d+, column \d+$/],
    ["- a", /^it is not an object$/],
    ["clusters: {}", /^clusters is not a list$/],
    ["clusters: [{name: 1}]", /^clusters\[0\] is not a name with a cluster$/],
    ["users: [{name: u}, {name: u}]", /^duplicate name "u" in list users$/],
    ["users: [{name: u, user: {token: 12345}}]", /^users\[0\].user.token is not a string$/],
    ["current-context: 1", /^current-context is not a string$/],
  ] as const) {
    const path = write("bad", text);
    const start = `could not load --kubeconfig: error loading config file "${path}": `;
    await assert.rejects(loadKubeconfig({ paths: [path], isExplicit: true }), (error: Error) => {
      assert.ok(error.message.startsWith(start), error.message);
      assert.match(error.message.slice(start.length), why);
      assert.doesNotMatch(error.message, /secret|12345|\n/);
      return true;
    });
  }
});

test("a context, cluster or user that is not there is named", () => {
  const config = parseKubeconfig(
    "current-context: nouser\nclusters: [{name: c}]\ncontexts:\n- {name: nouser, context: {cluster: c, user: u}}\n- {name: nocluster, context: {cluster: d}}",
    "/f",
  );
  const start = "could not load --kubeconfig/--kubeconfig-context: no such";
  for (const [override, message] of [
    ["", `${start} user "u"`],
    ["nocluster", `${start} cluster "d"`],
    ["a\u001b[31m", `${start} context "a\\x1b[31m"`],
  ] as const) {
    assert.throws(() => sourceContext(config, override), { message });
  }
  assert.throws(() => sourceContext(parseKubeconfig("", "/f"), ""), { message: `${start} context ""` });
});
