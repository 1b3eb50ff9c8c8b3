import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type Manifest, helm, chartFolder, render, setValues } from "./chart-render.ts";

type Values = Readonly<Record<string, unknown>>;

const app = "lanyard-concierge";
const pods = { app, "deployment.pinniped.dev": "concierge" };

async function objectsOf(kind: string, values: Values = {}): Promise<readonly Manifest[]> {
  return (await render("lanyard-concierge", values)).filter((object) => object.kind === kind);
}

async function deployment(values: Values = {}): Promise<{
  readonly replicas: number;
  readonly minReadySeconds: number;
  readonly strategy: unknown;
  readonly template: {
    readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
    readonly spec: Readonly<Record<string, unknown>>;
  };
}> {
  const [only, ...others] = await objectsOf("Deployment", values);
  assert.deepEqual(others, []);
  return only?.["spec"] as Awaited<ReturnType<typeof deployment>>;
}

describe("the Deployment in operation", () => {
  it("never has fewer Pods than it should while it rolls", async () => {
    const { replicas, minReadySeconds, strategy } = await deployment();
    assert.equal(replicas, 2);
    assert.ok(minReadySeconds > 0);
    assert.deepEqual(strategy, {
      type: "RollingUpdate",
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    });
  });

  it("gives its Pods longer to leave than the server needs (contract 9.1: 20 s)", async () => {
    assert.equal((await deployment()).template.spec["terminationGracePeriodSeconds"], 30);
    await assert.rejects(deployment({ terminationGracePeriodSeconds: 5 }), /terminationGracePeriodSeconds/);
  });

  it("spreads its Pods over zones and nodes, each revision by itself, unless told otherwise", async () => {
    const spread = async (values: Values = {}): Promise<unknown> =>
      (await deployment(values)).template.spec["topologySpreadConstraints"];
    const constraint = {
      maxSkew: 1,
      whenUnsatisfiable: "ScheduleAnyway",
      labelSelector: { matchLabels: pods },
      matchLabelKeys: ["pod-template-hash"],
    };
    assert.deepEqual(await spread(), [
      { ...constraint, topologyKey: "topology.kubernetes.io/zone" },
      { ...constraint, topologyKey: "kubernetes.io/hostname" },
    ]);
    assert.equal(await spread({ topologySpreadConstraints: [] }), undefined);
    const own = [{ maxSkew: 2, topologyKey: "rack", whenUnsatisfiable: "DoNotSchedule" }];
    assert.deepEqual(await spread({ topologySpreadConstraints: own }), own);
    assert.deepEqual((await deployment()).template.spec["affinity"], {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 50,
            podAffinityTerm: {
              topologyKey: "kubernetes.io/hostname",
              labelSelector: { matchLabels: { "deployment.pinniped.dev": "concierge" } },
            },
          },
        ],
      },
    });
  });

  it("goes where it is told", async () => {
    const { template } = await deployment();
    assert.equal((template.spec["tolerations"] as readonly unknown[]).length, 5);
    for (const field of ["nodeSelector", "priorityClassName"]) {
      assert.equal(template.spec[field], undefined, field);
    }
    const placed = await deployment({
      nodeSelector: { pool: "system" },
      tolerations: [{ operator: "Exists" }],
      priorityClassName: "system-cluster-critical",
      podAnnotations: { "example.com/a": "1" },
    });
    assert.deepEqual(placed.template.spec["nodeSelector"], { pool: "system" });
    assert.deepEqual(placed.template.spec["tolerations"], [{ operator: "Exists" }]);
    assert.equal(placed.template.spec["priorityClassName"], "system-cluster-critical");
    assert.equal(placed.template.metadata.annotations["example.com/a"], "1");
  });

  it("rolls when its Secret changes, and has no CPU limit", async () => {
    const checksum = async (secret: string): Promise<string | undefined> =>
      (await deployment({ imagePullDockerConfigJson: secret })).template.metadata.annotations[
        "checksum/image-pull-secret"
      ];
    assert.match((await checksum("e30=")) ?? "", /^[0-9a-f]{64}$/);
    assert.notEqual(await checksum("e30="), await checksum("e30K"));
    const [container] = (await deployment()).template.spec["containers"] as readonly {
      readonly resources: { readonly limits: object };
    }[];
    assert.deepEqual(Object.keys(container?.resources.limits ?? {}), ["memory"]);
  });
});

describe("the PodDisruptionBudget", () => {
  it("lets one Pod go at a time, and those that do not serve", async () => {
    const [budget] = await objectsOf("PodDisruptionBudget");
    assert.equal(budget?.apiVersion, "policy/v1");
    assert.deepEqual(budget["spec"], {
      maxUnavailable: 1,
      selector: { matchLabels: pods },
      unhealthyPodEvictionPolicy: "AlwaysAllow",
    });
  });

  it("is not there where it would block every drain, or is not wanted", async () => {
    for (const values of [{ replicas: 1 }, { replicas: 0 }, { "podDisruptionBudget.enabled": false }]) {
      assert.deepEqual(await objectsOf("PodDisruptionBudget", values), []);
    }
  });
});

