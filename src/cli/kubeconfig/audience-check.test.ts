import assert from "node:assert/strict";
import { test } from "node:test";
import { contextsWithAudience } from "./audience-check.ts";
import { parseKubeconfig } from "./load-kubeconfig.ts";

const config = (
  args: readonly string[],
  server = "https://a.example.com/",
): ReturnType<typeof parseKubeconfig> =>
  parseKubeconfig(
    JSON.stringify({
      clusters: [{ name: "c", cluster: { server } }],
      contexts: [{ name: "a", context: { cluster: "c", user: "u" } }],
      users: [{ name: "u", user: { exec: { command: "lanyard", args } } }],
    }),
    "/a",
  );
const login = ["login", "oidc", "--issuer=https://issuer", "--client-id=cli"];
const found = (
  configs: Parameters<typeof contextsWithAudience>[0],
  audience = "cli",
  server = "https://b.example.com",
): readonly string[] =>
  contextsWithAudience(configs, { issuer: "https://issuer/", audience, cluster: { server } }).map(
    ({ context, server: other, file }) => `${context} ${other} ${file}`,
  );
const hit = ["a https://a.example.com/ /a"];

test("the same issuer and audience at another server is found, however the flags are written", () => {
  assert.deepEqual(found([config(login)]), hit);
  assert.deepEqual(found([config([...login, "--request-audience=prod"])], "prod"), hit);
  assert.deepEqual(
    found([config(["login", "oidc", "--issuer", "https://issuer", "--request-audience", "prod"])], "prod"),
    hit,
  );
  assert.deepEqual(found([config(["login", "oidc", "--issuer=https://issuer"])], "pinniped-cli"), hit);
  assert.deepEqual(
    found([config([...login, "--request-audience=x", "--request-audience=prod"])], "prod"),
    hit,
  );
});

test("the same context in two kubeconfigs is named once", () => {
  assert.deepEqual(found([config(login), config(login)]), hit);
});

test("the same server, another audience, another issuer, and other ways to log in are not", () => {
  assert.deepEqual(found([config(login)], "cli", "HTTPS://A.example.com:443"), []);
  assert.deepEqual(found([config(login)], "other"), []);
  assert.deepEqual(found([config([...login, "--issuer=https://else"])]), []);
  assert.deepEqual(found([config(["login", "static", ...login.slice(2)])]), []);
  assert.deepEqual(found([config(["get-token", ...login.slice(2)])]), []);
});
