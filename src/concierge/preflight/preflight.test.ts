import assert from "node:assert/strict";
import { test } from "node:test";
import { LanyardError } from "../../errors.ts";
import { KubernetesApiError } from "../../kube/api-error.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import { parseConfig } from "../config/load-config.ts";
import { lookAtInstallation } from "./preflight.ts";

const names = [
  ["servingCertificateSecret", "a"],
  ["credentialIssuer", "b"],
  ["apiService", "c"],
  ["impersonationLoadBalancerService", "d"],
  ["impersonationClusterIPService", "e"],
  ["impersonationTLSCertificateSecret", "f"],
  ["impersonationCACertificateSecret", "g"],
  ["impersonationSignerSecret", "h"],
  ["agentServiceAccount", "i"],
  ["impersonationProxyServiceAccount", "j"],
  ["impersonationProxyLegacySecret", "k"],
];
const configuration = (more: object = {}): ReturnType<typeof parseConfig> =>
  parseConfig(JSON.stringify({ names: Object.fromEntries(names) as object, labels: { app: "x" }, ...more }));

const owner = (kind: string, name: string): object => ({
  apiVersion: "apps/v1",
  kind,
  name,
  uid: `uid-${name}`,
  controller: true,
});
const objects: Readonly<Record<string, object>> = {
  pods: { name: "pod", ownerReferences: [owner("ReplicaSet", "set")] },
  replicasets: { name: "set", uid: "uid-set", ownerReferences: [owner("Deployment", "app")] },
  deployments: { name: "app", uid: "uid-app" },
  apiservices: { name: "v1alpha1.login.concierge.pinniped.dev", uid: "uid-api" },
};
const refusal = (code: number, reason: string, name?: string): KubernetesApiError =>
  new KubernetesApiError({
    ...{
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      message: `${name ?? "it"}: ${reason}`,
      reason,
      code,
    },
    ...(name === undefined ? {} : { details: { name } }),
  });

interface World {
  readonly config?: ReturnType<typeof configuration>;
  /** What a `get` of a plural name fails with. */
  readonly refused?: Readonly<Record<string, Error>>;
  readonly denied?: (resource: string, verb: string) => boolean;
  /** Status of discovery and the plural names that it lists. */
  readonly discovery?: (path: string) => readonly [number, readonly string[]];
  readonly reviews?: Error;
}

const everything = (path: string): readonly [number, readonly string[]] => [
  200,
  (path.includes("/config.")
    ? ["credentialissuers"]
    : ["jwtauthenticators", "webhookauthenticators"]
  ).flatMap((name) => [name, `${name}/status`]),
];

function look({ config = configuration(), refused = {}, denied, discovery = everything, reviews }: World) {
  const client: Pick<KubernetesClient, "get" | "raw" | "review"> = {
    get: ({ plural }) =>
      refused[plural] === undefined
        ? Promise.resolve({ apiVersion: "v1", kind: "X", metadata: objects[plural] } as never)
        : Promise.reject(refused[plural]),
    raw: ({ path }) => {
      const [status, resources] = discovery(path);
      const text = JSON.stringify({ resources: resources.map((name) => ({ name })) });
      return Promise.resolve({ status, headers: {}, text });
    },
    review: (_, object) => {
      if (reviews !== undefined) {
        return Promise.reject(reviews);
      }
      const { resource, subresource, verb } = (
        object as unknown as { spec: { resourceAttributes: Readonly<Record<string, string>> } }
      ).spec.resourceAttributes;
      const what = subresource === undefined ? resource : `${resource}/${subresource}`;
      const allowed = denied?.(what ?? "", verb ?? "") !== true;
      return Promise.resolve({ ...object, status: { allowed } });
    },
  };
  return lookAtInstallation({
    client,
    config,
    namespace: "concierge",
    podName: "pod",
    loginApiServiceName: "v1alpha1.login.concierge.pinniped.dev",
  });
}
const textsOf = async (world: World): Promise<readonly string[]> =>
  (await look(world)).obstacles.map(({ text }) => text);

test("with everything there it finds who owns it", async () => {
  const { obstacles, found } = await look({});
  assert.deepEqual(obstacles, []);
  assert.equal(found?.deployment.metadata.name, "app");
});

