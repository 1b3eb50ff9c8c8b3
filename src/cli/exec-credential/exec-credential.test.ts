import assert from "node:assert/strict";
import { test } from "node:test";
import { cacheKey } from "../cache/cache-key.ts";
import { readExecInfo } from "./exec-info.ts";
import { execCredentialLine } from "./output.ts";

test("the printed line is Go's, byte for byte, without empty fields", () => {
  assert.equal(
    execCredentialLine({ token: "a<b>&\u2028", expirationTimestamp: "2026-06-01T12:00:00Z" }),
    '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":false},"status":{"expirationTimestamp":"2026-06-01T12:00:00Z","token":"a\\u003cb\\u003e\\u0026\\u2028"}}',
  );
  assert.equal(
    execCredentialLine({ clientKeyData: "k\n", clientCertificateData: "c\n", token: "" }, "v1"),
    '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false},"status":{"clientCertificateData":"c\\n","clientKeyData":"k\\n"}}',
  );
});

const info = (spec: unknown, version = "v1beta1", kind = "ExecCredential"): string =>
  JSON.stringify({ kind, apiVersion: `client.authentication.k8s.io/${version}`, spec });

test("cluster information counts in v1beta1 alone, and nothing else makes an error", () => {
  const cluster = { server: "https://a", config: { b: 1 } };
  assert.deepEqual(readExecInfo(info({ cluster, interactive: true })), {
    given: true,
    version: "v1beta1",
    cluster,
    interactive: true,
  });
  assert.deepEqual(readExecInfo(info({ cluster }, "v1")), {
    given: true,
    version: "v1",
    cluster: null,
    interactive: true,
  });
  const unknown = { given: true, version: "v1beta1", cluster: null, interactive: true };
  for (const text of [
    "{",
    "[]",
    "null",
    info({}),
    info({ cluster: null }),
    info({ cluster: "x" }),
    info({ cluster: { server: 1 } }),
    info({ cluster }, "v1alpha1"),
    info({ cluster }, "v1beta1", "Status"),
  ]) {
    assert.deepEqual(readExecInfo(text), unknown, text);
  }
  assert.deepEqual(readExecInfo(undefined), { ...unknown, given: false });
  assert.deepEqual(readExecInfo(""), { ...unknown, given: false });
  assert.equal(readExecInfo(info({ interactive: false })).interactive, false);
});

test("the cluster's key is that of the contract, and numbers of its config keep their text", () => {
  const args = ["login", "oidc", "--issuer=https://example.com"];
  const { cluster } = readExecInfo(
    info({
      cluster: {
        server: "https://k8s.example.com:6443",
        "certificate-authority-data": "dGVzdA==",
        config: null,
      },
    }),
  );
  assert.equal(
    cacheKey({ args, cluster }),
    "6c3ee6880cfc32a9b2e9ab2b7a550ada90ee90c457f03e03f8f012e480625e7c",
  );
  const odd =
    '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"cluster":{"server":"s","config":{"n":1.0,"big":12345678901234567890}}}}';
  assert.equal(JSON.stringify(readExecInfo(odd).cluster?.config), '{"n":1.0,"big":12345678901234567890}');
});
