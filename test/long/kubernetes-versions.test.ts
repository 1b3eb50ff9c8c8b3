// The essentials on the oldest and the newest Kubernetes that is supported; every other test runs on the one of CI.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ensureHelm, kubernetesVersions } from "../../hack/cluster/binaries.ts";
import { administrator, frontProxy } from "../integration/harness/callers.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { eventually } from "../integration/harness/eventually.ts";
import {
  authenticationGroup,
  type SeenUser,
  seenUser,
  whoAmI,
  whoAmIBody,
  whoAmIPath,
} from "../integration/harness/exchange.ts";
import { grant, type ProxyWorld, readConfigMaps } from "../integration/harness/proxy-world.ts";
import { type KubernetesWorld, startKubernetesWorld } from "./kubernetes-world.ts";

const charts = join(import.meta.dirname, "..", "..", "charts");
const configMaps = "/api/v1/namespaces/default/configmaps";
const credentialId = "authentication.kubernetes.io/credential-id";
const proxyReason = "decision made by impersonation-proxy.concierge.pinniped.dev";
/** KEP-5284, on by default since Kubernetes 1.36. */
const constrained = { oldest: false, newest: true } as const;

for (const release of ["oldest", "newest"] as const) {
  const version = `v${kubernetesVersions[release]}`;

  describe(`Kubernetes ${version}, the ${release} that is supported`, () => {
    let kubernetes: KubernetesWorld;
    let world: ProxyWorld;

    before(async () => {
      kubernetes = await startKubernetesWorld(release, { jane: ["apes", "zebras"], imp: [], carl: [] });
      ({ world } = kubernetes);
      const { cluster } = world;
      await grant(cluster, "test-apes", { kind: "Group", name: "apes" }, readConfigMaps);
      await grant(cluster, "test-bob", { kind: "User", name: "bob" }, readConfigMaps);
      await grant(cluster, "test-imp", { kind: "User", name: "imp" }, [
        { apiGroups: [""], resources: ["users"], verbs: ["impersonate"] },
      ]);
    });
    after(async () => {
      await kubernetes?.stop();
    });

    const metrics = (): Promise<string> => kubectl(world.cluster, ["get", "--raw=/metrics"]);

    it("is what runs: kube-apiserver, kubectl, and an etcd of its own", async (t) => {
      const versions = JSON.parse(await kubectl(world.cluster, ["version", "--output=json"])) as Record<
        "clientVersion" | "serverVersion",
        { readonly gitVersion: string }
      >;
      assert.deepEqual(
        [versions.clientVersion.gitVersion, versions.serverVersion.gitVersion],
        [version, version],
      );
      const etcd = await world.cluster.exec(["etcd", "--version"]);
      t.diagnostic(etcd.stdout.split("\n", 1)[0] ?? "");
    });

    it("takes both charts and our kinds as strictly as it can", async () => {
      const { cluster } = world;
      const strict = (...more: string[]): string[] => [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
        ...more,
        "--filename=-",
      ];
      const helm = await ensureHelm();
      for (const chart of ["lanyard-concierge-crds", "lanyard-concierge"]) {
        // Under another name, as what is installed would be merged with it; the CRDs are really applied.
        const more = chart.endsWith("-crds") ? [] : ["--set=appName=strict"];
        const rendered = await cluster.exec([
          helm,
          "template",
          "strict",
          join(charts, chart),
          "--namespace=default",
          ...more,
        ]);
        assert.equal(rendered.code, 0, rendered.stderr);
        const dryRun = chart.endsWith("-crds") ? [] : ["--dry-run=server"];
        await kubectl(cluster, strict(...dryRun), rendered.stdout);
      }
      const authenticator = (spec: object): string =>
        JSON.stringify({
          apiVersion: `${authenticationGroup}/v1alpha1`,
          kind: "JWTAuthenticator",
          metadata: { name: "strict" },
          spec: { issuer: "https://issuer.example.com", audience: "strict", ...spec },
        });
      const refusal = async (spec: object): Promise<string> => {
        const result = await cluster.kubectl(strict("--dry-run=server"), { input: authenticator(spec) });
        assert.notEqual(result.code, 0, result.stdout);
        return result.stderr;
      };
      const valid = { claims: { usernameExpression: "claims.sub", groups: "roles" } };
      await kubectl(cluster, strict("--dry-run=server"), authenticator(valid));
      assert.match(await refusal({ issuers: [] }), /field not declared in schema|unknown field/);
      assert.match(
        await refusal({ claims: { username: "a", usernameExpression: "claims.a" } }),
        /username and usernameExpression cannot both be set/,
      );
    });

    it("signs through the CertificateSigningRequest API, and its kube-apiserver takes what it signed", async () => {
      const jane = await whoAmI(world.installation, kubernetes.certificate("jane", "cluster"));
      assert.equal(jane.username, "jane");
      assert.deepEqual(jane.groups, ["apes", "zebras", "system:authenticated"]);
      assert.equal(
        (await world.installation.api(configMaps, { caller: kubernetes.certificate("jane", "cluster") }))
          .status,
        200,
      );
      // Of the proxy's signer it knows nothing.
      assert.equal(
        (await world.installation.api(configMaps, { caller: kubernetes.certificate("jane", "proxy") }))
          .status,
        401,
      );
      await eventually("nothing left", async () => (await kubectl(world.cluster, ["get", "csr"])) === "");
    });

    it("serves get, list and watch through the proxy, as the user and nobody else", async () => {
      const listed = await kubernetes.kubectlThroughProxy("jane", ["get", "configmaps", "--output=name"]);
      assert.deepEqual([listed.code, listed.stdout.trim()], [0, "configmap/kube-root-ca.crt"], listed.stderr);
      const got = await kubernetes.kubectlThroughProxy("jane", [
        "get",
        "configmap",
        "kube-root-ca.crt",
        "--output=name",
      ]);
      assert.equal(got.code, 0, got.stderr);
      const secrets = await kubernetes.kubectlThroughProxy("jane", ["get", "secrets"]);
      assert.match(secrets.stderr, /User "jane" cannot list resource "secrets"/);

      const watch = await world.proxy.watch(`${configMaps}?watch=true`, {
        caller: kubernetes.certificate("jane", "proxy"),
      });
      try {
        assert.equal(watch.status, 200, watch.text());
        await kubectl(world.cluster, ["create", "configmap", "seen", "--namespace=default"]);
        await eventually("the event", async () => Promise.resolve(watch.text().includes('"name":"seen"')));
      } finally {
        watch.close();
      }
    });

    it("sees user, groups and extra behind the proxy as they came", async () => {
      const review = await kubernetes.kubectlThroughProxy("jane", ["auth", "whoami", "--output=json"]);
      assert.equal(review.code, 0, review.stderr);
      const { userInfo } = (JSON.parse(review.stdout) as { readonly status: { readonly userInfo: SeenUser } })
        .status;
      const fingerprint = new X509Certificate(kubernetes.certificate("jane", "proxy").certificatePem)
        .fingerprint256;
      assert.deepEqual(userInfo, {
        username: "jane",
        groups: ["apes", "zebras", "system:authenticated"],
        extra: { [credentialId]: [`X509SHA256=${fingerprint.replaceAll(":", "").toLowerCase()}`] },
      });
      const behind = await world.proxy.call(whoAmIPath, {
        body: whoAmIBody,
        caller: frontProxy(world.cluster),
        headers: {
          "X-Remote-User": "system:node:behind",
          "X-Remote-Group": ["one", "two"],
          "X-Remote-Extra-example.com%2fteam": "x",
        },
      });
      assert.deepEqual(seenUser(behind), {
        username: "system:node:behind",
        groups: ["one", "two", "system:authenticated"],
        extra: { "example.com/team": ["x"] },
      });
    });

    it("lets impersonate through the proxy who may, and nobody else", async () => {
      const refused = await kubernetes.kubectlThroughProxy("jane", ["get", "configmaps", "--as=bob"]);
      assert.notEqual(refused.code, 0);
      assert.match(
        refused.stderr,
        /users "bob" is forbidden: User "jane" cannot impersonate resource "users"/,
      );
      const allowed = await kubernetes.kubectlThroughProxy("imp", [
        "get",
        "configmaps",
        "--as=bob",
        "--output=name",
      ]);
      assert.equal(allowed.code, 0, allowed.stderr);
      assert.equal((await kubernetes.kubectlThroughProxy("imp", ["get", "configmaps"])).code, 1);
    });

    it(`has constrained impersonation ${constrained[release] ? "on, and our legacy rules go on" : "not yet"}`, async () => {
      const text = await metrics();
      const gate = /^kubernetes_feature_enabled\{name="ConstrainedImpersonation",stage="(\w*)"\} (\d)$/m.exec(
        text,
      );
      assert.deepEqual(gate?.slice(1), constrained[release] ? ["BETA", "1"] : undefined);
      if (constrained[release]) {
        const attempts = [
          ...text.matchAll(
            /^apiserver_impersonation_attempts_total\{decision="allowed",mode="([\w-]*)"\} (\d+)$/gm,
          ),
        ];
        assert.deepEqual(
          attempts.map(([, mode]) => mode),
          ["legacy"],
        );
        assert.ok(Number(attempts[0]?.[2]) > 5);
      }
    });

    it("gives who may only impersonate with constraints no more through the proxy than straight", async (t) => {
      await grant(world.cluster, "test-carl", { kind: "User", name: "carl" }, [
        {
          apiGroups: ["authentication.k8s.io"],
          resources: ["users"],
          resourceNames: ["bob"],
          verbs: ["impersonate:user-info"],
        },
        {
          apiGroups: [""],
          resources: ["configmaps"],
          verbs: ["impersonate-on:user-info:get", "impersonate-on:user-info:list"],
        },
      ]);
      const headers = { "Impersonate-User": "bob" };
      const straight = { caller: kubernetes.certificate("carl", "cluster"), headers };
      const get = `${configMaps}/kube-root-ca.crt`;
      await eventually("the rights of carl", async () => {
        const { status } = await world.installation.api(get, straight);
        return status === (constrained[release] ? 200 : 403);
      });
      const body = JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "carls" } });
      const requests: readonly (readonly [what: string, path: string, more: { readonly body?: string }])[] = [
        ["get", get, {}],
        ["list", configMaps, {}],
        ["create", configMaps, { body }],
        ["watch", `${configMaps}?watch=true&timeoutSeconds=1`, {}],
        ["get a Secret", "/api/v1/namespaces/default/secrets/none", {}],
        ["who am I", whoAmIPath, { body: whoAmIBody }],
      ];
      const statuses: Record<string, number> = {};
      for (const [what, path, more] of requests) {
        statuses[what] = (await world.installation.api(path, { ...straight, ...more })).status;
        // With the proxy's certificate, and with the cluster's, which the proxy takes as well.
        for (const caller of [
          kubernetes.certificate("carl", "proxy"),
          kubernetes.certificate("carl", "cluster"),
        ]) {
          const proxied = await world.proxy.call(path, { caller, headers, ...more });
          assert.equal(proxied.status, 403, `${what}: ${proxied.text}`);
          assert.equal(
            (JSON.parse(proxied.text) as { readonly message: string }).message,
            `users "bob" is forbidden: User "carl" cannot impersonate resource "users" in API group "" at the cluster scope: ${proxyReason}`,
          );
        }
      }
      t.diagnostic(`straight: ${JSON.stringify(statuses)}; through the proxy 403`);
      const read = constrained[release] ? 200 : 403;
      assert.deepEqual(statuses, {
        get: read,
        list: read,
        create: 403,
        watch: 403,
        "get a Secret": 403,
        "who am I": 403,
      });
      // Without impersonating, carl is carl.
      assert.equal(
        (await world.proxy.call(get, { caller: kubernetes.certificate("carl", "proxy") })).status,
        403,
      );
      assert.equal((await world.installation.api(get, { caller: administrator(world.cluster) })).status, 200);
    });
  });
}
