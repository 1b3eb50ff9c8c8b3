import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { cacheKey, hashLine } from "./cache-key.ts";

const args = ["login", "oidc", "--issuer=https://example.com"];

/** The digest of the text that the contract says is hashed. */
function digest(text: string): string {
  return hash("sha256", `${text}\n`);
}

test("the three vectors of contract cli.md 7", () => {
  assert.equal(
    cacheKey({ args, cluster: null }),
    "260ff4f45bf8c8807aed7857af9be01bbcfc129fc9797f8e42d3a6dabdb4acc5",
  );
  assert.equal(
    cacheKey({
      args,
      cluster: { server: "https://k8s.example.com:6443", "certificate-authority-data": "dGVzdA==" },
    }),
    "6c3ee6880cfc32a9b2e9ab2b7a550ada90ee90c457f03e03f8f012e480625e7c",
  );
  assert.equal(hashLine('["k1","k2"]'), "625bb1f93dc90a1bda400fdaceb8c96328e567a0c6aaf81e7fccc68958b4565d");
});

test("fields of the cluster come in the contract's order, empty ones not at all, config always", () => {
  const config = { z: 1, a: [true, null] };
  assert.equal(
    cacheKey({
      args: ["login"],
      cluster: {
        config,
        "disable-compression": true,
        "proxy-url": "socks5://127.0.0.1:1080",
        "insecure-skip-tls-verify": true,
        "tls-server-name": "kubernetes",
        server: "https://a",
      },
    }),
    digest(
      '{"args":["login"],"cluster":{"server":"https://a","tls-server-name":"kubernetes","insecure-skip-tls-verify":true,' +
        '"proxy-url":"socks5://127.0.0.1:1080","disable-compression":true,"config":{"z":1,"a":[true,null]}}}',
    ),
  );
  assert.equal(
    cacheKey({
      args: ["login"],
      cluster: { server: "", "tls-server-name": "", "insecure-skip-tls-verify": false, "proxy-url": "" },
    }),
    digest('{"args":["login"],"cluster":{"server":"","config":null}}'),
  );
});

test("a static token stands between the arguments and the cluster, an empty one too", () => {
  assert.equal(
    cacheKey({ args: ["login", "static"], token: "abc", cluster: null }),
    digest('{"args":["login","static"],"token":"abc","cluster":null}'),
  );
  assert.equal(
    cacheKey({ args: [], token: "", cluster: null }),
    digest('{"args":[],"token":"","cluster":null}'),
  );
});

test("characters are escaped as Go's encoder does", () => {
  assert.equal(
    cacheKey({ args: ["<a>&\u2028\u2029", 'q"\\\t\u0001\u007fä'], cluster: null }),
    digest('{"args":["\\u003ca\\u003e\\u0026\\u2028\\u2029","q\\"\\\\\\t\\u0001\u007fä"],"cluster":null}'),
  );
});