describe("NetworkPolicies", () => {
  const on = { "networkPolicy.enabled": true };
  const port = (number: number, protocol = "TCP"): object => ({ protocol, port: number });

  it("are off by default", async () => {
    assert.deepEqual(await objectsOf("NetworkPolicy"), []);
  });

  it("open the two ports, DNS and the way to the kube-apiserver, issuers and webhooks", async () => {
    const [policy] = await objectsOf("NetworkPolicy", { ...on, aggregatedAPIServerPort: 10_300 });
    assert.deepEqual(policy?.["spec"], {
      podSelector: { matchLabels: pods },
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ ports: [port(10_300)] }, { ports: [port(8444)] }],
      egress: [{ ports: [port(53, "UDP"), port(53)] }, { ports: [port(443), port(6443)] }],
    });
  });

  it("narrow sources and destinations to what they are given", async () => {
    const additional = { to: [{ podSelector: {} }] };
    const [policy] = await objectsOf("NetworkPolicy", {
      networkPolicy: {
        enabled: true,
        apiSources: ["10.0.0.0/8"],
        proxySources: ["192.0.2.0/24", "2001:db8::/32"],
        egressPorts: [8443],
        egressDestinations: ["198.51.100.0/24"],
        additionalEgress: [additional],
      },
    });
    const block = (cidr: string): object => ({ ipBlock: { cidr } });
    const spec = policy?.["spec"] as { readonly ingress: unknown; readonly egress: unknown };
    assert.deepEqual(spec.ingress, [
      { ports: [port(10_250)], from: [block("10.0.0.0/8")] },
      { ports: [port(8444)], from: [block("192.0.2.0/24"), block("2001:db8::/32")] },
    ]);
    assert.deepEqual(spec.egress, [
      { ports: [port(53, "UDP"), port(53)] },
      { ports: [port(8443)], to: [block("198.51.100.0/24")] },
      additional,
    ]);
    await assert.rejects(
      objectsOf("NetworkPolicy", { ...on, "networkPolicy.apiSources": ["10.0.0.1"] }),
      /apiSources/,
    );
  });

  it("let Prometheus in where metrics have a port of their own", async () => {
    const [policy] = await objectsOf("NetworkPolicy", { ...on, "metrics.plainPort": 9090 });
    assert.deepEqual((policy?.["spec"] as { readonly ingress: unknown } | undefined)?.ingress, [
      { ports: [port(10_250)] },
      { ports: [port(8444)] },
      { ports: [port(9090)] },
    ]);
  });

  it("give the agent no network, and are one less without it", async () => {
    const names = async (values: Values): Promise<readonly string[]> =>
      (await objectsOf("NetworkPolicy", values)).map(({ metadata }) => metadata.name);
    assert.deepEqual(await names(on), [app, `${app}-kube-cert-agent`]);
    assert.deepEqual(await names({ ...on, "kubeCertAgent.enabled": false }), [app]);
    const [, agent] = await objectsOf("NetworkPolicy", on);
    assert.deepEqual(agent?.["spec"], {
      podSelector: { matchLabels: { "kube-cert-agent.pinniped.dev": "v3" } },
      policyTypes: ["Ingress", "Egress"],
    });
  });
});

describe("what is exposed", () => {
  it("is nothing by default: every Service is a ClusterIP, the proxy's too", async () => {
    const objects = await render("lanyard-concierge");
    const types = objects
      .filter(({ kind }) => kind === "Service")
      .map((service) => (service["spec"] as { readonly type: string }).type);
    assert.deepEqual(types, ["ClusterIP", "ClusterIP"]);
    const issuer = objects.find(({ kind }) => kind === "CredentialIssuer");
    assert.match(JSON.stringify(issuer?.["spec"]), /"service":\{"type":"ClusterIP"\}/);
    for (const kind of ["Ingress", "Gateway", "HTTPRoute", "TLSRoute"]) {
      assert.ok(!objects.some((object) => object.kind === kind));
    }
    assert.doesNotMatch(JSON.stringify(objects), /"(?:hostNetwork|hostPort|nodePort)"/);
  });
});

describe("the notes after an installation", () => {
  // Helm 3 renders notes only with a cluster at hand: test/integration/chart-cluster.test.ts reads them there.
  const notes = async (values: Values): Promise<string> => {
    const { code, stdout, stderr } = await helm(
      [
        "install",
        "release",
        chartFolder("lanyard-concierge"),
        "--dry-run=client",
        "--namespace=concierge",
        ...setValues(values),
      ],
      {},
      4,
    );
    assert.equal(code, 0, stderr);
    return stdout.slice(stdout.indexOf("NOTES:"));
  };
  const service = "impersonationProxy.service.type";

  it("say that the endpoint is cluster-internal, and give the audit rule (S21)", async () => {
    const text = await notes({});
    assert.match(text, /endpoint is cluster-internal: if this cluster needs the proxy/);
    assert.match(text, /- level: Metadata\n +resources:\n +- group: login\.concierge\.pinniped\.dev/);
    assert.match(text, /pod-security\.kubernetes\.io\/enforce=privileged/);
  });

  it("say what the proxy needs in every other case", async () => {
    const cases: readonly (readonly [Values, RegExp])[] = [
      [{ "impersonationProxy.externalEndpoint": "proxy.example.com" }, /at proxy\.example\.com\. Lead that/],
      [{ [service]: "None" }, /stays in an error until impersonationProxy\.externalEndpoint/],
      [{ [service]: "LoadBalancer" }, /takes connections from everywhere/],
      [
        { "impersonationProxy.mode": "disabled", "kubeCertAgent.enabled": false },
        /WARNING: no strategy is on/,
      ],
    ];
    for (const [values, expected] of cases) {
      const text = await notes(values);
      assert.match(text, expected);
      assert.doesNotMatch(text, /cluster-internal/);
    }
    const limited = {
      [service]: "LoadBalancer",
      "impersonationProxy.service.loadBalancerSourceRanges": ["192.0.2.0/24"],
    };
    assert.doesNotMatch(await notes(limited), /everywhere/);
    assert.doesNotMatch(await notes({ "kubeCertAgent.enabled": false }), /privileged|WARNING/);
  });
});
