import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Container, Deployment, Node, Pod } from "../../../kube/resources.ts";
import { decideDeploymentChange } from "./agent-deployment-changes.ts";
import { wantedAgentDeployment } from "./agent-deployment.ts";
import type { AgentSettings } from "./agent-deployment.ts";
import { chooseControllerManagerPod, newestRunningFirst } from "./running-pods.ts";
import { signingKeyFiles } from "./signing-key-files.ts";

const settings: AgentSettings = {
  namespace: "concierge",
  namePrefix: "c-kube-cert-agent-",
  image: "image:tag",
  imagePullSecrets: ["pull"],
  priorityClassName: "high",
  serviceAccountName: "c-kube-cert-agent",
  labels: { app: "c", team: "x" },
};

function pod(
  name: string,
  more: Partial<Pod["spec"]> = {},
  created = "2026-01-01T00:00:00Z",
  phase = "Running",
): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "kube-system", creationTimestamp: created },
    spec: more,
    status: { phase },
  };
}

const manager = pod("kcm", {
  nodeName: "node-1",
  nodeSelector: { zone: "a" },
  hostNetwork: true,
  tolerations: [{ operator: "Exists" }],
  volumes: [{ name: "pki", hostPath: { path: "/etc/kubernetes/pki", type: "Directory" } }],
  containers: [
    {
      name: "kcm",
      command: ["kube-controller-manager", "--cluster-signing-cert-file=/pki/ca.crt", "--v=2"],
      args: ["--cluster-signing-key-file", "/pki/ca.key"],
      volumeMounts: [{ name: "pki", mountPath: "/pki", readOnly: true }],
    },
    { name: "sidecar", volumeMounts: [{ name: "other", mountPath: "/other" }] },
  ],
});

describe("the agent's Deployment", () => {
  it("is built from the controller manager's Pod (contract 6.5)", () => {
    assert.deepEqual(wantedAgentDeployment(settings, manager), {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "c-kube-cert-agent", namespace: "concierge", labels: { app: "c", team: "x" } },
      spec: {
        replicas: 1,
        minReadySeconds: 10,
        selector: { matchLabels: { "kube-cert-agent.pinniped.dev": "v3" } },
        template: {
          metadata: { labels: { team: "x", "kube-cert-agent.pinniped.dev": "v3" } },
          spec: {
            terminationGracePeriodSeconds: 0,
            restartPolicy: "Always",
            automountServiceAccountToken: false,
            serviceAccountName: "c-kube-cert-agent",
            priorityClassName: "high",
            imagePullSecrets: [{ name: "pull" }],
            securityContext: { runAsUser: 0, runAsGroup: 0 },
            nodeName: "node-1",
            nodeSelector: { zone: "a" },
            tolerations: [{ operator: "Exists" }],
            hostNetwork: true,
            volumes: [{ name: "pki", hostPath: { path: "/etc/kubernetes/pki", type: "Directory" } }],
            containers: [
              {
                name: "sleeper",
                image: "image:tag",
                imagePullPolicy: "IfNotPresent",
                command: ["pinniped-concierge-kube-cert-agent", "sleep"],
                volumeMounts: [{ name: "pki", mountPath: "/pki", readOnly: true }],
                env: [
                  { name: "CERT_PATH", value: "/pki/ca.crt" },
                  { name: "KEY_PATH", value: "/pki/ca.key" },
                ],
                resources: {
                  limits: { memory: "32Mi", cpu: "20m" },
                  requests: { memory: "32Mi", cpu: "0" },
                },
              },
            ],
          },
        },
      },
    });
  });

  it("finds the key's files in flags, container by container, or where they are by custom", () => {
    const files = (...containers: (readonly [readonly string[], (readonly string[])?])[]) =>
      Object.values(
        signingKeyFiles(
          pod("p", {
            containers: containers.map(([command, args], index): Container => ({
              name: String(index),
              command,
              ...(args === undefined ? {} : { args }),
            })),
          }),
        ),
      );
    const custom = ["/etc/kubernetes/ca/ca.pem", "/etc/kubernetes/ca/ca.key"];
    assert.deepEqual(files(), custom);
    assert.deepEqual(
      files([["kcm", "--cluster-signing-cert-files=/x", "-cluster-signing-key-file=/y"]]),
      custom,
    );
    assert.deepEqual(
      files([["kcm", "--cluster-signing-cert-file="], ["--cluster-signing-key-file"]]),
      custom,
    );
    assert.deepEqual(files([["kcm", "--", "--cluster-signing-cert-file=/x"]]), custom);
    assert.deepEqual(
      files(
        [["kcm", "--unknown", "value", "--cluster-signing-cert-file", "/a"]],
        [["other"], ["--cluster-signing-key-file=/b", "--cluster-signing-cert-file=/later"]],
      ),
      ["/a", "/b"],
    );
    assert.deepEqual(
      files([
        [
          "kcm",
          "--cluster-signing-kube-apiserver-client-cert-file=/c",
          "--cluster-signing-kube-apiserver-client-key-file=/d",
          "--cluster-signing-key-file=/first",
          "--cluster-signing-key-file=/last",
        ],
      ]),
      ["/c", "/last"],
    );
  });
});

