import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type Manifest, render } from "./chart-render.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** One rule in a line: groups, resources, names in brackets, verbs. */
const line = ({ apiGroups, resources, verbs, resourceNames }: Rule): string =>
  `${apiGroups.map((group) => (group === "" ? "core" : group)).join()} ${resources.join()}${
    resourceNames === undefined ? "" : `[${resourceNames.join()}]`
  }: ${verbs.join()}`;

const app = "lanyard-concierge";

/** Contract 10.3 with what clarifications 10 and S19 change; lines marked `agent` go when the agent is off. */
const table: Readonly<
  Record<string, readonly (string | { readonly agent: string; readonly otherwise?: string })[]>
> = {
  [`ClusterRole - ${app}-aggregated-api-server`]: [
    "core namespaces: get,list,watch",
    "apiregistration.k8s.io apiservices: get,list,patch,update,watch",
    "security.openshift.io securitycontextconstraints[nonroot]: use",
    "core nodes: list",
    "config.concierge.pinniped.dev credentialissuers: get,list,watch,create",
    "config.concierge.pinniped.dev credentialissuers/status: get,patch,update",
    "authentication.concierge.pinniped.dev jwtauthenticators,webhookauthenticators: get,list,watch",
    "authentication.concierge.pinniped.dev jwtauthenticators/status,webhookauthenticators/status: get,list,watch,update",
  ],
  [`ClusterRole - ${app}-impersonation-proxy`]: [
    "core users,groups,serviceaccounts: impersonate",
    "authentication.k8s.io *: impersonate",
  ],
  [`ClusterRole - ${app}-pre-authn-apis`]: [
    "login.concierge.pinniped.dev tokencredentialrequests: create,list",
    "identity.concierge.pinniped.dev whoamirequests: create,list",
  ],
  [`Role concierge ${app}-aggregated-api-server`]: [
    "core services: create,get,list,patch,update,watch,delete",
    "core secrets: create,get,list,patch,update,watch,delete",
    { agent: "core pods: get,list,watch,delete", otherwise: "core pods: get,list,watch" },
    { agent: "core pods/exec: create" },
    {
      agent: "apps deployments: create,get,list,patch,update,watch,delete",
      otherwise: "apps deployments: get",
    },
    "apps replicasets: get",
    "core configmaps: list,get,watch",
    "coordination.k8s.io leases: create,get,update",
    "core serviceaccounts: get",
    `core serviceaccounts/token[${app}-impersonation-proxy]: create`,
  ],
  [`Role kube-public ${app}-cluster-info-lister-watcher`]: ["core configmaps: list,watch"],
  [`Role concierge ${app}-kube-cert-agent`]: [{ agent: "policy podsecuritypolicies: use" }],
  [`Role kube-system ${app}-kube-system-pod-read`]: [{ agent: "core pods: get,list,watch" }],
};

const server = `ServiceAccount concierge/${app}`;
const groups = "Group system:authenticated, Group system:unauthenticated";

const bindings: Readonly<
  Record<string, { readonly to: string; readonly subjects: string; readonly agent?: boolean }>
> = {
  [`ClusterRoleBinding - ${app}`]: { to: "ClusterRole system:auth-delegator", subjects: server },
  [`ClusterRoleBinding - ${app}-aggregated-api-server`]: {
    to: `ClusterRole ${app}-aggregated-api-server`,
    subjects: server,
  },
  [`ClusterRoleBinding - ${app}-impersonation-proxy`]: {
    to: `ClusterRole ${app}-impersonation-proxy`,
    subjects: `${server}-impersonation-proxy`,
  },
  [`ClusterRoleBinding - ${app}-pre-authn-apis`]: {
    to: `ClusterRole ${app}-pre-authn-apis`,
    subjects: groups,
  },
  [`RoleBinding concierge ${app}-aggregated-api-server`]: {
    to: `Role ${app}-aggregated-api-server`,
    subjects: server,
  },
  [`RoleBinding kube-public ${app}-cluster-info-lister-watcher`]: {
    to: `Role ${app}-cluster-info-lister-watcher`,
    subjects: server,
  },
  [`RoleBinding kube-system ${app}-extension-apiserver-authentication-reader`]: {
    to: "Role extension-apiserver-authentication-reader",
    subjects: server,
  },
  [`RoleBinding concierge ${app}-kube-cert-agent`]: {
    to: `Role ${app}-kube-cert-agent`,
    subjects: `${server}-kube-cert-agent`,
    agent: true,
  },
  [`RoleBinding kube-system ${app}-kube-system-pod-read`]: {
    to: `Role ${app}-kube-system-pod-read`,
    subjects: server,
    agent: true,
  },
};

