import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyFromEnvironment } from "./proxy-from-environment.ts";

const proxied = (address: string, environment: Record<string, string>): string | undefined =>
  proxyFromEnvironment(new URL(address), environment)?.href;

test("the address's scheme chooses the variable, upper case first", () => {
  const both = { HTTPS_PROXY: "http://upper:1", https_proxy: "http://lower:1", http_proxy: "plain:3128" };
  assert.equal(proxied("https://a.test", both), "http://upper:1/");
  assert.equal(proxied("https://a.test", { https_proxy: "http://lower:1" }), "http://lower:1/");
  assert.equal(
    proxied("https://a.test", { HTTPS_PROXY: "", https_proxy: "http://lower:1" }),
    "http://lower:1/",
  );
  assert.equal(proxied("http://a.test", both), "http://plain:3128/");
  assert.equal(proxied("https://a.test", { HTTP_PROXY: "http://x:1" }), undefined);
});

// The rows follow the documentation of golang.org/x/net/http/httpproxy.
const rows: readonly (readonly [noProxy: string, address: string, exempt: boolean])[] = [
  ["", "https://a.test", false],
  ["", "https://localhost:8443", true],
  ["", "https://127.0.0.1", true],
  ["", "https://127.9.9.9:1", true],
  ["", "https://[::1]:8443", true],
  ["*", "https://a.test", true],
  ["a.test", "https://a.test", true],
  ["a.test", "https://x.a.test", true],
  ["a.test", "https://xa.test", false],
  [".a.test", "https://x.a.test", true],
  [".a.test", "https://a.test", false],
  ["*.a.test", "https://x.a.test", true],
  ["*.a.test", "https://a.test", false],
  [" other.test , A.TEST ", "https://a.test", true],
  ["a.test:8443", "https://a.test:8443", true],
  ["a.test:8443", "https://a.test", false],
  ["a.test:443", "https://a.test", true],
  ["10.1.2.3", "https://10.1.2.3", true],
  ["10.1.2.3:443", "https://10.1.2.3", true],
  ["10.1.2.3:80", "https://10.1.2.3", false],
  ["10.0.0.0/8", "https://10.200.3.4:6443", true],
  ["10.0.0.0/8", "https://11.0.0.1", false],
  ["10.0.0.0/8", "https://ten.test", false],
  ["fd00::/8", "https://[fd12::1]:6443", true],
  ["fd12::1", "https://[fd12::1]", true],
  ["[fd12::1]:6443", "https://[fd12::1]:6443", true],
  ["[fd12::1]:6443", "https://[fd12::1]", false],
  ["10.0.0.0/99,b.test", "https://10.0.0.1", false],
];

for (const [noProxy, address, exempt] of rows) {
  test(`NO_PROXY=${JSON.stringify(noProxy)} ${exempt ? "exempts" : "does not exempt"} ${address}`, () => {
    for (const name of ["NO_PROXY", "no_proxy"]) {
      const answer = proxied(address, { HTTPS_PROXY: "http://proxy.test:3128", [name]: noProxy });
      assert.equal(answer, exempt ? undefined : "http://proxy.test:3128/");
    }
  });
}