describe("changes of the agent's Deployment", () => {
  const wanted = wantedAgentDeployment(settings, manager);
  /** As the API server stores it. */
  const stored = (from: Deployment): Deployment => ({
    ...from,
    metadata: {
      ...from.metadata,
      labels: { ...from.metadata.labels, "others/label": "stays" },
      annotations: { "deployment.kubernetes.io/revision": "1" },
      uid: "u",
      resourceVersion: "7",
    },
    spec: JSON.parse(
      JSON.stringify({
        ...from.spec,
        strategy: { type: "RollingUpdate" },
        revisionHistoryLimit: 10,
        template: {
          ...from.spec?.template,
          spec: {
            ...from.spec?.template?.spec,
            dnsPolicy: "ClusterFirst",
            schedulerName: "default-scheduler",
          },
        },
      }),
      // Empty texts, lists and maps, and hostNetwork: false, are not stored.
      (key, value: unknown) =>
        value === "" ||
        (key === "hostNetwork" && value === false) ||
        (typeof value === "object" && value !== null && Object.keys(value).length === 0)
          ? undefined
          : value,
    ) as NonNullable<Deployment["spec"]>,
  });
  const bare = wantedAgentDeployment(
    { ...settings, priorityClassName: "", imagePullSecrets: [], labels: {} },
    pod("kcm"),
  );
  /** The stored Deployment with another value at `path`, or none. */
  const edit = (path: string, value?: unknown): Deployment => {
    const copy = structuredClone(stored(wanted));
    const names = path.split(".");
    const last = names.pop() ?? "";
    let at = copy as unknown as Record<string, unknown>;
    for (const name of names) {
      at = at[name] as Record<string, unknown>;
    }
    if (value === undefined) {
      Reflect.deleteProperty(at, last);
    } else {
      at[last] = value;
    }
    return copy;
  };

  it("needs none when only the API server's additions differ, also when nothing optional is set", () => {
    assert.deepEqual(decideDeploymentChange(stored(wanted), wanted), { kind: "none" });
    assert.deepEqual(decideDeploymentChange(stored(bare), bare), { kind: "none" });
  });

  const podSpec = "spec.template.spec";
  const table: Readonly<Record<string, readonly [path: string, value?: unknown]>> = {
    "a label that is missing": ["metadata.labels.team"],
    "another number of replicas": ["spec.replicas", 0],
    "a further template label": ["spec.template.metadata.labels.app", "c"],
    "a further key in nodeSelector": [`${podSpec}.nodeSelector.more`, "x"],
    "another node": [`${podSpec}.nodeName`, "node-2"],
    "another image": [`${podSpec}.containers.0.image`, "old"],
    "a further container": [`${podSpec}.containers.1`, { name: "more" }],
    "another file": [`${podSpec}.containers.0.env.0.value`, "/x"],
    "another volume": [`${podSpec}.volumes.0.hostPath.path`, "/x"],
    "no user": [`${podSpec}.securityContext.runAsUser`],
    "a mounted token": [`${podSpec}.automountServiceAccountToken`],
    "no host network": [`${podSpec}.hostNetwork`],
    "a default grace period": [`${podSpec}.terminationGracePeriodSeconds`, 30],
    "a higher limit": [`${podSpec}.containers.0.resources.limits.memory`, "64Mi"],
  };
  for (const [what, [path, value]] of Object.entries(table)) {
    it(`is updated for ${what}`, () => {
      const decided = decideDeploymentChange(edit(path, value), wanted);
      assert.ok(decided.kind === "update");
      assert.deepEqual(decided.object.spec, wanted.spec);
      assert.deepEqual(decided.object.metadata, {
        ...stored(wanted).metadata,
        labels: { app: "c", team: "x", "others/label": "stays" },
      });
    });
  }

  it("clears an emptied priorityClassName, toleration list and host network", () => {
    for (const field of ["priorityClassName", "tolerations", "hostNetwork"]) {
      const existing = stored(bare);
      Object.assign(existing.spec?.template?.spec ?? {}, {
        [field]: field === "hostNetwork" ? true : field === "tolerations" ? [{ operator: "Exists" }] : "high",
      });
      const decided = decideDeploymentChange(existing, bare);
      assert.ok(decided.kind === "update", field);
      assert.equal(decided.object.spec?.template?.spec?.["priorityClassName"], "");
    }
  });

  it("is replaced for another selector", () => {
    const existing = edit("spec.selector.matchLabels.app", "c");
    assert.deepEqual(decideDeploymentChange(existing, wanted), { kind: "replace" });
  });
});