describe("RBAC", () => {
  for (const enabled of [true, false]) {
    const values = { "kubeCertAgent.enabled": enabled };
    const title = (what: string): string =>
      `${what} are exactly the table's, agent ${enabled ? "on" : "off"}`;

    it(title("rules"), async () => {
      const rendered = (await render("lanyard-concierge", values))
        .filter(({ kind }) => kind === "Role" || kind === "ClusterRole")
        .map(({ kind, metadata, ...role }) => [
          `${kind} ${metadata.namespace ?? "-"} ${metadata.name}`,
          (role["rules"] as readonly Rule[]).map((rule) => line(rule)),
        ]);
      const expected = Object.entries(table)
        .map(([role, rules]) => [
          role,
          rules.flatMap((rule) => {
            if (typeof rule === "string") return [rule];
            return enabled ? [rule.agent] : rule.otherwise === undefined ? [] : [rule.otherwise];
          }),
        ])
        .filter(([, rules]) => rules?.length !== 0);
      assert.deepEqual(Object.fromEntries(rendered), Object.fromEntries(expected));
    });

    it(title("bindings"), async () => {
      const rendered = (await render("lanyard-concierge", values))
        .filter(({ kind }) => kind.endsWith("Binding"))
        .map(({ kind, metadata, ...binding }) => {
          const { roleRef, subjects } = binding as unknown as {
            readonly roleRef: { readonly kind: string; readonly name: string };
            readonly subjects: readonly {
              readonly kind: string;
              readonly namespace?: string;
              readonly name: string;
            }[];
          };
          return [
            `${kind} ${metadata.namespace ?? "-"} ${metadata.name}`,
            {
              to: `${roleRef.kind} ${roleRef.name}`,
              subjects: subjects
                .map((subject) =>
                  subject.namespace === undefined
                    ? `${subject.kind} ${subject.name}`
                    : `${subject.kind} ${subject.namespace}/${subject.name}`,
                )
                .join(", "),
            },
          ];
        });
      const expected = Object.entries(bindings)
        .filter(([, { agent }]) => enabled || agent !== true)
        .map(([name, { to, subjects }]) => [name, { to, subjects }]);
      assert.deepEqual(Object.fromEntries(rendered), Object.fromEntries(expected));
    });
  }

  for (const enabled of [true, false]) {
    it(`narrows writes to the objects that they are for, agent ${enabled ? "on" : "off"}`, async () => {
      const rules = async (profile: string): Promise<ReadonlyMap<string, readonly string[]>> =>
        new Map(
          (await render("lanyard-concierge", { "rbac.profile": profile, "kubeCertAgent.enabled": enabled }))
            .filter(({ kind }) => kind === "Role" || kind === "ClusterRole")
            .map(({ kind, metadata, ...role }) => [
              `${kind} ${metadata.name}`,
              (role["rules"] as readonly Rule[]).map((rule) => line(rule)),
            ]),
        );
      const [wide, narrow] = await Promise.all([rules("contract"), rules("narrow")]);
      const different = (name: string): { readonly gone: unknown; readonly come: unknown } => {
        const [before, after] = [wide.get(name) ?? [], narrow.get(name) ?? []];
        return {
          gone: before.filter((rule) => !after.includes(rule)),
          come: after.filter((rule) => !before.includes(rule)),
        };
      };
      const proxy = `${app}-impersonation-proxy`;
      const apis = "v1alpha1.login.concierge.pinniped.dev,v1alpha1.identity.concierge.pinniped.dev";
      assert.deepEqual(different(`Role ${app}-aggregated-api-server`), {
        gone: [
          "core services: create,get,list,patch,update,watch,delete",
          "core secrets: create,get,list,patch,update,watch,delete",
          ...(enabled ? ["apps deployments: create,get,list,patch,update,watch,delete"] : []),
          "coordination.k8s.io leases: create,get,update",
        ],
        come: [
          "core services: create,get,list,watch",
          `core services[${proxy}-load-balancer,${proxy}-cluster-ip]: patch,update,delete`,
          "core secrets: create,get,list,watch",
          `core secrets[${app}-api-tls-serving-certificate,${proxy}-tls-serving-certificate,${proxy}-ca-certificate,${proxy}-signer-ca-certificate,${proxy}-signer-ca-certificate-previous,${proxy}-token-key,${proxy}-token-key-previous,${proxy}]: patch,update,delete`,
          ...(enabled
            ? [
                "apps deployments: create,get,list,watch",
                `apps deployments[${app}-kube-cert-agent]: patch,update,delete`,
              ]
            : []),
          "coordination.k8s.io leases: create",
          `coordination.k8s.io leases[${app}]: get,update`,
        ],
      });
      assert.deepEqual(different(`ClusterRole ${app}-aggregated-api-server`), {
        gone: [
          "apiregistration.k8s.io apiservices: get,list,patch,update,watch",
          "config.concierge.pinniped.dev credentialissuers: get,list,watch,create",
          "config.concierge.pinniped.dev credentialissuers/status: get,patch,update",
          "authentication.concierge.pinniped.dev jwtauthenticators/status,webhookauthenticators/status: get,list,watch,update",
        ],
        come: [
          "apiregistration.k8s.io apiservices: get,list,watch",
          `apiregistration.k8s.io apiservices[${apis}]: patch,update`,
          "config.concierge.pinniped.dev credentialissuers: get,list,watch",
          `config.concierge.pinniped.dev credentialissuers/status[${app}-config]: get,patch,update`,
          "authentication.concierge.pinniped.dev jwtauthenticators/status,webhookauthenticators/status: update",
        ],
      });
      assert.deepEqual([...narrow.keys()], [...wide.keys()]);
    });
  }

  it("lets the wildcard of the proxy be narrowed", async () => {
    const resources = ["uids", "userextras/example.com/team"];
    const objects = await render("lanyard-concierge", {
      "rbac.impersonatedAuthenticationResources": resources,
    });
    const role = objects.find(
      ({ kind, metadata }) => kind === "ClusterRole" && metadata.name === `${app}-impersonation-proxy`,
    );
    const rules = role?.["rules"] as readonly Rule[] | undefined;
    assert.deepEqual(rules?.[1]?.resources, resources);
  });

  it("gives the rights to have certificates signed only while that strategy is on", async () => {
    const name = `${app}-certificate-signing-request-api`;
    const mode = (value: string): Promise<readonly Manifest[]> =>
      render("lanyard-concierge", { "certificateSigningRequestAPI.mode": value });
    const about = (objects: readonly Manifest[]): readonly Manifest[] =>
      objects.filter((object) => JSON.stringify(object).includes("certificates.k8s.io"));
    assert.deepEqual(about(await mode("Disabled")), []);
    const on = await mode("Enabled");
    const [role, ...more] = about(on);
    assert.deepEqual(more, []);
    assert.equal(role?.metadata.name, name);
    assert.deepEqual(
      (role["rules"] as readonly Rule[]).map((rule) => line(rule)),
      [
        "certificates.k8s.io certificatesigningrequests: create,get,list,delete",
        "certificates.k8s.io certificatesigningrequests/approval: update",
        "certificates.k8s.io signers[kubernetes.io/kube-apiserver-client]: approve",
      ],
    );
    const binding = on.find(({ kind, metadata }) => kind === "ClusterRoleBinding" && metadata.name === name);
    assert.deepEqual(binding?.["subjects"], [{ kind: "ServiceAccount", name: app, namespace: "concierge" }]);
    const issuer = on.find(({ kind }) => kind === "CredentialIssuer");
    const spec = issuer?.["spec"] as { readonly certificateSigningRequestAPI?: object } | undefined;
    assert.deepEqual(spec?.certificateSigningRequestAPI, { mode: "Enabled" });
    await assert.rejects(
      render("lanyard-concierge", {
        "certificateSigningRequestAPI.mode": "Enabled",
        "extensions.enabled": false,
      }),
      /needs extensions\.enabled/,
    );
  });

  it("aggregates into no other role (S19)", async () => {
    for (const { metadata } of await render("lanyard-concierge")) {
      const keys = [...Object.keys(metadata.labels ?? {}), ...Object.keys(metadata.annotations ?? {})];
      assert.ok(!keys.some((key) => key.includes("aggregate-to")), metadata.name);
    }
  });
});
