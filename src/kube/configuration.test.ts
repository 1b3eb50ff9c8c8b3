import assert from "node:assert/strict";
import { mkdtemp, rm, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { createManualClock } from "../clock.ts";
import { inClusterEndpoint, kubeconfigEndpoint } from "./configuration.ts";
import { createTextSource } from "./text-source.ts";

describe("endpoints", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "kube-configuration-"));
  });
  after(() => rm(folder, { recursive: true }));

  const kubeconfig = async (
    cluster: Record<string, unknown>,
    user: Record<string, unknown>,
    more: Record<string, unknown> = {},
  ): Promise<string> => {
    const path = join(folder, "kubeconfig");
    // JSON is YAML.
    await writeFile(
      path,
      JSON.stringify({
        "current-context": "main",
        contexts: [{ name: "main", context: { cluster: "c", user: "u", namespace: "ns" } }],
        clusters: [{ name: "c", cluster }],
        users: [{ name: "u", user }],
        ...more,
      }),
    );
    return path;
  };

  it("reads the ServiceAccount's mount", async () => {
    await writeFile(join(folder, "token"), "t");
    await writeFile(join(folder, "ca.crt"), "c");
    await writeFile(join(folder, "namespace"), "concierge\n");
    assert.deepEqual(await inClusterEndpoint({ host: "fd00::1", port: "443", mountFolder: folder }), {
      serverUrl: "https://[fd00::1]:443",
      certificateAuthority: { file: join(folder, "ca.crt") },
      token: { file: join(folder, "token") },
      namespace: "concierge",
    });
    for (const [host, port, mountFolder] of [
      [undefined, "443", folder],
      ["10.0.0.1", undefined, folder],
      ["10.0.0.1", "x", folder],
      ["10.0.0.1", "443", join(folder, "missing")],
    ] as const) {
      await assert.rejects(inClusterEndpoint({ host, port, mountFolder }), {
        code: "kubernetes.configuration.invalid",
      });
    }
  });

  it("reads a kubeconfig's context", async () => {
    const path = await kubeconfig(
      {
        server: "https://api.test:6443/prefix/",
        "certificate-authority": "pki/ca.crt",
        "tls-server-name": "kubernetes",
      },
      {
        token: "ignored",
        tokenFile: "token",
        "client-certificate-data": Buffer.from("CERT").toString("base64"),
        "client-key": "/abs/key",
      },
    );
    assert.deepEqual(await kubeconfigEndpoint({ path }), {
      serverUrl: "https://api.test:6443/prefix",
      certificateAuthority: { file: join(folder, "pki/ca.crt") },
      tlsServerName: "kubernetes",
      token: { file: join(folder, "token") },
      clientCertificate: { certificate: { text: "CERT" }, key: { file: "/abs/key" } },
      namespace: "ns",
    });
    await assert.rejects(kubeconfigEndpoint({ path, context: "other" }), {
      message: `kubeconfig ${path}: no context named "other"`,
    });
  });

  it("refuses what a server must not do, and tells no secret", async () => {
    const server = { server: "https://api.test" };
    for (const [cluster, user, message] of [
      [server, { exec: { command: "x" } }, /uses exec: a server runs no credential plugins/],
      [server, { "auth-provider": { name: "x" } }, /uses auth-provider/],
      [server, { username: "a", password: "s3cret" }, /uses username/],
      [server, { as: "admin", token: "s3cret" }, /uses as:/],
      [{ ...server, "insecure-skip-tls-verify": true }, {}, /uses insecure-skip-tls-verify/],
      [{ ...server, "proxy-url": "http://p" }, {}, /uses proxy-url/],
      [{ server: "http://api.test" }, {}, /must be an https:\/\/ URL/],
      [{ server: "https://me:s3cret@api.test" }, {}, /must be an https:\/\/ URL/],
      [{}, {}, /must be an https:\/\/ URL/],
      [server, { "client-key-data": "eA==" }, /both a client certificate and its key/],
    ] as const) {
      const path = await kubeconfig(cluster, user);
      await assert.rejects(kubeconfigEndpoint({ path }), (error: Error & { code?: string }) => {
        assert.equal(error.code, "kubernetes.configuration.invalid");
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /s3cret|\n/);
        return true;
      });
    }
    const path = await kubeconfig({ ...server, "insecure-skip-tls-verify": false }, {});
    assert.deepEqual(await kubeconfigEndpoint({ path }), { serverUrl: "https://api.test", namespace: "ns" });
    for (const text of ["", "[1", "a: &a [*a]", "- 1", "users:\n  token: s3cret: x\n", "token: 's3cret"]) {
      await writeFile(path, text);
      await assert.rejects(kubeconfigEndpoint({ path }), (error: Error & { code?: string }) => {
        assert.equal(error.code, "kubernetes.configuration.invalid");
        assert.doesNotMatch(error.message, /s3cret|\n/);
        return true;
      });
    }
    await assert.rejects(kubeconfigEndpoint({ path: join(folder, "missing") }), {
      code: "kubernetes.configuration.invalid",
    });
  });

  it("looks at a file every 5 s, reads it every minute, and keeps the last good text", async () => {
    const file = join(folder, "watched");
    const clock = createManualClock();
    const source = createTextSource({ file }, { clock });
    await assert.rejects(source.read(), { code: "kubernetes.configuration.unreadable" });
    await writeFile(file, "one");
    await utimes(file, 1000, 1000);
    assert.equal(await source.read(), "one");
    await writeFile(file, "three");
    assert.equal(await source.read(), "one", "not looked at yet");
    await clock.advance(5_000);
    assert.deepEqual(await Promise.all([source.read(), source.read()]), ["three", "three"]);
    await utimes(file, 1000, 1000);
    await clock.advance(5_000);
    assert.equal(await source.read(), "three");
    await writeFile(file, "seven");
    await utimes(file, 1000, 1000);
    await clock.advance(5_000);
    assert.equal(await source.read(), "three", "looks the same");
    await clock.advance(60_000);
    assert.equal(await source.read(), "seven");
    await writeFile(file, "eight");
    await utimes(file, 1000, 1000);
    source.expire();
    assert.equal(await source.read(), "eight");
    await unlink(file);
    source.expire();
    assert.equal(await source.read(), "eight");
  });
});
