import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { createCertificationRequest } from "../../src/pki/create-certification-request.ts";
import { generateP256KeyPair } from "../../src/pki/p256-key-pair.ts";
import { type TestIssuer, startIssuer } from "../oidc/issuer.ts";
import { type TestWebhook, startWebhook } from "../oidc/webhook.ts";
import { applyAuthenticator, authenticatorInPhase } from "./harness/authenticators.ts";
import { administrator, straightAt } from "./harness/callers.ts";
import {
  type Installation,
  type Replica,
  installConcierge,
  kubectl,
  tail,
  waitUntilServing,
} from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  type AuthenticatorName,
  type IssuedCertificate,
  exchange,
  seenUser,
  whoAmI,
  whoAmIBody,
  whoAmIPath,
} from "./harness/exchange.ts";
import {
  allowedOf,
  certificates,
  certificatesBeyond,
  forbiddenToAll,
  forbiddenWhenNarrow,
  impersonation,
  serversAlone,
  unknownOf,
} from "./harness/forbidden-requests.ts";
import { type Caller, readText } from "./harness/http.ts";
import { proxyAt } from "./harness/proxy.ts";
import { grant, readConfigMaps } from "./harness/proxy-world.ts";

const clientId = "profiles-test";
const company: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
const webhookName: AuthenticatorName = { kind: "WebhookAuthenticator", name: "webhook" };
const app = "lanyard-concierge";
const namespace = "concierge";
const accountOf = (suffix: string): string => `system:serviceaccount:${namespace}:${app}${suffix}`;

