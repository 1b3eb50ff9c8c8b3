import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { parseConfig } from "../../src/concierge/config/load-config.ts";
import { customResourceDefinition } from "../../src/resources/crd.ts";
import { customResourceKinds } from "../../src/resources/kinds.ts";
import { chartFolder, helm, helmMajors, render, setValues } from "./chart-render.ts";
import type { Manifest } from "./chart-render.ts";

const names = (objects: readonly Manifest[]): readonly string[] =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? "-"} ${metadata.name}`).toSorted();

const find = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
  assert.equal(found.length, 1, `${kind} ${name}`);
  return found[0]!;
};

const agentObjects = [
  "Role concierge lanyard-concierge-kube-cert-agent",
  "Role kube-system lanyard-concierge-kube-system-pod-read",
  "RoleBinding concierge lanyard-concierge-kube-cert-agent",
  "RoleBinding kube-system lanyard-concierge-kube-system-pod-read",
  "ServiceAccount concierge lanyard-concierge-kube-cert-agent",
];

const otherObjects = [
  "APIService - v1alpha1.identity.concierge.pinniped.dev",
  "APIService - v1alpha1.login.concierge.pinniped.dev",
  "ClusterRole - lanyard-concierge-aggregated-api-server",
  "ClusterRole - lanyard-concierge-impersonation-proxy",
  "ClusterRole - lanyard-concierge-pre-authn-apis",
  "ClusterRoleBinding - lanyard-concierge",
  "ClusterRoleBinding - lanyard-concierge-aggregated-api-server",
  "ClusterRoleBinding - lanyard-concierge-impersonation-proxy",
  "ClusterRoleBinding - lanyard-concierge-pre-authn-apis",
  "ConfigMap concierge lanyard-concierge-config",
  "CredentialIssuer - lanyard-concierge-config",
  "Deployment concierge lanyard-concierge",
  "PodDisruptionBudget concierge lanyard-concierge",
  "Role concierge lanyard-concierge-aggregated-api-server",
  "Role kube-public lanyard-concierge-cluster-info-lister-watcher",
  "RoleBinding concierge lanyard-concierge-aggregated-api-server",
  "RoleBinding kube-public lanyard-concierge-cluster-info-lister-watcher",
  "RoleBinding kube-system lanyard-concierge-extension-apiserver-authentication-reader",
  "Service concierge lanyard-concierge-api",
  "Service concierge lanyard-concierge-proxy",
  "ServiceAccount concierge lanyard-concierge",
  "ServiceAccount concierge lanyard-concierge-impersonation-proxy",
];

describe("both charts", () => {
  for (const major of helmMajors) {
    it(`pass the linter of Helm ${major}`, async () => {
      const charts = [chartFolder("lanyard-concierge"), chartFolder("lanyard-concierge-crds")];
      const { code, stdout } = await helm(["lint", "--strict", ...charts], {}, major);
      assert.equal(code, 0, stdout);
      const version = await helm(["version", "--short"], {}, major);
      assert.match(version.stdout, new RegExp(`^v${major}\\.`));
    });
  }

  it("refuse values that they do not know", async () => {
    for (const chart of ["lanyard-concierge", "lanyard-concierge-crds"] as const) {
      for (const major of helmMajors) {
        await assert.rejects(
          render(chart, { apiGroupSufix: "x.example.com" }, { major }),
          /additional properties/,
        );
      }
      await assert.rejects(render(chart, { apiGroupSuffix: "nodot" }), /apiGroupSuffix/);
    }
    await assert.rejects(render("lanyard-concierge", { "api.service.type": "ExternalName" }), /externalName/);
  });
});

describe("objects of lanyard-concierge", () => {
  it("are those of the contract", async () => {
    assert.deepEqual(names(await render("lanyard-concierge")), [...agentObjects, ...otherObjects].toSorted());
  });

  it("do not include the agent's when it is off (S19)", async () => {
    assert.deepEqual(
      names(await render("lanyard-concierge", { "kubeCertAgent.enabled": false })),
      otherObjects,
    );
  });

  it("follow appName, and all carry the labels, but Pods not the custom ones", async () => {
    const objects = await render("lanyard-concierge", {
      appName: "login",
      customLabels: { team: "platform", app: "other" },
      imagePullDockerConfigJson: "e30=",
      "namespace.create": true,
    });
    for (const { kind, metadata } of objects) {
      assert.deepEqual(metadata.labels?.["app"], "login", `${kind} ${metadata.name}`);
      assert.deepEqual(metadata.labels?.["team"], "platform", `${kind} ${metadata.name}`);
      assert.doesNotMatch(metadata.name, /lanyard/);
    }
    const { spec } = find(objects, "Deployment", "login") as unknown as {
      readonly spec: {
        readonly selector: unknown;
        readonly template: { readonly metadata: { readonly labels: unknown }; readonly spec: object };
      };
    };
    assert.deepEqual(spec.selector, { matchLabels: { app: "login" } });
    assert.deepEqual(spec.template.metadata.labels, { app: "login", "deployment.pinniped.dev": "concierge" });
    assert.deepEqual((spec.template.spec as { imagePullSecrets?: unknown }).imagePullSecrets, [
      { name: "image-pull-secret" },
    ]);
  });

  it("label the Namespace privileged only for the agent", async () => {
    const labels = async (enabled: boolean) =>
      find(
        await render("lanyard-concierge", { "namespace.create": true, "kubeCertAgent.enabled": enabled }),
        "Namespace",
        "concierge",
      ).metadata.labels;
    assert.deepEqual(await labels(true), {
      app: "lanyard-concierge",
      "pod-security.kubernetes.io/enforce": "privileged",
    });
    assert.deepEqual(await labels(false), { app: "lanyard-concierge" });
  });

  it("route the two APIs to the api Service without a CA bundle", async () => {
    const objects = await render("lanyard-concierge", { apiGroupSuffix: "auth.example.com" });
    for (const group of ["login.concierge.auth.example.com", "identity.concierge.auth.example.com"]) {
      assert.deepEqual(find(objects, "APIService", `v1alpha1.${group}`)["spec"], {
        group,
        version: "v1alpha1",
        groupPriorityMinimum: 9900,
        versionPriority: 15,
        service: { name: "lanyard-concierge-api", namespace: "concierge", port: 443 },
      });
    }
    const issuer = find(objects, "CredentialIssuer", "lanyard-concierge-config");
    assert.equal(issuer.apiVersion, "config.concierge.auth.example.com/v1alpha1");
    const text = JSON.stringify(objects.filter(({ kind }) => kind === "ClusterRole"));
    assert.doesNotMatch(text, /pinniped\.dev/);
  });

  it("have the Services of the contract, or one that points outside the cluster", async () => {
    const spec = async (values: object, name: string) =>
      find(await render("lanyard-concierge", { ...values }), "Service", `lanyard-concierge-${name}`)["spec"];
    const selector = { "deployment.pinniped.dev": "concierge" };
    assert.deepEqual(await spec({}, "api"), {
      type: "ClusterIP",
      selector,
      ports: [{ protocol: "TCP", port: 443, targetPort: 10250 }],
    });
    assert.deepEqual(await spec({}, "proxy"), {
      type: "ClusterIP",
      selector,
      ports: [{ protocol: "TCP", port: 443, targetPort: 8444 }],
    });
    const outside = { "api.service": { type: "ExternalName", externalName: "localhost", port: 12345 } };
    assert.deepEqual(await spec(outside, "api"), {
      type: "ExternalName",
      externalName: "localhost",
      ports: [{ protocol: "TCP", port: 12345, targetPort: 10250 }],
    });
  });

  it("give the CredentialIssuer the contract's defaults, but for the Service, which exposes nothing", async () => {
    const spec = async (values: Readonly<Record<string, unknown>>) =>
      find(await render("lanyard-concierge", values), "CredentialIssuer", "lanyard-concierge-config")["spec"];
    assert.deepEqual(await spec({}), {
      impersonationProxy: {
        mode: "auto",
        service: { type: "ClusterIP" },
      },
    });
    assert.deepEqual(await spec({ "impersonationProxy.service.type": "LoadBalancer" }), {
      impersonationProxy: {
        mode: "auto",
        service: {
          type: "LoadBalancer",
          annotations: { "service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout": "4000" },
        },
      },
    });
    const service = { type: "ClusterIP", annotations: {}, loadBalancerIP: "10.0.0.1" };
    assert.deepEqual(
      await spec({ impersonationProxy: { mode: "enabled", externalEndpoint: "proxy.example.com", service } }),
      {
        impersonationProxy: {
          mode: "enabled",
          externalEndpoint: "proxy.example.com",
          service: { type: "ClusterIP", loadBalancerIP: "10.0.0.1" },
        },
      },
    );
    const clientCertificate = { lifetimeSeconds: 3600, refreshLeadSeconds: 0, boundToToken: false };
    const balancer = { loadBalancerSourceRanges: ["192.0.2.0/24"], loadBalancerClass: "example.com/one" };
    assert.deepEqual(
      await spec({
        impersonationProxy: {
          credential: "BearerToken",
          maximumStreamSeconds: 86_400,
          service: { type: "LoadBalancer", annotations: {}, ...balancer },
        },
        clientCertificate,
        certificateSigningRequestAPI: { mode: "Enabled" },
      }),
      {
        impersonationProxy: {
          mode: "auto",
          service: { type: "LoadBalancer", ...balancer },
          credential: "BearerToken",
          maximumStreamSeconds: 86_400,
        },
        clientCertificate,
        certificateSigningRequestAPI: { mode: "Enabled" },
      },
    );
    const plain = { "impersonationProxy.service.annotations": {} };
    const tls = { secretName: "proxy-tls", certificateAuthorityData: "Y2E=" };
    for (const part of [tls, { secretName: "proxy-tls" }]) {
      assert.deepEqual(await spec({ ...plain, "impersonationProxy.tls": part }), {
        impersonationProxy: { mode: "auto", service: { type: "ClusterIP" }, tls: part },
      });
    }
    await assert.rejects(
      spec({ "impersonationProxy.tls": { certificateAuthorityData: "Y2E=" } }),
      /secretName/,
      "a CA without a certificate would be ignored",
    );
  });
});

describe("the Deployment", () => {
  interface PodTemplate {
    readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
    readonly spec: {
      readonly containers: readonly Readonly<Record<string, unknown>>[];
      readonly [field: string]: unknown;
    };
  }
  const template = async (values: Readonly<Record<string, unknown>> = {}): Promise<PodTemplate> => {
    const { spec } = find(await render("lanyard-concierge", values), "Deployment", "lanyard-concierge");
    return (spec as { readonly template: PodTemplate }).template;
  };

  it("runs the server as the contract says", async () => {
    const { spec } = await template();
    const [container, ...others] = spec.containers;
    assert.equal(others.length, 0);
    assert.deepEqual(container?.["command"], [
      "pinniped-concierge",
      "--config=/etc/config/pinniped.yaml",
      "--downward-api-path=/etc/podinfo",
    ]);
    assert.equal(container["name"], "lanyard-concierge");
    assert.equal(container["env"], undefined);
    assert.deepEqual(container["securityContext"], {
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    });
    const { requests, limits } = container["resources"] as Record<string, Record<string, string>>;
    assert.equal(requests?.["cpu"], "100m");
    assert.deepEqual(limits, { memory: "256Mi" });
    assert.deepEqual(spec["securityContext"], { runAsUser: 65532, runAsGroup: 65532 });
    const probe = { initialDelaySeconds: 2, periodSeconds: 10 };
    assert.deepEqual(container["livenessProbe"], {
      ...probe,
      httpGet: { path: "/healthz", port: 10250, scheme: "HTTPS" },
      timeoutSeconds: 15,
      failureThreshold: 5,
    });
    assert.deepEqual(container["readinessProbe"], {
      ...probe,
      httpGet: { path: "/readyz", port: 10250, scheme: "HTTPS" },
      timeoutSeconds: 3,
      failureThreshold: 3,
    });
  });

  it("sets the proxy's variables only when there is a proxy", async () => {
    const { spec } = await template({ httpsProxy: "http://proxy.example.com:3128" });
    assert.deepEqual(spec.containers[0]?.["env"], [
      { name: "HTTPS_PROXY", value: "http://proxy.example.com:3128" },
      {
        name: "NO_PROXY",
        value: "$(KUBERNETES_SERVICE_HOST),169.254.169.254,127.0.0.1,localhost,.svc,.cluster.local",
      },
    ]);
  });

  it("names the image by digest, tag or the chart's version", async () => {
    const image = async (values: object) =>
      (await template({ image: { repository: "example.com/concierge", ...values } })).spec.containers[0]?.[
        "image"
      ];
    const digest = `sha256:${"0".repeat(64)}`;
    assert.equal(await image({ digest, tag: "v1" }), `example.com/concierge@${digest}`);
    assert.equal(await image({ tag: "v1" }), "example.com/concierge:v1");
    assert.equal(await image({}), "example.com/concierge:0.1.0");
  });

  it("rolls when the configuration changes, and only then", async () => {
    const checksum = async (values: Readonly<Record<string, unknown>>) =>
      (await template(values)).metadata.annotations["checksum/config"];
    assert.equal(await checksum({}), await checksum({ replicas: 5 }));
    assert.notEqual(await checksum({}), await checksum({ logLevel: "debug" }));
  });
});

describe("the configuration file", () => {
  const config = async (values: Readonly<Record<string, unknown>> = {}) => {
    const map = find(
      await render("lanyard-concierge", values),
      "ConfigMap",
      `${typeof values["appName"] === "string" ? values["appName"] : "lanyard-concierge"}-config`,
    );
    const data = map["data"] as Readonly<Record<string, string>>;
    assert.deepEqual(Object.keys(data), ["pinniped.yaml"]);
    return parseConfig(data["pinniped.yaml"] ?? "");
  };

  it("is one that the server accepts, with all names derived from appName", async () => {
    const { names, labels, kubeCertAgent, api, audit, apiGroupSuffix } = await config({ appName: "login" });
    assert.deepEqual(names, {
      servingCertificateSecret: "login-api-tls-serving-certificate",
      credentialIssuer: "login-config",
      apiService: "login-api",
      impersonationLoadBalancerService: "login-impersonation-proxy-load-balancer",
      impersonationClusterIPService: "login-impersonation-proxy-cluster-ip",
      impersonationTLSCertificateSecret: "login-impersonation-proxy-tls-serving-certificate",
      impersonationCACertificateSecret: "login-impersonation-proxy-ca-certificate",
      impersonationSignerSecret: "login-impersonation-proxy-signer-ca-certificate",
      agentServiceAccount: "login-kube-cert-agent",
      impersonationProxyServiceAccount: "login-impersonation-proxy",
      impersonationProxyLegacySecret: "login-impersonation-proxy",
    });
    assert.deepEqual(labels, { app: "login" });
    assert.deepEqual(kubeCertAgent, {
      enabled: true,
      namePrefix: "login-kube-cert-agent-",
      image: "lanyard-concierge:0.1.0",
      imagePullSecrets: [],
      priorityClassName: "",
    });
    assert.deepEqual(api.servingCertificate, { durationSeconds: 2_592_000, renewBeforeSeconds: 2_160_000 });
    assert.equal(audit.proxiedRequests, true);
    assert.equal(audit.logUsernamesAndGroups, false);
    assert.equal(apiGroupSuffix, "pinniped.dev");
  });

  it("takes every value that reaches it", async () => {
    const taken = await config({
      apiGroupSuffix: "auth.example.com",
      discoveryUrl: "https://cluster.example.com",
      apiServingCertificate: { durationSeconds: "7200", renewBeforeSeconds: 3600 },
      kubeCertAgent: { enabled: false, image: "example.com/agent:1", priorityClassName: "high" },
      imagePullDockerConfigJson: "e30=",
      logLevel: "debug",
      "audit.logUsernamesAndGroups": "enabled",
      "limits.concurrentCreates": 7,
      "reservedIdentities.additionalPrefixes": ["corp:"],
      allowedCiphersForTLSOneDotTwo: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
      aggregatedAPIServerPort: 12_345,
    });
    assert.equal(taken.apiGroupSuffix, "auth.example.com");
    assert.equal(taken.discoveryUrl, "https://cluster.example.com");
    assert.deepEqual(taken.api.servingCertificate, { durationSeconds: 7200, renewBeforeSeconds: 3600 });
    assert.deepEqual(taken.kubeCertAgent, {
      enabled: false,
      namePrefix: "lanyard-concierge-kube-cert-agent-",
      image: "example.com/agent:1",
      imagePullSecrets: ["image-pull-secret"],
      priorityClassName: "high",
    });
    assert.equal(taken.log.level, "debug");
    assert.equal(taken.audit.logUsernamesAndGroups, true);
    assert.equal(taken.limits.concurrentCreates, 7);
    assert.deepEqual(taken.reservedIdentities.additionalPrefixes, ["corp:"]);
    assert.deepEqual(taken.tls.onedottwo.allowedCiphers, ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]);
    assert.equal(taken.aggregatedAPIServerPort, 12_345);
  });
});

describe("CRDs", () => {
  const plain = (manifest: object): unknown => JSON.parse(JSON.stringify(manifest));

  for (const extensions of [true, false]) {
    it(`of lanyard-concierge-crds are ours for any suffix, ${extensions ? "with" : "without"} additive fields`, async () => {
      const apiGroupSuffix = "auth.example.com";
      const objects = await render("lanyard-concierge-crds", {
        apiGroupSuffix,
        customLabels: { team: "platform" },
        "extensions.enabled": extensions,
      });
      const expected = customResourceKinds.map((kind) => {
        const crd = customResourceDefinition(kind, {
          apiGroupSuffix,
          extensions,
          labels: { app: "lanyard-concierge", team: "platform" },
        });
        return plain({
          ...crd,
          metadata: { ...crd.metadata, annotations: { "helm.sh/resource-policy": "keep" } },
        });
      });
      const byName = (a: unknown, b: unknown): number =>
        (a as Manifest).metadata.name < (b as Manifest).metadata.name ? -1 : 1;
      assert.deepEqual(plain(objects.toSorted(byName)), expected.toSorted(byName));
    });
  }

  it("of lanyard-concierge are those of the default suffix", async () => {
    const { stdout } = await helm(["show", "crds", chartFolder("lanyard-concierge"), ...setValues({})]);
    for (const kind of customResourceKinds) {
      assert.ok(stdout.includes(customResourceDefinition(kind).metadata.name));
    }
  });
});
