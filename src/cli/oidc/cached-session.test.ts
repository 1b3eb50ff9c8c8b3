import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const PROGRAM = `
  import { registerHooks } from "node:module";
  const loaded = [];
  registerHooks({ resolve: (specifier, context, next) => {
    const found = next(specifier, context);
    loaded.push(found.url);
    return found;
  } });
  const { performOidcLogin } = await import(${JSON.stringify(import.meta.resolve("./perform-login.ts"))});
  const expiryTimestamp = new Date(Date.now() + 3_000_000).toISOString();
  const result = await performOidcLogin(
    { environment: {}, clock: { now: () => Date.now() }, log: { info: () => {} } },
    {
      issuer: "https://issuer.example.com", clientId: "c", scopes: ["openid"], listenPort: 0, skipBrowser: false, skipListen: false,
      upstreamIdentityProvider: { name: "", type: "oidc" }, interactive: true, signal: new AbortController().signal,
      sessions: { get: () => Promise.resolve({ id: { token: "cached", expiryTimestamp } }) },
    },
  );
  console.log(JSON.stringify({ token: result.idToken, loaded }));
`;

test("a session that answers by itself loads no HTTP client, no JWT library and no TLS", async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    PROGRAM,
  ]);
  assert.equal(stderr, "");
  const { token, loaded } = JSON.parse(stdout) as { token: string; loaded: string[] };
  assert.equal(token, "cached");
  assert.ok(loaded.some((url) => url.endsWith("/oidc/session-reuse.ts")));
  assert.deepEqual(
    loaded.filter((url) =>
      /node_modules|node:(?:tls|https?|crypto)|renew-session|create-http-client/.test(url),
    ),
    [],
  );
});