describe("the rights of the Concierge", () => {
  let cluster: Cluster;
  let installation: Installation;
  let issuer: TestIssuer;
  let webhook: TestWebhook;
  let replica: Replica;
  const name = (suffix: string): string => `${app}-${suffix}`;
  const inNamespace = (...args: readonly string[]): Promise<string> =>
    kubectl(cluster, [...args, `--namespace=${namespace}`]);
  const apply = (object: object): Promise<string> =>
    kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(object));
  const uid = (kind: string, suffix: string): Promise<string> =>
    inNamespace("get", kind, name(suffix), "--ignore-not-found", "--output=jsonpath={.metadata.uid}");
  const configure = (spec: object): Promise<string> =>
    kubectl(cluster, [
      "patch",
      "credentialissuer",
      name("config"),
      "--type=merge",
      `--patch=${JSON.stringify({ spec })}`,
    ]);
  const until = <T>(what: string, attempt: () => Promise<T | undefined | false>): Promise<T> =>
    eventually(`${what}\n${tail(replica)}`, attempt, { seconds: 60 });
  const login = async (): Promise<IssuedCertificate> => {
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const token = await issuer.signToken({ sub: "jane", username: "jane", groups: ["apes"], exp });
    return exchange(installation, token, company);
  };
  const tokenOf = async (account: string, where = namespace): Promise<Caller> => ({
    bearerToken: (await kubectl(cluster, ["create", "token", account, `--namespace=${where}`])).trim(),
  });
  /** What one of the chart's three accounts was not refused of these requests. */
  const allowed = async (suffix: string, list: Parameters<typeof allowedOf>[0]): Promise<readonly string[]> =>
    allowedOf(list, {
      server: cluster.serverUrl,
      caPem: readText(cluster.ca.cert),
      account: accountOf(suffix),
      caller: await tokenOf(`${app}${suffix}`),
    });

  before(async () => {
    issuer = await startIssuer({ clientId, users: [] });
    webhook = await startWebhook({ tokens: { good: { username: "jane", groups: ["apes"] } } });
    cluster = await startCluster({ name: `profiles-${process.pid}`, progress: () => {} });
    await kubectl(cluster, ["create", "serviceaccount", "scraper", "--namespace=default"]);
    await kubectl(cluster, ["create", "serviceaccount", "curious", "--namespace=default"]);
    await grant(cluster, "test-jane", { kind: "User", name: "jane" }, readConfigMaps);
    installation = await installConcierge(cluster, {
      signWithClusterCa: false,
      configuration: {
        leaderElection: { leaseDurationSeconds: 15, renewDeadlineSeconds: 10, retryPeriodSeconds: 2 },
      },
      values: [
        "rbac.profile=contract",
        "certificateSigningRequestAPI.mode=Enabled",
        "clientCertificate.maximumLifetimeSeconds=900",
        "metrics.readers[0].name=scraper,metrics.readers[0].namespace=default",
      ],
    });
    [replica = assert.fail()] = installation.replicas;
    await waitUntilServing(installation);
    const ca = (kind: string, data: object): Promise<string> =>
      apply({ apiVersion: "v1", kind, metadata: { name: "issuer-ca", namespace }, ...data });
    await ca("ConfigMap", { data: { "ca.crt": issuer.caPem } });
    await ca("Secret", { stringData: { "ca.crt": webhook.caPem } });
    const tls = (kind: string): object => ({
      certificateAuthorityDataSource: { kind, name: "issuer-ca", key: "ca.crt" },
    });
    const { issuerUrl } = issuer;
    await applyAuthenticator(cluster, company, {
      issuer: issuerUrl,
      audience: clientId,
      tls: tls("ConfigMap"),
    });
    await applyAuthenticator(cluster, webhookName, { endpoint: webhook.endpoint, tls: tls("Secret") });
  });
  after(async () => {
    await installation?.close();
    await cluster?.stop();
    await webhook?.stop();
    await issuer?.stop();
  });

  for (const profile of ["contract", "narrow"] as const) {
    describe(`of the profile ${profile}`, () => {
      before(async () => {
        if (profile === "contract") return;
        // Another process under the other rules, so that nothing goes on by what it was allowed before.
        assert.equal(await replica.end(), 0);
        const upgraded = await cluster.exec([
          await ensureHelm(),
          "upgrade",
          app,
          join(import.meta.dirname, "..", "..", "charts", "lanyard-concierge"),
          `--namespace=${namespace}`,
          "--reuse-values",
          `--set=rbac.profile=${profile}`,
        ]);
        assert.equal(upgraded.code, 0, upgraded.stderr);
        // A key that was just rotated is not rotated again at once, so there are new ones.
        const keys = ["signer-ca-certificate", "token-key"].flatMap((key) => [key, `${key}-previous`]);
        const secrets = keys.map((key) => name(`impersonation-proxy-${key}`));
        await inNamespace("delete", "secret", ...secrets, "--ignore-not-found");
        const asServer = `--as=${accountOf("")}`;
        await eventually("the rules in force", async () => {
          const { stdout } = await cluster.kubectl(["auth", "can-i", "delete", "secrets/x", asServer]);
          return stdout.trim() === "no";
        });
        replica = await installation.startReplica(0);
        await waitUntilServing({ ...installation, replicas: [replica] });
        await configure({
          certificateSigningRequestAPI: { mode: "Enabled" },
          impersonationProxy: {
            mode: "enabled",
            externalEndpoint: "localhost",
            service: { type: "None", annotations: null },
          },
        });
      });

      it("are enough to lead, to publish certificates, and to exchange by JWT and by webhook", async () => {
        await authenticatorInPhase(cluster, company, "Ready");
        await authenticatorInPhase(cluster, webhookName, "Ready");
        // Only a certificate that the CertificateSigningRequest API signed is jane's at the kube-apiserver.
        for (const buy of [login, () => exchange(installation, "good", webhookName)]) {
          const seen = await until("an exchange", async () => whoAmI(installation, await buy()));
          assert.deepEqual([seen.username, seen.groups], ["jane", ["apes", "system:authenticated"]]);
        }
        assert.equal(await kubectl(cluster, ["get", "certificatesigningrequests", "--output=name"]), "");
        for (const suffix of [
          "api-tls-serving-certificate",
          "impersonation-proxy-ca-certificate",
          "impersonation-proxy-signer-ca-certificate",
          "impersonation-proxy-token-key",
        ]) {
          await until(suffix, async () => (await uid("secret", suffix)) !== "");
        }
      });

      it("are enough to build and to repair the agent", async () => {
        // Beside what looks like the Pod whose key is wanted: no kubelet runs it or the agent, or answers an exec.
        await apply(controllerManager);
        const running = (pod: string, where: string): Promise<string> =>
          kubectl(cluster, [
            "patch",
            "pod",
            pod,
            `--namespace=${where}`,
            "--subresource=status",
            '--patch={"status":{"phase":"Running"}}',
          ]);
        await running("controller-manager", "kube-system");
        const deployment = (path: string): Promise<string> =>
          inNamespace("get", "deployment", name("kube-cert-agent"), `--output=jsonpath=${path}`);
        const agent = "kube-cert-agent";
        const first = await until("the agent", async () => (await uid("deployment", agent)) || false);
        await inNamespace("scale", "deployment", name(agent), "--replicas=0");
        await until("the repaired agent", async () => (await deployment("{.spec.replicas}")) === "1");
        await inNamespace("delete", "deployment", name(agent));
        await until("another agent", async () => {
          const now = await uid("deployment", agent);
          return now !== "" && now !== first;
        });
        const selector = "--selector=kube-cert-agent.pinniped.dev=v3";
        await until("an agent that may be asked", async () => {
          const pods = await inNamespace(
            "get",
            "pods",
            selector,
            "--output=jsonpath={.items[*].metadata.name}",
          );
          for (const pod of pods.split(" ").filter((each) => each !== "")) {
            await running(pod, namespace);
          }
          const strategies = await kubectl(cluster, [
            "get",
            "credentialissuer",
            name("config"),
            "--output=jsonpath={.status.strategies[*].message}",
          ]);
          return strategies.includes("could not exec into agent pod") && strategies.includes("address");
        });
        await kubectl(cluster, ["delete", "pod/controller-manager", "--namespace=kube-system", "--force"]);
        await kubectl(cluster, ["delete", "node/somewhere"]);
        await inNamespace("delete", "deployment", name(agent));
      });

      it("are enough for requests, watches and the deny list of the proxy", async () => {
        await configure({ certificateSigningRequestAPI: { mode: "Disabled" } });
        const proxy = await proxyAt(installation, replica);
        const configMaps = "/api/v1/namespaces/default/configmaps";
        // Through the proxy counts what its own signer signs, too.
        const caller = await until("a login that the proxy takes", async () => {
          const issued = await login();
          return (await proxy.call(configMaps, { caller: issued })).status === 200 && issued;
        });
        const whoAmIThroughProxy = await proxy.call(whoAmIPath, { body: whoAmIBody, caller });
        assert.equal(seenUser(whoAmIThroughProxy).username, "jane");
        const watch = await proxy.watch(`${configMaps}?watch=true`, { caller });
        assert.equal(watch.status, 200);
        await kubectl(cluster, ["create", "configmap", `news-${profile}`, "--namespace=default"]);
        await until("an event", () => Promise.resolve(watch.text().includes(`news-${profile}`)));

        const metadata = { name: name("deny-list"), namespace };
        const data = { entries: JSON.stringify([{ user: "jane" }]) };
        await apply({ apiVersion: "v1", kind: "ConfigMap", metadata, data });
        await watch.ended;
        assert.equal((await proxy.call(configMaps, { caller })).status, 401);
        await assert.rejects(login(), /authentication failed/);
        await inNamespace("delete", "configmap", metadata.name);
        await until("a login again", login);
      });

      it("are enough to rotate the keys of credentials when asked to", async () => {
        const data = (suffix: string): Promise<string> =>
          inNamespace("get", "secret", name(suffix), "--output=jsonpath={.data}");
        for (const suffix of ["impersonation-proxy-signer-ca-certificate", "impersonation-proxy-token-key"]) {
          const old = await data(suffix);
          await inNamespace("annotate", "secret", name(suffix), "concierge.lanyard.dev/rotate=now");
          await until(`a rotation of ${suffix}`, async () => (await data(suffix)) !== old);
          assert.notEqual(await uid("secret", `${suffix}-previous`), "");
        }
      });

      it("are enough to make, change and remove the proxy's Service and its Secrets", async () => {
        const service = "impersonation-proxy-cluster-ip";
        await configure({
          impersonationProxy: {
            mode: "enabled",
            externalEndpoint: null,
            service: { type: "ClusterIP", annotations: { "example.com/a": "1" } },
          },
        });
        await until("the Service", async () => (await uid("service", service)) !== "");
        await configure({ impersonationProxy: { service: { annotations: { "example.com/a": "2" } } } });
        await until("the changed Service", async () => {
          const object = await inNamespace("get", "service", name(service), "--output=json");
          return object.includes('"example.com/a": "2"');
        });
        await configure({ impersonationProxy: { service: { type: "LoadBalancer" } } });
        const balancer = "impersonation-proxy-load-balancer";
        await until("the other Service", async () => (await uid("service", balancer)) !== "");
        await configure({ impersonationProxy: { mode: "disabled" } });
        await until("the Services' end", async () => {
          const uids = [await uid("service", service), await uid("service", balancer)];
          return uids.every((each) => each === "");
        });
        const certificate = "impersonation-proxy-tls-serving-certificate";
        await until("the serving certificate's end", async () => (await uid("secret", certificate)) === "");
      });

      it("are enough to show metrics to whom RBAC lets, and to nobody else", async () => {
        const straight = await straightAt(installation, replica);
        const scraped = await straight("/metrics", { caller: await tokenOf("scraper", "default") });
        assert.equal(scraped.status, 200);
        assert.match(scraped.text, /^# TYPE lanyard_/m);
        const refused = await straight("/metrics", { caller: await tokenOf("curious", "default") });
        assert.equal(refused.status, 403);
      });

      it("are enough to rotate, and to give the Lease up; nothing was ever forbidden", async () => {
        const serving = "api-tls-serving-certificate";
        const before = await uid("secret", serving);
        await inNamespace("delete", "secret", name(serving));
        await until("another serving certificate", async () => {
          const now = await uid("secret", serving);
          return now !== "" && now !== before;
        });
        assert.equal(await replica.end(), 0);
        const holder = await inNamespace("get", "lease", app, "--output=jsonpath={.spec.holderIdentity}");
        assert.equal(holder, "");
        assert.doesNotMatch(replica.log(), /forbidden/i);
      });

      it("forbid what the server has no business with", async () => {
        const list = [...forbiddenToAll, ...impersonation, ...certificatesBeyond];
        assert.deepEqual(await allowed("", list), []);
        if (profile === "narrow") {
          assert.deepEqual(await allowed("", forbiddenWhenNarrow), []);
        }
      });

      it("forbid the two other accounts everything but what each is for", async () => {
        const list = [...forbiddenToAll, ...serversAlone, ...certificates, ...forbiddenWhenNarrow];
        assert.deepEqual(await allowed("-impersonation-proxy", list), []);
        assert.deepEqual(await allowed("-kube-cert-agent", [...list, ...impersonation]), []);
      });

      it("approve certificates of one signer alone, and none for system:masters", async () => {
        const caller = await tokenOf(app);
        const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        const request = (signerName: string, username: string, groups: readonly string[]): object => ({
          apiVersion: "certificates.k8s.io/v1",
          kind: "CertificateSigningRequest",
          metadata: { name: `mallory-${profile}` },
          spec: {
            request: Buffer.from(
              createCertificationRequest({ username, groups, keyPair: generateP256KeyPair() }).pem,
            ).toString("base64"),
            signerName,
            usages: ["client auth"],
          },
        });
        const masters = request("kubernetes.io/kube-apiserver-client", "mallory", ["system:masters"]);
        const refused = await installation.api(path, { caller, body: JSON.stringify(masters) });
        assert.equal(refused.status, 403, refused.text);

        const kubelet = request("kubernetes.io/kube-apiserver-client-kubelet", "system:node:mallory", [
          "system:nodes",
        ]);
        const created = await installation.api(path, { caller, body: JSON.stringify(kubelet) });
        assert.equal(created.status, 201, created.text);
        const approved = {
          ...(JSON.parse(created.text) as object),
          status: { conditions: [{ type: "Approved", status: "True", reason: "Mine", message: "" }] },
        };
        const answer = await installation.api(`${path}/mallory-${profile}/approval`, {
          method: "PUT",
          caller,
          body: JSON.stringify(approved),
        });
        assert.equal(answer.status, 403, answer.text);
        assert.match(answer.text, /not permitted to approve requests with signerName/);
        await kubectl(cluster, ["delete", "certificatesigningrequest", `mallory-${profile}`]);
      });
    });
  }

  it("are tried with requests that exist", async () => {
    const unknown = await unknownOf(
      [
        ...forbiddenToAll,
        ...impersonation,
        ...serversAlone,
        ...certificates,
        ...certificatesBeyond,
        ...forbiddenWhenNarrow,
      ],
      {
        server: cluster.serverUrl,
        caPem: readText(cluster.ca.cert),
        caller: administrator(cluster),
      },
    );
    assert.deepEqual(unknown, []);
  });

  it("over certificates are none while the strategy that needs them is off in the chart", async () => {
    const upgraded = await cluster.exec([
      await ensureHelm(),
      "upgrade",
      app,
      join(import.meta.dirname, "..", "..", "charts", "lanyard-concierge"),
      `--namespace=${namespace}`,
      "--reuse-values",
      "--set=certificateSigningRequestAPI.mode=Disabled",
    ]);
    assert.equal(upgraded.code, 0, upgraded.stderr);
    await eventually("nothing allowed", async () => (await allowed("", certificates)).length === 0);
  });
});

const controllerManager = {
  apiVersion: "v1",
  kind: "List",
  items: [
    { apiVersion: "v1", kind: "Node", metadata: { name: "somewhere" } },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: "controller-manager",
        namespace: "kube-system",
        labels: { component: "kube-controller-manager" },
      },
      spec: {
        nodeName: "somewhere",
        hostNetwork: true,
        automountServiceAccountToken: false,
        tolerations: [{ operator: "Exists" }],
        volumes: [{ name: "pki", hostPath: { path: "/etc/kubernetes/pki" } }],
        containers: [
          {
            name: "main",
            image: "localhost/none",
            command: ["kube-controller-manager", "--cluster-signing-cert-file=/pki/ca.crt"],
            volumeMounts: [{ name: "pki", mountPath: "/pki", readOnly: true }],
          },
        ],
      },
    },
  ],
};
