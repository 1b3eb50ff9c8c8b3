import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse, stringify } from "yaml";

import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { startWebhook, type TestWebhook } from "../oidc/webhook.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import { type Installation, installConcierge, kubectl, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import type { AuthenticatorName } from "./harness/exchange.ts";
import { readText } from "./harness/http.ts";
import { configureProxy, proxyAt, type ProxyClient } from "./harness/proxy.ts";

const program =
  process.env["LANYARD_TEST_CLI"] ?? join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");
const clientId = "kubeconfig-test";
const jwt: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
const webhookName: AuthenticatorName = { kind: "WebhookAuthenticator", name: "hook" };
const hint =
  "      installHint: The pinniped CLI does not appear to be installed.  See https://get.pinniped.dev/cli\n        for more details\n";
const base64 = (text: string): string => Buffer.from(text).toString("base64");

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe("get kubeconfig and whoami against a real kube-apiserver", () => {
  let cluster: Cluster;
  let concierge: Installation;
  let issuer: TestIssuer;
  let webhook: TestWebhook;
  let proxy: ProxyClient;
  let proxyEndpoint: string;
  let folder: string;
  let clusterCa: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-cli-kubeconfig-"));
    issuer = await startIssuer({ clientId, users: [] });
    webhook = await startWebhook({
      tokens: { "opaque-good": { username: "hook", groups: ["apes", "zebras"] } },
    });
    cluster = await startCluster({ name: `cli-kubeconfig-${process.pid}`, progress: () => {} });
    clusterCa = readText(cluster.ca.cert);
    concierge = await installConcierge(cluster, {
      signWithClusterCa: false,
      values: [
        "kubeCertAgent.enabled=false",
        "certificateSigningRequestAPI.mode=Enabled",
        "clientCertificate.maximumLifetimeSeconds=900",
      ],
      configuration: {
        leaderElection: { leaseDurationSeconds: 5, renewDeadlineSeconds: 3, retryPeriodSeconds: 1 },
      },
    });
    await waitUntilServing(concierge);
    const [replica = assert.fail()] = concierge.replicas;
    await configureProxy(concierge, { externalEndpoint: `localhost:${replica.proxyPort}` });
    proxy = await proxyAt(concierge, replica);
    proxyEndpoint = `https://localhost:${replica.proxyPort}`;
    await applyAuthenticator(cluster, jwt, jwtSpec());
    await authenticatorInPhase(cluster, jwt, "Ready");
    await eventually("both strategies", async () => {
      const text = await kubectl(cluster, ["get", "credentialissuer", "-o", "json"]);
      const { items } = JSON.parse(text) as {
        items: { status: { strategies: { status: string; frontend?: unknown }[] } }[];
      };
      const working = items[0]?.status.strategies.filter(({ status }) => status === "Success") ?? [];
      assert.equal(working.length, 2, text);
      assert.ok(text.includes(`"endpoint": "${proxyEndpoint}"`), text);
      return true;
    });
  });
  after(async () => {
    await concierge?.close();
    await issuer?.stop();
    await webhook?.stop();
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const jwtSpec = (tls: object = inlineBundle(issuer.caPem)) => ({
    issuer: issuer.issuerUrl,
    audience: clientId,
    tls,
  });
  /** The program as a user starts it. */
  const lanyard = (args: readonly string[], environment: Record<string, string> = {}): Promise<Result> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [program, ...args], {
        env: { PATH: process.env["PATH"] ?? "", HOME: folder, ...environment },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const chunks = { stdout: "", stderr: "" };
      child.stdout.on("data", (chunk) => (chunks.stdout += chunk));
      child.stderr.on("data", (chunk) => (chunks.stderr += chunk));
      child.once("error", reject);
      child.once("close", (code) => resolve({ code, ...chunks }));
    });
  const getKubeconfig = (
    args: readonly string[],
    environment: Record<string, string> = {},
  ): Promise<Result> =>
    lanyard(
      [
        "get",
        "kubeconfig",
        `--kubeconfig=${cluster.kubeconfig}`,
        "--pinniped-cli-path=/bin/lanyard",
        ...args,
      ],
      environment,
    );
  const succeeded = (result: Result): Result => {
    assert.equal(result.code, 0, result.stderr);
    return result;
  };
  const assertFails = async (args: readonly string[], text: string): Promise<void> => {
    const { code, stdout, stderr } = await getKubeconfig(args);
    assert.deepEqual([code, stdout, stderr.split("\n").at(-2)], [1, "", `Error: ${text}`], stderr);
  };
  const messages = (stderr: string): string[] => stderr.split("\n").map((line) => line.split("  ")[2] ?? "");
  const sourceName = (): string => "kubernetes-admin@kubernetes";
  const expected = (options: {
    readonly server: string;
    readonly ca: string;
    readonly args: readonly string[];
    readonly suffix?: string;
  }): string => {
    const suffix = options.suffix ?? "-pinniped";
    return [
      "apiVersion: v1",
      "clusters:",
      "- cluster:",
      `    certificate-authority-data: ${base64(options.ca)}`,
      `    server: ${options.server}`,
      `  name: kubernetes${suffix}`,
      "contexts:",
      "- context:",
      `    cluster: kubernetes${suffix}`,
      `    user: kubernetes-admin${suffix}`,
      `  name: ${sourceName()}${suffix}`,
      `current-context: ${sourceName()}${suffix}`,
      "kind: Config",
      "preferences: {}",
      "users:",
      `- name: kubernetes-admin${suffix}`,
      "  user:",
      "    exec:",
      "      apiVersion: client.authentication.k8s.io/v1beta1",
      "      args:",
      ...options.args.map((arg) => `      - ${arg}`),
      "      command: /bin/lanyard",
      "      env: []",
      `${hint}      provideClusterInfo: true`,
      "",
    ].join("\n");
  };
  const conciergeArgs = (name: string, type: string, endpoint: string, ca: string): readonly string[] => [
    "--enable-concierge",
    "--concierge-api-group-suffix=pinniped.dev",
    `--concierge-authenticator-name=${name}`,
    `--concierge-authenticator-type=${type}`,
    `--concierge-endpoint=${endpoint}`,
    `--concierge-ca-bundle-data=${base64(ca)}`,
  ];
  const oidcArgs = (): readonly string[] => [
    `--issuer=${issuer.issuerUrl}`,
    "--client-id=pinniped-cli",
    "--scopes=offline_access,openid,pinniped:request-audience,username,groups",
    `--ca-bundle-data=${base64(issuer.caPem)}`,
    `--request-audience=${clientId}`,
  ];

  describe("kubeconfigs", () => {
    it("of the impersonation proxy hold what CredentialIssuer and JWTAuthenticator say, and the log tells each", async () => {
      const { stdout, stderr } = succeeded(await getKubeconfig([]));
      const args = [
        "login",
        "oidc",
        ...conciergeArgs("company", "jwt", proxyEndpoint, proxy.caPem),
        ...oidcArgs(),
      ];
      assert.equal(stdout, expected({ server: proxyEndpoint, ca: proxy.caPem, args }));
      assert.deepEqual(messages(stderr).slice(0, -1), [
        "discovered CredentialIssuer",
        "discovered Concierge operating in impersonation proxy mode",
        "discovered Concierge endpoint",
        "discovered Concierge certificate authority bundle",
        "discovered JWTAuthenticator",
        "discovered OIDC issuer",
        "discovered OIDC audience",
        "using OIDC client ID",
        "discovered OIDC CA bundle",
        "validated connection to the cluster",
      ]);
      assert.match(stderr, new RegExp(`discovered OIDC audience  {"audience": "${clientId}"}`));
      assert.match(stderr, /using OIDC client ID {2}{"clientID": "pinniped-cli"}/);
      assert.match(stderr, /certificate authority bundle {2}{"roots": 1}/);
    });

    it("of the TokenCredentialRequest API use the source's own server and CA", async () => {
      const { stdout } = succeeded(await getKubeconfig(["--concierge-mode=tokencredentialrequestapi"]));
      const args = [
        "login",
        "oidc",
        ...conciergeArgs("company", "jwt", cluster.serverUrl, clusterCa),
        ...oidcArgs(),
      ];
      assert.equal(stdout, expected({ server: cluster.serverUrl, ca: clusterCa, args }));
    });

    it("from a source with a CA file, a relative path and a second kubeconfig in KUBECONFIG work all the same", async () => {
      const source = parse(readFileSync(cluster.kubeconfig, "utf8")) as {
        clusters: { cluster: Record<string, string> }[];
        users: unknown;
      };
      const { users, ...rest } = source;
      const [entry = assert.fail()] = rest.clusters;
      delete entry.cluster["certificate-authority-data"];
      entry.cluster["certificate-authority"] = "ca.pem";
      writeFileSync(join(folder, "ca.pem"), clusterCa);
      writeFileSync(join(folder, "clusters"), stringify(rest));
      writeFileSync(join(folder, "users"), stringify({ users }));
      const { stdout } = succeeded(
        await lanyard(
          [
            "get",
            "kubeconfig",
            "--concierge-mode=TokenCredentialRequestAPI",
            "--pinniped-cli-path=/bin/lanyard",
          ],
          {
            KUBECONFIG: [join(folder, "clusters"), join(folder, "missing"), join(folder, "users")].join(":"),
          },
        ),
      );
      const args = [
        "login",
        "oidc",
        ...conciergeArgs("company", "jwt", cluster.serverUrl, clusterCa),
        ...oidcArgs(),
      ];
      assert.equal(
        stdout,
        expected({ server: cluster.serverUrl, ca: clusterCa, args }).replace(
          "- cluster:\n",
          `- cluster:\n    certificate-authority: ${join(folder, "ca.pem")}\n`,
        ),
      );
    });

    it("can be merged, used by kubectl through the exec plugin, and show who somebody is", async () => {
      await applyAuthenticator(cluster, webhookName, {
        endpoint: webhook.endpoint,
        tls: inlineBundle(webhook.caPem),
      });
      try {
        await authenticatorInPhase(cluster, webhookName, "Ready");
        const target = join(folder, "team");
        writeFileSync(
          target,
          "# mine\nkind: Config\nusers:\n- name: other # keep\n  user: {token: secret}\n",
        );
        const shim = join(folder, "lanyard");
        writeFileSync(shim, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
        chmodSync(shim, 0o755);
        const { stdout, stderr } = succeeded(
          await getKubeconfig([
            "--static-token=opaque-good",
            "--concierge-authenticator-type=Webhook",
            `--pinniped-cli-path=${shim}`,
            "--merge",
            `--output=${target}`,
          ]),
        );
        assert.equal(stdout, "");
        assert.match(stderr, /merged into kubeconfig/);
        const text = readFileSync(target, "utf8");
        assert.match(text, /^# mine\n/);
        assert.match(text, /name: other # keep/);
        assert.match(text, /--concierge-authenticator-name=hook\n/);
        assert.match(text, /--concierge-authenticator-type=Webhook\n/);
        assert.equal(statSync(target).mode & 0o777, 0o600);
        const backup = readdirSync(folder).find((name) => name.startsWith("team.backup-"));
        assert.equal(statSync(join(folder, backup ?? "")).mode & 0o777, 0o600);

        const who = await eventually("a first login", async () => {
          const result = await lanyard(["whoami", `--kubeconfig=${target}`]);
          return result.code === 0 ? result : assert.fail(result.stderr);
        });
        assert.equal(
          who.stdout,
          `Current cluster info:\n\nName: kubernetes-pinniped\nURL: ${proxyEndpoint}\n\nCurrent user info:\n\nUsername: hook\nGroups: apes, zebras, system:authenticated\n`,
        );
        const seen = await cluster.exec([
          "kubectl",
          `--kubeconfig=${target}`,
          "auth",
          "whoami",
          "-o",
          "json",
        ]);
        assert.equal(
          (JSON.parse(seen.stdout) as { status: { userInfo: { username: string } } }).status.userInfo
            .username,
          "hook",
        );
      } finally {
        await kubectl(cluster, ["delete", "webhookauthenticator", webhookName.name]);
      }
    });

    it("overwrite their own source safely, and leave it alone when something goes wrong", async () => {
      const path = join(folder, "source");
      const text = readFileSync(cluster.kubeconfig, "utf8");
      writeFileSync(path, text, { mode: 0o644 });
      const failed = await lanyard([
        "get",
        "kubeconfig",
        `--kubeconfig=${path}`,
        `-o${path}`,
        "--concierge-credential-issuer=none",
      ]);
      assert.equal(failed.code, 1);
      assert.equal(readFileSync(path, "utf8"), text);
      succeeded(await lanyard(["get", "kubeconfig", `--kubeconfig=${path}`, `-o${path}`]));
      assert.match(readFileSync(path, "utf8"), /current-context: kubernetes-admin@kubernetes-pinniped/);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const copy = readdirSync(folder).find((name) => name.startsWith("source.backup-")) ?? "";
      assert.equal(readFileSync(join(folder, copy), "utf8"), text);
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.endsWith(".tmp")),
        [],
      );
    });

    it("of another context with the same issuer and audience are warned of, and refused when that was asked for", async () => {
      const neighbour = join(folder, "neighbour");
      const { stdout } = succeeded(await getKubeconfig([]));
      writeFileSync(
        neighbour,
        stdout
          .replace(`server: ${proxyEndpoint}`, "server: https://neighbour.example.com")
          .replaceAll("-pinniped\n", "-neighbour\n"),
      );
      const environment = { KUBECONFIG: `${cluster.kubeconfig}:${neighbour}` };
      const warned = succeeded(await lanyard(["get", "kubeconfig"], environment));
      assert.match(
        warned.stderr,
        /"context": "kubernetes-admin@kubernetes-pinniped".*"otherContext": "kubernetes-admin@kubernetes-neighbour"/,
      );
      const refused = await lanyard(["get", "kubeconfig"], {
        ...environment,
        LANYARD_STRICT_AUDIENCE: "true",
      });
      assert.equal(refused.code, 1);
      assert.equal(refused.stdout, "");
      assert.match(
        refused.stderr,
        /^Error: contexts "kubernetes-admin@kubernetes-pinniped" and "kubernetes-admin@kubernetes-neighbour" /m,
      );
    });
  });

  describe("the CA of an issuer", () => {
    const discovers = "tried to autodiscover --oidc-ca-bundle, but ";
    const withTls = async (tls: object, use: () => Promise<void>): Promise<void> => {
      await applyAuthenticator(cluster, { ...jwt, name: "ca" }, jwtSpec(tls));
      try {
        await use();
      } finally {
        await kubectl(cluster, ["delete", "jwtauthenticator", "ca"]);
      }
    };
    const named = ["--concierge-authenticator-type=jwt", "--concierge-authenticator-name=ca"];
    const source = (kind: string, name: string, key: string): object => ({
      certificateAuthorityDataSource: { kind, name, key },
    });

    before(async () => {
      const data = { "ca.crt": issuer.caPem, empty: "", none: "not a certificate" };
      for (const [kind, values] of [
        ["ConfigMap", data],
        ["Secret", Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]))],
      ] as const) {
        const object = {
          apiVersion: "v1",
          kind,
          metadata: { name: "issuer-ca", namespace: concierge.namespace },
          data: values,
        };
        await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(object));
      }
    });

    for (const kind of ["Secret", "ConfigMap"]) {
      it(`comes from a ${kind} in the Concierge's namespace`, async () => {
        await withTls(source(kind, "issuer-ca", "ca.crt"), async () => {
          const { stdout, stderr } = succeeded(await getKubeconfig(named));
          assert.match(stdout, new RegExp(`--ca-bundle-data=${RegExp.escape(base64(issuer.caPem))}\n`));
          assert.match(stderr, /discovered Concierge namespace for API group suffix/);
          assert.match(
            stderr,
            /discovered OIDC CA bundle from JWTAuthenticator spec.tls.certificateAuthorityDataSource {2}{"roots": 1}/,
          );
        });
      });

      it(`says what is wrong with a ${kind}`, async () => {
        const at = "specified by JWTAuthenticator ca spec.tls.certificateAuthorityDataSource";
        for (const [name, key, text] of [
          [
            "gone",
            "ca.crt",
            `encountered error getting ${kind} concierge/gone ${at}: ${kind.toLowerCase()}s "gone" not found`,
          ],
          ["issuer-ca", "other", `key "other" ${at}.key does not exist in ${kind} concierge/issuer-ca`],
          [
            "issuer-ca",
            "empty",
            `key "empty" ${at}.key exists but has empty value in ${kind} concierge/issuer-ca`,
          ],
          [
            "issuer-ca",
            "none",
            `value at key "none" ${at}.key does not contain any CA certificates in ${kind} concierge/issuer-ca`,
          ],
        ] as const) {
          await withTls(source(kind, name, key), () => assertFails(named, `${discovers}${text}`));
        }
      });
    }

    it("says what is wrong with the bundle in the object", async () => {
      await withTls({ certificateAuthorityData: "a!b" }, () =>
        assertFails(
          named,
          `${discovers}JWTAuthenticator ca has invalid spec.tls.certificateAuthorityData: illegal base64 data at input byte 1`,
        ),
      );
    });
  });

  describe("what the cluster says", () => {
    const configGroup = "config.concierge.pinniped.dev";
    const issuerObject = async (name: string, strategies: readonly object[]): Promise<void> => {
      const object = {
        apiVersion: `${configGroup}/v1alpha1`,
        kind: "CredentialIssuer",
        metadata: { name },
        spec: { impersonationProxy: { mode: "disabled", service: { type: "None" } } },
      };
      await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(object));
      await kubectl(cluster, [
        ...["patch", "credentialissuer", name, "--subresource=status", "--type=merge"],
        `--patch=${JSON.stringify({ status: { strategies } })}`,
      ]);
    };
    const strategy = (status: string, reason: string, frontend?: object): object => ({
      type: "KubeClusterSigningCertificate",
      status,
      reason,
      message: "as written here",
      lastUpdateTime: "2026-01-01T00:00:00Z",
      ...(frontend === undefined ? {} : { frontend }),
    });
    const deleteIssuer = (name: string) => kubectl(cluster, ["delete", "credentialissuer", name]);

    it("about several CredentialIssuers and a missing one", async () => {
      await issuerObject("second", [strategy("Error", "CouldNotFetchKey")]);
      try {
        await assertFails(
          [],
          "multiple CredentialIssuers were found, so the --concierge-credential-issuer flag must be specified",
        );
        await assertFails(
          ["--concierge-credential-issuer=none"],
          `credentialissuers.${configGroup} "none" not found`,
        );
        await assertFails(
          ["--concierge-credential-issuer=second"],
          "could not autodiscover --concierge-mode",
        );
        const { stderr } = await getKubeconfig(["--concierge-credential-issuer=second"]);
        assert.match(
          stderr,
          /found CredentialIssuer strategy {2}{"type": "KubeClusterSigningCertificate", "status": "Error", "reason": "CouldNotFetchKey", "message": "as written here"}/,
        );
        await assertFails(
          ["--concierge-credential-issuer=second", "--concierge-mode=impersonationproxy"],
          "could not find successful Concierge strategy matching --concierge-mode=ImpersonationProxy",
        );
      } finally {
        await deleteIssuer("second");
      }
    });

    it("about a proxy's CA that is no base64, without letting it write on the terminal", async () => {
      const impersonationProxyInfo = {
        endpoint: "https://x.example.com",
        certificateAuthorityData: "YQ=!\u001b[31m",
      };
      await issuerObject("hostile", [
        strategy("Success", "Listening", { type: "ImpersonationProxy", impersonationProxyInfo }),
      ]);
      try {
        await assertFails(
          ["--concierge-credential-issuer=hostile"],
          "autodiscovered Concierge CA bundle is invalid: illegal base64 data at input byte 2",
        );
      } finally {
        await deleteIssuer("hostile");
      }
    });

    it("about a strategy that is pending: waits for it, until the time is over", async () => {
      await issuerObject("pending", [strategy("Error", "Pending")]);
      try {
        const name = "--concierge-credential-issuer=pending";
        await assertFails([name, "--timeout=3s"], "context deadline exceeded");
        await assertFails([name, "--concierge-skip-wait"], "could not autodiscover --concierge-mode");
        const waiting = getKubeconfig([name, "--concierge-mode=TokenCredentialRequestAPI"]);
        const tokenCredentialRequestInfo = {
          server: "https://unused.example.com",
          certificateAuthorityData: "YQ==",
        };
        await issuerObject("pending", [
          strategy("Success", "FetchedKey", {
            type: "TokenCredentialRequestAPI",
            tokenCredentialRequestInfo,
          }),
        ]);
        const { stdout } = succeeded(await waiting);
        assert.match(stdout, new RegExp(`--concierge-endpoint=${RegExp.escape(cluster.serverUrl)}\n`));
      } finally {
        await deleteIssuer("pending");
      }
    });

    it("about authenticators: none, several, an unknown type", async () => {
      await applyAuthenticator(cluster, { ...jwt, name: "second" }, jwtSpec());
      await applyAuthenticator(cluster, { ...webhookName, name: "second" }, { endpoint: webhook.endpoint });
      try {
        const several =
          "multiple authenticators were found, so the --concierge-authenticator-type/--concierge-authenticator-name flags must be specified";
        await assertFails([], several);
        await assertFails(["--concierge-authenticator-type=JWT"], several);
        await assertFails(["--concierge-authenticator-name=second"], several);
        await assertFails(["--concierge-authenticator-name=third"], "no authenticators were found");
        await assertFails(
          ["--concierge-authenticator-type=ldap"],
          'invalid authenticator type "ldap", supported values are "webhook" and "jwt"',
        );
        await assertFails(
          ["--concierge-authenticator-type=jwt", "--concierge-authenticator-name=third"],
          'jwtauthenticators.authentication.concierge.pinniped.dev "third" not found',
        );
        const { stderr } = await getKubeconfig([]);
        assert.match(
          stderr,
          /found JWTAuthenticator {2}{"name": "company"}\n.*found JWTAuthenticator {2}{"name": "second"}\n.*found WebhookAuthenticator {2}{"name": "second"}\n/,
        );
      } finally {
        await kubectl(cluster, ["delete", "jwtauthenticator,webhookauthenticator", "second"]);
      }
    });

    it("about an authenticator of which only one half is given: the other one is looked up", async () => {
      await applyAuthenticator(cluster, { ...jwt, name: "second" }, jwtSpec());
      await applyAuthenticator(cluster, { ...webhookName, name: "second" }, { endpoint: webhook.endpoint });
      try {
        const byType = succeeded(
          await getKubeconfig(["--concierge-authenticator-type=webhook", "--static-token-env=T"]),
        );
        assert.match(
          byType.stdout,
          /--concierge-authenticator-name=second\n.*--concierge-authenticator-type=webhook\n/,
        );
        const byName = succeeded(await getKubeconfig(["--concierge-authenticator-name=company"]));
        assert.match(
          byName.stdout,
          /--concierge-authenticator-name=company\n.*--concierge-authenticator-type=jwt\n/,
        );
        await assertFails(
          ["--concierge-authenticator-type=webhook"],
          "could not autodiscover --oidc-issuer and none was provided",
        );
      } finally {
        await kubectl(cluster, ["delete", "jwtauthenticator,webhookauthenticator", "second"]);
      }
    });

    it("about API groups that it does not have", async () => {
      await assertFails(
        ["--concierge-api-group-suffix=example.com"],
        "failed to list CredentialIssuer objects for autodiscovery: the server could not find the requested resource (get credentialissuers.config.concierge.example.com)",
      );
      const { code, stderr } = await lanyard([
        "whoami",
        `--kubeconfig=${cluster.kubeconfig}`,
        "--api-group-suffix=example.com",
      ]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Error: could not complete WhoAmIRequest \(is the Pinniped WhoAmI API running and healthy\?\): the server could not find the requested resource \(post whoamirequests\.identity\.concierge\.example\.com\)/,
      );
    });

    it("about a user that may not look", async () => {
      const path = join(folder, "nobody");
      await cluster.serviceAccountKubeconfig("default", "default", path);
      const { code, stderr } = await lanyard(["get", "kubeconfig", `--kubeconfig=${path}`]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Error: failed to list CredentialIssuer objects for autodiscovery: credentialissuers.config.concierge.pinniped.dev is forbidden: User "system:serviceaccount:default:default" cannot list .* \(audit ID [-0-9a-f]+\)\n$/m,
      );
    });
  });

  describe("whoami", () => {
    it("prints the user as text, JSON and YAML", async () => {
      const whoami = async (...args: string[]) =>
        succeeded(await lanyard(["whoami", `--kubeconfig=${cluster.kubeconfig}`, ...args])).stdout;
      assert.equal(
        await whoami(),
        `Current cluster info:\n\nName: kubernetes\nURL: ${cluster.serverUrl}\n\nCurrent user info:\n\nUsername: kubernetes-admin\nGroups: kubeadm:cluster-admins, system:authenticated\n`,
      );
      const json = JSON.parse(await whoami("-o", "json")) as {
        status: { kubernetesUserInfo: { user: object } };
      };
      assert.deepEqual(Object.keys(json), ["kind", "apiVersion", "metadata", "spec", "status"]);
      const yaml = await whoami("--output=yaml");
      assert.deepEqual(parse(yaml), json);
      assert.match(
        yaml,
        /^apiVersion: identity.concierge.pinniped.dev\/v1alpha1\nkind: WhoAmIRequest\nmetadata:\n {2}creationTimestamp: null\nspec: \{\}\nstatus:\n {2}kubernetesUserInfo:\n {4}user:\n/,
      );
    });
  });
});
