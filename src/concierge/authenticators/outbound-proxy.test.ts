import assert from "node:assert/strict";
import { test } from "node:test";
import { createProxyForUrl } from "./outbound-proxy.ts";

function isProxied(noProxy: string, url: string): boolean {
  const decision = createProxyForUrl({ httpsProxy: "proxy.example:3128", noProxy })(new URL(url));
  assert.equal(decision.error, undefined);
  return decision.proxy !== undefined;
}

const rows: readonly (readonly [noProxy: string, url: string, proxied: boolean])[] = [
  ["", "https://a.example", true],
  ["", "http://a.example", false],
  ["", "https://localhost", false],
  ["", "https://127.8.9.1:8443", false],
  ["", "https://[::1]", false],
  ["*", "https://a.example", false],
  ["a.example", "https://a.example", false],
  ["A.Example ", "https://a.example", false],
  ["a.example", "https://b.a.example", false],
  ["a.example", "https://ba.example", true],
  [".a.example", "https://a.example", true],
  [".a.example", "https://b.a.example", false],
  ["*.a.example", "https://a.example", true],
  ["*.a.example", "https://b.a.example", false],
  ["a.example:8443", "https://a.example", true],
  ["a.example:443", "https://a.example", false],
  ["a.example:8443", "https://a.example:8443", false],
  ["10.0.0.0/8", "https://10.1.2.3", false],
  ["10.0.0.0/8", "https://11.1.2.3", true],
  ["10.0.0.0/8", "https://ten.example", true],
  ["fd00::/8", "https://[fd00::1]", false],
  ["10.1.2.3", "https://10.1.2.3", false],
  ["10.1.2.3:8443", "https://10.1.2.3", true],
  [" , x.example , a.example", "https://a.example", false],
];

test("NO_PROXY is read as Go programs do", () => {
  for (const [noProxy, url, proxied] of rows) {
    assert.equal(isProxied(noProxy, url), proxied, `${noProxy} ${url}`);
  }
});

test("without HTTPS_PROXY everything is direct, with a bad one nothing is", () => {
  assert.deepEqual(createProxyForUrl({ noProxy: "x" })(new URL("https://a.example")), { proxy: undefined });
  const broken = createProxyForUrl({ httpsProxy: "http://a b" });
  assert.match(
    broken(new URL("https://a.example")).error ?? "",
    /^invalid proxy address "http:\/\/a b": parse /,
  );
  assert.equal(
    createProxyForUrl({ httpsProxy: "https://u:p@proxy.example" })(new URL("https://a.example")).proxy?.href,
    "https://u:p@proxy.example/",
  );
});