describe("the controller manager's Pod", () => {
  const early = "2026-01-01T00:00:00Z";
  const late = "2026-01-02T00:00:00Z";
  const node = (name: string, unschedulable?: boolean): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    spec: unschedulable === undefined ? {} : { unschedulable },
  });
  const neverAsked = (): Promise<never> => Promise.reject(new Error("nodes were listed"));

  it("is the newest running one, by name in one second", () => {
    const sorted = newestRunningFirst([
      pod("b", {}, early),
      pod("z", {}, late),
      pod("pending", {}, late, "Pending"),
      pod("a", {}, early),
      pod("y", {}, late),
    ]);
    assert.deepEqual(
      sorted.map(({ metadata }) => metadata.name),
      ["y", "z", "a", "b"],
    );
  });

  it("is taken without looking at nodes when there is one, or none", async () => {
    assert.equal(await chooseControllerManagerPod([pod("x", {}, early, "Failed")], neverAsked), undefined);
    const chosen = await chooseControllerManagerPod(
      [pod("x", {}, late, "Failed"), pod("one", { nodeName: "cordoned" })],
      neverAsked,
    );
    assert.equal(chosen?.metadata.name, "one");
  });

  it("is preferred on a node that is not cordoned", async () => {
    const pods = [pod("new", { nodeName: "n1" }, late), pod("old", { nodeName: "n2" }, early)];
    const choose = async (...nodes: readonly Node[]): Promise<string | undefined> =>
      (await chooseControllerManagerPod(pods, () => Promise.resolve(nodes)))?.metadata.name;
    assert.equal(await choose(node("n1"), node("n2", false)), "new");
    assert.equal(await choose(node("n1", true), node("n2")), "old");
    assert.equal(await choose(node("n1", true), node("n2", true)), "new");
    await assert.rejects(chooseControllerManagerPod(pods, neverAsked), {
      message: "error while looking for controller manager pod: nodes were listed",
    });
  });
});
