import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { execArguments, type LoginArguments } from "./exec-arguments.ts";
import type { UnknownRecord } from "./unknown-value.ts";
import { kubeconfigText, writtenCluster, writtenUser } from "./written-kubeconfig.ts";

const folder = join(import.meta.dirname, "testdata");
const source: UnknownRecord = {
  server: "https://api.example.com:6443",
  "certificate-authority-data": Buffer.from("cluster CA").toString("base64"),
};
const oidc: LoginArguments["oidc"] = {
  issuer: "https://issuer.example.com/path",
  clientId: "pinniped-cli",
  scopes: ["offline_access", "openid", "pinniped:request-audience", "username", "groups"],
  skipBrowser: false,
  skipListen: false,
  listenPort: 0,
  caBundle: "issuer CA",
  sessionCache: "",
  debugSessionCache: false,
  requestAudience: "prod",
  upstreamIdentityProvider: { name: "", type: "", flow: "" },
};
const concierge = {
  apiGroupSuffix: "pinniped.dev",
  authenticatorName: "sup",
  authenticatorType: "jwt",
  endpoint: "https://api.example.com:6443",
  caBundle: "cluster CA",
};
const proxy = { ...concierge, endpoint: "https://proxy.example.com", caBundle: "proxy CA" };
const upstreamIdentityProvider = { name: "corp", type: "oidc", flow: "browser_authcode" };
const login: LoginArguments = {
  concierge,
  staticToken: "",
  staticTokenEnvironment: "",
  oidc,
  deviceCode: false,
  credentialLifetime: "",
};
const { concierge: _, ...withoutConcierge } = login;
const webhook = { ...concierge, authenticatorName: "hook", authenticatorType: "webhook" };
const everything: LoginArguments = {
  ...login,
  credentialCache: "",
  oidc: {
    ...oidc,
    skipBrowser: true,
    skipListen: true,
    listenPort: 4000,
    sessionCache: "/tmp/my sessions.yaml",
    debugSessionCache: true,
    upstreamIdentityProvider,
  },
  deviceCode: true,
  credentialLifetime: "15m0s",
};

/** Each is `testdata/kubeconfig-<name>.yaml`, with the source's cluster where it is not the usual one. */
const shapes: Readonly<Record<string, readonly [LoginArguments, UnknownRecord?]>> = {
  "token-credential-request-api": [login],
  "impersonation-proxy": [{ ...login, concierge: proxy }],
  supervisor: [{ ...login, concierge: proxy, oidc: { ...oidc, upstreamIdentityProvider } }],
  "static-token": [{ ...login, concierge: webhook, staticToken: "a: token" }],
  "static-token-env": [
    { ...login, concierge: webhook, staticTokenEnvironment: "TOKEN", credentialLifetime: "1m0s" },
  ],
  "no-concierge": [withoutConcierge],
  "no-concierge-static": [{ ...withoutConcierge, staticToken: "t", credentialCache: "/c" }],
  "custom-suffix": [{ ...login, concierge: { ...concierge, apiGroupSuffix: "walrus.example.com" } }],
  "every-flag": [everything],
  "system-trust": [
    { ...login, concierge: { ...proxy, caBundle: "" }, oidc: { ...oidc, caBundle: "" } },
    { server: "https://api.example.com:6443", "certificate-authority": "/etc/cluster/ca.pem" },
  ],
  "cluster-fields": [
    { ...login, concierge: proxy },
    {
      ...source,
      "certificate-authority": "/etc/cluster/ca.pem",
      "tls-server-name": "kubernetes.default",
      "proxy-url": "socks5://localhost:1080",
      "insecure-skip-tls-verify": false,
      "disable-compression": true,
      extensions: [
        { name: "z", extension: { b: [1, true, null], a: { c: "yes" } } },
        { name: "client.authentication.k8s.io/exec", extension: { audience: "x" } },
      ],
      "a-field-of-tomorrow": { kept: [] },
    },
  ],
};

for (const [name, [args, cluster = source]] of Object.entries(shapes)) {
  test(`the kubeconfig "${name}" is the golden file`, () => {
    const text = kubeconfigText({
      names: { context: "prod-pinniped", cluster: "prod-pinniped", user: "admin-pinniped" },
      cluster: writtenCluster(cluster, args.concierge),
      user: writtenUser({
        command: "/usr/local/bin/pinniped",
        args: execArguments(args),
        installHint:
          "The pinniped CLI does not appear to be installed.  See https://get.pinniped.dev/cli for more details",
      }),
    });
    assert.equal(text, readFileSync(join(folder, `kubeconfig-${name}.yaml`), "utf8"));
  });
}

test("every golden kubeconfig belongs to a shape", () => {
  const files = readdirSync(folder).filter((name) => name.startsWith("kubeconfig-"));
  assert.deepEqual(
    files,
    Object.keys(shapes)
      .map((name) => `kubeconfig-${name}.yaml`)
      .toSorted(),
  );
});

test("arguments that make no login are refused", () => {
  for (const [args, message] of [
    [
      { ...login, staticToken: "a", staticTokenEnvironment: "B" },
      "only one of --static-token and --static-token-env can be specified",
    ],
    [
      { ...login, oidc: { ...oidc, issuer: "" } },
      "could not autodiscover --oidc-issuer and none was provided",
    ],
    [
      { ...login, oidc: { ...oidc, requestAudience: "x.pinniped.dev\u001b[31m" } },
      "request audience is not allowed to include the substring '.pinniped.dev': x.pinniped.dev\\x1b[31m",
    ],
  ] as const) {
    assert.throws(() => execArguments(args), { name: "CommandError", message });
  }
});

test("nothing that was learnt can become an argument of its own", () => {
  const hostile = "x\n--pinniped-cli-path=/bin/sh\u0000 --credential-cache=/etc/passwd";
  const args = execArguments({
    ...login,
    concierge: { ...concierge, authenticatorName: hostile, endpoint: hostile },
    oidc: {
      ...oidc,
      issuer: hostile,
      requestAudience: hostile,
      upstreamIdentityProvider: { name: hostile, type: hostile, flow: hostile },
    },
  });
  const usual = execArguments({ ...login, oidc: { ...oidc, upstreamIdentityProvider } });
  const flag = (arg: string): string => arg.split("=")[0] ?? "";
  assert.deepEqual(args.map(flag), usual.map(flag));
});
