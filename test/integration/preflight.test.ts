import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { systemClock } from "../../src/clock.ts";
import { lookAtInstallation, type PreflightOptions } from "../../src/concierge/preflight/preflight.ts";
import { othersRules, requiredRules } from "../../src/concierge/preflight/required-rules.ts";
import { missingRules } from "../../src/kube/access-review.ts";
import { createKubernetesClient } from "../../src/kube/client.ts";
import { kubeconfigEndpoint } from "../../src/kube/configuration.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import { render } from "./chart-render.ts";
import {
  type Installation,
  installConcierge,
  kubectl,
  probe,
  type Replica,
  tail,
  waitUntilServing,
} from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import { admissionObjects } from "./preflight-admission.ts";
import {
  type BoundRule,
  boundRules,
  configurationOf,
  notGranted,
  rolesOf,
  ruleOf,
  singleRights,
} from "./preflight-rules.ts";

const app = "lanyard-concierge";

describe("a start without what it needs", () => {
  let cluster: Cluster;
  let installation: Installation;
  let folder: string;
  let admin: KubernetesClient;
  let server: KubernetesClient;
  let look: Omit<PreflightOptions, "clock" | "log">;
  let bound: readonly BoundRule[];
  let replica: Replica;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-preflight-"));
    cluster = await startCluster({ name: `preflight-${process.pid}`, progress: () => {} });
    // Clarification 45: nobody is there to answer this webhook, and no request of ours ever asks it.
    await kubectl(cluster, ["apply", "--filename=-"], admissionObjects);
    installation = await installConcierge(cluster);
    await waitUntilServing(installation);
    admin = await clientOf(cluster.kubeconfig);
    server = await clientOf(installation.kubeconfig);
    const objects = await render("lanyard-concierge");
    bound = boundRules(objects, app);
    look = {
      client: server,
      config: configurationOf(objects),
      namespace: installation.namespace,
      podName: installation.replicas[0]?.podName ?? "",
      loginApiServiceName: "v1alpha1.login.concierge.pinniped.dev",
    };
  });
  after(async () => {
    await admin?.close();
    await server?.close();
    await installation?.close();
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("warns at its installation of admission that matches our kinds, which does not run (clarification 45)", async () => {
    const { stdout } = await cluster.exec([
      await ensureHelm(),
      "get",
      "notes",
      app,
      `--namespace=${installation.namespace}`,
    ]);
    const [, warning = ""] = stdout.split(
      "WARNING: these match TokenCredentialRequests or WhoAmIRequests, but never run",
    );
    const names = [...warning.matchAll(/^ {2}(\w+ \S+)$/gm)].map(([, name]) => name);
    assert.deepEqual(names, [
      "ValidatingAdmissionPolicy every-kind",
      "ValidatingWebhookConfiguration logins.example.com",
    ]);
    const answer = await installation.api(
      "/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests",
      {
        body: JSON.stringify({
          apiVersion: "login.concierge.pinniped.dev/v1alpha1",
          kind: "TokenCredentialRequest",
          spec: {
            token: "x",
            authenticator: {
              apiGroup: "authentication.concierge.pinniped.dev",
              kind: "JWTAuthenticator",
              name: "y",
            },
          },
        }),
      },
    );
    assert.equal(answer.status, 201, answer.text);
  });

  it("finds nothing missing in the chart's installation", async () => {
    const { obstacles } = await lookAtInstallation(look);
    assert.deepEqual(obstacles, []);
    assert.doesNotMatch(
      installation.replicas[0]?.log() ?? "",
      /something is missing|lacks a permission|forbidden/,
    );
  });

  it("names exactly what each rule of the chart's roles was there for", async (t) => {
    const required = singleRights(requiredRules({ ...look, app }));
    let found = 0;
    for (const one of bound) {
      const expected = notGranted(
        required,
        bound.filter((each) => each !== one),
      );
      const restore = await withoutRule(one);
      const what = `${one.role} in ${one.namespace ?? "the cluster"}: ${JSON.stringify(one.rule)}`;
      await eventually(
        what,
        async () => {
          const texts = (await lookAtInstallation(look)).obstacles.map(({ text }) => text);
          const rights = singleRights(texts.map((text) => ruleOf(text)));
          assert.deepEqual(rights, expected, what);
          return true;
        },
        { seconds: 20, intervalMilliseconds: 20 },
      );
      await restore();
      found += expected.length;
    }
    await eventually("all rules back", async () => (await lookAtInstallation(look)).obstacles.length === 0, {
      intervalMilliseconds: 20,
    });
    t.diagnostic(`${bound.length} rules, ${found} of ${required.length} rights`);
    assert.equal(found, required.length);
  });

  it("names what the proxy's ServiceAccount and those without a credential lack", async () => {
    const objects = await render("lanyard-concierge");
    for (const [index, subject] of [`${app}-impersonation-proxy`, "system:unauthenticated"].entries()) {
      const others = othersRules({ ...look, app })[index];
      assert.ok(others);
      for (const one of boundRules(objects, subject).filter(({ rule }) => !rule.resources.includes("*"))) {
        const restore = await withoutRule(one);
        await eventually(
          `a lack of ${JSON.stringify(one.rule)}`,
          async () => {
            const missing = (await missingRules({ client: server, ...others })) ?? [];
            const [only] = one.rule.resources;
            return missing.length > 0 &&
              missing.every(({ resource }) => one.rule.resources.includes(resource))
              ? only !== undefined
              : false;
          },
          { seconds: 20, intervalMilliseconds: 20 },
        );
        await restore();
      }
    }
  });

  it("waits, alive and not ready, says what is missing, and starts by itself once it is there", async () => {
    await installation.replicas[0]?.end();
    const secretsRule = bound.find(({ rule }) => rule.resources.includes("secrets"));
    const podsRule = bound.find(
      ({ rule, namespace }) => rule.resources.includes("pods") && namespace === "concierge",
    );
    assert.ok(secretsRule && podsRule);
    // The Role's last rule goes first, so that the places of the others stay.
    const [first, second] = [secretsRule, podsRule].toSorted((a, b) => b.index - a.index);
    const restores = [await withoutRule(first!), await withoutRule(second!)];
    const crd = "jwtauthenticators.authentication.concierge.pinniped.dev";
    const definition = await kubectl(cluster, ["get", "crd", crd, "--output=json"]);
    await kubectl(cluster, ["delete", "crd", crd]);

    replica = await installation.startReplica(0);
    const { pid } = replica.process;
    const refused = await eventually("the waiting server", () => replica.readyz(), {
      intervalMilliseconds: 20,
    });
    assert.equal(refused.status, 500);
    assert.match(refused.text, /^\[\+\]ping ok\n\[\+\]log ok\n/);
    const names = [...refused.text.matchAll(/^\[-\]preflight\/(.+) failed: reason withheld$/gm)];
    assert.deepEqual(
      names.map(([, name = ""]) => name).toSorted((a, b) => (a < b ? -1 : 1)),
      [
        `custom-resource-definition/${crd}`,
        "permission/concierge/pods:delete",
        "permission/concierge/pods:get,list,watch",
        "permission/concierge/secrets:list,watch,create",
        `permission/concierge/secrets[${app}-api-tls-serving-certificate,${app}-impersonation-proxy-tls-serving-certificate,${app}-impersonation-proxy]:delete`,
        `permission/concierge/secrets[${app}-impersonation-proxy-signer-ca-certificate,${app}-impersonation-proxy-token-key]:update`,
        `permission/concierge/secrets[${app}-impersonation-proxy-signer-ca-certificate-previous,${app}-impersonation-proxy-token-key-previous]:update,delete`,
      ],
    );
    assert.match(refused.text, /\nreadyz check failed\n$/);
    for (const path of ["/healthz", "/livez"]) {
      assert.deepEqual(await probe(replica.port, path).then(({ status, text }) => [status, text]), [
        200,
        "ok",
      ]);
    }
    assert.equal((await probe(replica.port, "/apis")).status, 503);
    const [said, ...more] = waitingLines(replica);
    assert.deepEqual(more, []);
    assert.equal(said?.warning, true);
    assert.deepEqual(said.missing.slice(0, 2), [
      "permission: {apiGroups: [''], resources: [pods], verbs: [get, list, watch]} (Role in namespace concierge)",
      "permission: {apiGroups: [''], resources: [secrets], verbs: [list, watch, create]} (Role in namespace concierge)",
    ]);
    assert.match(said.remedy, /helm upgrade.*bound to this Pod's ServiceAccount/);
    assert.match(
      said.remedy,
      /helm template lanyard-concierge-crds charts\/lanyard-concierge-crds \| kubectl apply --server-side/,
    );

    for (const restore of restores.toReversed()) {
      await restore();
    }
    await eventually("the rules to be seen", async () => waitingLines(replica).at(-1)?.missing.length === 1);
    assert.deepEqual(waitingLines(replica).at(-1)?.missing, [`CustomResourceDefinition: ${crd}`]);

    await kubectl(cluster, ["create", "--filename=-"], definition);
    await eventually(`readiness\n${tail(replica)}`, async () => (await replica.readyz()).status === 200);
    assert.equal(replica.process.pid, pid);
    assert.equal(replica.process.exitCode, null);
    assert.match(replica.log(), /"message":"nothing is missing any more, starting"/);
    // Told when it changed, not at every look: at most once for the two rules that came back one after the other.
    assert.ok(waitingLines(replica).length <= 3, replica.log());
  });

  it("needs nothing that it does not name: with these rules alone it becomes ready, and nothing is forbidden", async () => {
    await replica.end();
    const rules = requiredRules({ ...look, app });
    await kubectl(cluster, ["create", "serviceaccount", "exact", "--namespace=concierge"]);
    await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(rolesOf(rules, "exact")));
    await cluster.serviceAccountKubeconfig(installation.namespace, "exact", installation.kubeconfig);
    replica = await installation.startReplica(0);
    await eventually(`readiness\n${tail(replica)}`, async () => (await replica.readyz()).status === 200);
    await eventually("leadership", async () => replica.log().includes("leader"));
    assert.doesNotMatch(replica.log(), /forbidden|something is missing/i);
  });

  it("tells the rule when a right is lost while it runs", async () => {
    await kubectl(cluster, ["delete", "clusterrolebinding", "exact"]);
    // Open watches stay; a new one is refused. The kube-apiserver ends them all when it stops.
    await cluster.stopApiServer();
    await cluster.startApiServer();
    await eventually(
      "the line",
      async () =>
        replica
          .log()
          .includes(
            "permission: {apiGroups: [authentication.concierge.pinniped.dev], resources: [jwtauthenticators], verbs: [watch]} (ClusterRole)",
          ),
      { seconds: 30 },
    );
    assert.equal(replica.process.exitCode, null);
  });

  /** Takes a rule out of its role, or the binding away where the role is Kubernetes' own; answers how to put it back. */
  async function withoutRule({
    role,
    kind,
    namespace,
    index,
    rule,
  }: BoundRule): Promise<() => Promise<void>> {
    const base = `/apis/rbac.authorization.k8s.io/v1${kind === "Role" ? `/namespaces/${namespace}` : ""}`;
    const path = `${base}/${kind === "Role" ? "roles" : "clusterroles"}/${role}`;
    const set = async (rules: readonly unknown[]): Promise<void> => {
      const body = [{ op: "add", path: "/rules", value: rules }];
      const headers = { "content-type": "application/json-patch+json" };
      const { status, text } = await admin.raw({ method: "PATCH", path, headers, body });
      assert.equal(status, 200, text);
    };
    const { text } = await admin.raw({ method: "GET", path });
    const { rules } = JSON.parse(text) as { readonly rules: readonly BoundRule["rule"][] };
    assert.deepEqual(rules[index]?.resources, rule.resources);
    await set(rules.toSpliced(index, 1));
    return () => set(rules);
  }
});

interface WaitingLine {
  readonly warning?: boolean;
  readonly missing: readonly string[];
  readonly remedy: string;
}

function waitingLines(replica: Replica): readonly WaitingLine[] {
  return replica
    .log()
    .split("\n")
    .filter((line) => line.includes("something is missing"))
    .map((line) => JSON.parse(line) as WaitingLine);
}

async function clientOf(path: string): Promise<KubernetesClient> {
  return createKubernetesClient({
    endpoint: await kubeconfigEndpoint({ path }),
    clock: systemClock,
    log: silentLogger,
    userAgent: "test",
  });
}
