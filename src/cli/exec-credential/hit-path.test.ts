import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const source = join(import.meta.dirname, "..");

/** Every module that importing a file loads, by a process of its own. */
function modulesOf(file: string): readonly string[] {
  const script = `
    const { registerHooks } = require("node:module");
    const seen = new Set();
    registerHooks({ resolve: (s, c, next) => { const found = next(s, c); seen.add(found.url); return found; } });
    import(${JSON.stringify(join(source, file))}).then(() => console.log(JSON.stringify([...seen])));
  `;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=commonjs", "-e", script], {
    encoding: "utf8",
    env: {},
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as string[];
}

for (const file of ["commands/login-oidc.ts", "commands/login-static.ts"]) {
  test(`${file}: what a cache hit loads is neither YAML, nor HTTP, nor TLS, nor crypto`, () => {
    const modules = modulesOf(file);
    assert.ok(modules.length > 15);
    const heavy = modules.filter((url) =>
      /node_modules|node:(?:crypto|tls|https?|net|child_process|dns)|\/(?:http|oidc|pki|tls)\//.test(url),
    );
    assert.deepEqual(heavy, []);
  });
}