test("a rule that names the Lease is asked for once its name is known", async () => {
  const denied = (resource: string): boolean => resource === "leases" || resource === "pods";
  const refused = { pods: refusal(403, "Forbidden") };
  const lease = "permission: {apiGroups: [coordination.k8s.io], resources: [leases]";
  const place = "(Role in namespace concierge)";
  assert.deepEqual(
    (await textsOf({ denied })).filter((text) => text.startsWith(lease)),
    [`${lease}, verbs: [create]} ${place}`, `${lease}, resourceNames: [app], verbs: [get, update]} ${place}`],
  );
  assert.deepEqual(
    (await textsOf({ denied, refused })).filter((text) => text.startsWith(lease)),
    [`${lease}, verbs: [create]} ${place}`],
  );
});

test("owners that cannot be read are told only where no rule explains it", async () => {
  const refused = { replicasets: refusal(403, "Forbidden") };
  const denied = (resource: string): boolean => resource === "replicasets";
  assert.deepEqual(await textsOf({ refused, denied }), [
    "permission: {apiGroups: [apps], resources: [replicasets], verbs: [get]} (Role in namespace concierge)",
  ]);
  const [only, ...more] = await textsOf({ refused, reviews: refusal(403, "Forbidden") });
  assert.match(only ?? "", /^cannot read ReplicaSet concierge\/set: it: Forbidden; /);
  assert.deepEqual(more, []);
});

test("a missing APIService is waited for, a missing Pod is not", async () => {
  const name = "v1alpha1.login.concierge.pinniped.dev";
  assert.deepEqual(await textsOf({ refused: { apiservices: refusal(404, "NotFound", name) } }), [
    `APIService: ${name}`,
  ]);
  await assert.rejects(look({ refused: { pods: refusal(404, "NotFound", "pod") } }), {
    code: "installation.owner.unresolved",
  });
  const unreachable = new LanyardError({ code: "kubernetes.unreachable", message: "no" });
  await assert.rejects(look({ refused: { pods: unreachable } }), /cannot read Pod concierge\/pod: no/);
});

test("CustomResourceDefinitions: what is not served, with the command for this suffix", async () => {
  const gone = await look({ discovery: () => [404, []] });
  assert.deepEqual(
    gone.obstacles.map(({ name, text }) => [name, text]),
    [
      "credentialissuers.config.concierge.pinniped.dev",
      "jwtauthenticators.authentication.concierge.pinniped.dev",
      "webhookauthenticators.authentication.concierge.pinniped.dev",
    ].map((name) => [`custom-resource-definition/${name}`, `CustomResourceDefinition: ${name}`]),
  );
  const command = (set: string): string =>
    `helm template lanyard-concierge-crds charts/lanyard-concierge-crds${set} | kubectl apply --server-side --force-conflicts --filename=-`;
  assert.equal(gone.obstacles[0]?.remedy, command(""));

  const config = configuration({ apiGroupSuffix: "example.com", extensions: { enabled: false } });
  const paths: string[] = [];
  const other = await look({
    config,
    discovery: (path) => {
      paths.push(path);
      // Status is a subresource that our controllers write: a definition without it is of no use.
      return [
        200,
        [
          "credentialissuers",
          "credentialissuers/status",
          "jwtauthenticators",
          "webhookauthenticators/status",
        ],
      ];
    },
  });
  assert.deepEqual(paths, [
    "/apis/config.concierge.example.com/v1alpha1",
    "/apis/authentication.concierge.example.com/v1alpha1",
  ]);
  assert.deepEqual(
    other.obstacles.map(({ text }) => text),
    ["jwtauthenticators", "webhookauthenticators"].map(
      (name) => `CustomResourceDefinition: ${name}.authentication.concierge.example.com`,
    ),
  );
  assert.equal(
    other.obstacles[0]?.remedy,
    command(" --set apiGroupSuffix=example.com,extensions.enabled=false"),
  );
  assert.deepEqual(await textsOf({ discovery: () => [403, []] }), []);
});

test("rules of the agent are asked for only while it is on", async () => {
  const denied = (resource: string): boolean => resource === "pods/exec";
  assert.equal((await textsOf({ denied })).length, 1);
  const config = configuration({ kubeCertAgent: { enabled: false } });
  assert.deepEqual(await textsOf({ denied, config }), []);
});
