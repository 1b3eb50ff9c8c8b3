import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { createTestContext } from "../http/testing/context.ts";
import { encodeBase64 } from "./ca-bundle.ts";
import { userCredentials } from "./user-credentials.ts";

const folder = mkdtempSync(join(tmpdir(), "lanyard-user-"));
after(() => rmSync(folder, { recursive: true }));
const context = createTestContext({ environment: { PATH: process.env["PATH"], GIVEN: "1" } });
const { certificatePem, privateKeyPem } = await createLoopbackCertificate();
const credentials = async (user: object) => {
  const prepared = await userCredentials(context, user as Record<string, unknown>, {});
  return await prepared(context.signal);
};
const write = (name: string, text: string, mode = 0o600): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};
const fails = (user: object, message: string | RegExp): Promise<void> =>
  assert.rejects(credentials(user), { name: "CommandError", message });

test("tokens, token files, passwords and certificates are shown as client-go shows them", async () => {
  const path = write("token", "of-file\n");
  assert.deepEqual(await credentials({}), { headers: {} });
  assert.deepEqual(await credentials({ token: "t" }), { headers: { authorization: "Bearer t" } });
  assert.deepEqual(await credentials({ token: "t", tokenFile: path }), {
    headers: { authorization: "Bearer of-file" },
  });
  assert.deepEqual(
    await credentials({ username: "u", password: "p", as: "x", "as-uid": "1", "as-groups": ["g"] }),
    {
      headers: {
        authorization: `Basic ${encodeBase64("u:p")}`,
        "impersonate-user": "x",
        "impersonate-uid": "1",
        "impersonate-group": "g",
      },
    },
  );
  const pair = {
    "client-certificate-data": encodeBase64(certificatePem),
    "client-certificate": "/not/read",
    "client-key": write("key", privateKeyPem),
  };
  assert.deepEqual(await credentials(pair), {
    headers: {},
    clientCertificate: { certificate: certificatePem, key: privateKeyPem },
  });
});

test("what cannot be used says so without the secret", async () => {
  const start = "could not configure Kubernetes client: ";
  await fails({ "auth-provider": { name: "gcp" } }, `${start}no Auth Provider found for name "gcp"`);
  await fails(
    { tokenFile: "/gone" },
    `${start}unable to read tokenFile: open /gone: no such file or directory`,
  );
  await fails(
    { "client-key-data": "!" },
    `${start}the user's client-key-data is not base64: illegal base64 data at input byte 0`,
  );
  await fails(
    { "client-certificate-data": encodeBase64(certificatePem) },
    `${start}the user has a client certificate without its key, or a key without its certificate`,
  );
  await fails(
    { "client-certificate-data": "YQ==", "client-key-data": "YQ==" },
    `${start}the user's client certificate cannot be read: it must be PEM`,
  );
  await fails({ token: "geheim\n" }, `${start}the user's token holds characters that no HTTP header can`);
  await fails(
    { token: "t", exec: {} },
    /^could not configure Kubernetes client: a user has an exec plugin and another/,
  );
  await fails({ as: "x", "as-groups": ["a", "b"] }, /several groups/);
});

test("an exec plugin runs when a call is made, with its environment and the cluster", async () => {
  const seen = join(folder, "seen");
  const command = write(
    "plugin",
    `#!/bin/sh\necho "$GIVEN $EXTRA $1 $KUBERNETES_EXEC_INFO" > '${seen}'\necho '{"apiVersion":"client.authentication.k8s.io/v1","status":{"token":"from-plugin"}}'\n`,
    0o755,
  );
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command,
    args: ["arg"],
    env: [{ name: "EXTRA", value: "2" }],
    interactiveMode: "IfAvailable",
    provideClusterInfo: true,
  };
  const extensions = [{ name: "client.authentication.k8s.io/exec", extension: { a: 1 } }];
  const prepared = await userCredentials(
    context,
    { exec },
    { server: "https://s", "proxy-url": "", extensions },
  );
  assert.throws(() => readFileSync(seen));
  assert.deepEqual(await prepared(context.signal), { headers: { authorization: "Bearer from-plugin" } });
  assert.equal(
    readFileSync(seen, "utf8"),
    '1 2 arg {"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://s","config":{"a":1}},"interactive":false}}\n',
  );
});

test("an exec plugin that fails says how, never what it printed", async () => {
  const apiVersion = "client.authentication.k8s.io/v1beta1";
  const start = "getting credentials: ";
  const printing = (name: string, text: string): object => ({
    exec: { apiVersion, command: write(name, `#!/bin/sh\n${text}\n`, 0o755) },
  });
  await fails({ exec: { apiVersion: "v7", command: "x" } }, `${start}exec plugin: invalid apiVersion "v7"`);
  await fails(
    { exec: { apiVersion, command: "no-such-plugin-here", installHint: "Get it\nthere" } },
    `${start}exec: executable no-such-plugin-here not found: Get it\\nthere`,
  );
  await fails(
    { exec: { apiVersion, command: "x", interactiveMode: "Always" } },
    `${start}exec plugin cannot support interactive mode: standard input is not a terminal`,
  );
  await fails(
    printing("three", "exit 3"),
    `${start}exec: executable ${join(folder, "three")} failed with exit code 3`,
  );
  await fails(printing("text", "echo geheim"), `${start}decoding stdout: the exec plugin did not print JSON`);
  await fails(
    printing("v1", `echo '{"apiVersion":"client.authentication.k8s.io/v1"}'`),
    `${start}exec plugin is configured to use API version ${apiVersion}, plugin returned version client.authentication.k8s.io/v1`,
  );
  await fails(
    printing("empty", `echo '{"apiVersion":"${apiVersion}"}'`),
    `${start}exec plugin didn't return a status field`,
  );
  await fails(
    printing("half", `echo '{"apiVersion":"${apiVersion}","status":{"clientKeyData":"k"}}'`),
    `${start}exec plugin returned only certificate or key, not both`,
  );
});
