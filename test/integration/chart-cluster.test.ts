import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { startCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import type { KubernetesObject } from "../../src/kube/objects.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import { resourceKinds } from "../../src/resources/kinds.ts";
import { validateManifest } from "../../src/resources/validate-manifest.ts";
import { startDiscoveryServer } from "./chart-discovery-server.ts";
import { exampleValues } from "./chart-examples.ts";
import { goldenCases } from "./chart-golden.ts";
import { manifestCases } from "./chart-manifests.ts";
import { chartFolder, helm, render, setValues } from "./chart-render.ts";
import { eventually } from "./harness/eventually.ts";

const app = "lanyard-concierge";
const namespace = "concierge";
const account = `system:serviceaccount:${namespace}:${app}`;

/** What the kube-apiserver adds to the errors of a schema that has rules, when it did not come to them: no error of its own. */
const RULES_NOT_CHECKED = "some validation rules were not checked because the object was invalid";

/** The field lines of `kubectl explain --recursive` without what is below metadata. */
const explainedFields = (output: string): readonly string[] => {
  const [, fields = ""] = output.split(/^FIELDS:$/m);
  const lines = fields.split("\n").filter((line) => /^\s*\w+\t</.test(line));
  const indent = (line: string): number => line.search(/\S/);
  const top = Math.min(...lines.map((line) => indent(line)));
  let inMetadata = false;
  return lines
    .filter((line) => {
      const isTop = indent(line) === top;
      const keep = isTop || !inMetadata;
      inMetadata = isTop ? line.trim().startsWith("metadata\t") : inMetadata;
      return keep;
    })
    .map((line) => line.trim());
};

describe("the chart on a real kube-apiserver", () => {
  let cluster: Cluster;
  /** What Helm 3 printed. */
  let notes = "";
  let server: { readonly port: number; close(): Promise<void> };

  const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await cluster.kubectl(args, input === undefined ? {} : { input });
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}`);
    return stdout;
  };

  before(async () => {
    cluster = await startCluster({ name: "chart", progress: () => {} });
    const now = Date.now();
    const validity = { notBefore: new Date(now - 300_000), notAfter: new Date(now + 3_600_000) };
    const authority = await createCertificateAuthority({ commonName: "chart test", ...validity });
    const certificate = await issueServingCertificate(authority, {
      dnsNames: [`${app}-api.${namespace}.svc`],
      ipAddresses: [],
      ...validity,
    });
    server = await startDiscoveryServer(certificate, "pinniped.dev");
    const installed = await helm(
      [
        "install",
        "concierge",
        chartFolder("lanyard-concierge"),
        `--namespace=${namespace}`,
        "--create-namespace",
        ...setValues({
          "api.service": { type: "ExternalName", externalName: "localhost", port: server.port },
          replicas: 1,
        }),
      ],
      { KUBECONFIG: cluster.kubeconfig },
    );
    assert.equal(installed.code, 0, installed.stderr);
    notes = installed.stdout;
    for (const group of ["login", "identity"]) {
      const name = `v1alpha1.${group}.concierge.pinniped.dev`;
      // In place of the controller that owns this field.
      const caBundle = Buffer.from(authority.certificatePem).toString("base64");
      await kubectl([
        "patch",
        "apiservice",
        name,
        "--type=merge",
        `--patch={"spec":{"caBundle":"${caBundle}"}}`,
      ]);
      await kubectl(["wait", `apiservice/${name}`, "--for=condition=Available", "--timeout=60s"]);
    }
  });

  after(async () => {
    await server?.close();
    await cluster?.stop();
  });

  const dryRun = async (objects: readonly object[]): Promise<void> => {
    const output = await kubectl(
      [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "--filename=-",
      ],
      JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
    );
    assert.equal(output.trim().split("\n").length, objects.length, output);
  };

  it("tells by the notes that the proxy's endpoint is cluster-internal", () => {
    assert.match(notes, /endpoint is cluster-internal/);
    assert.match(notes, /level: Metadata/);
  });

  it("holds only objects that are valid to the last field", async () => {
    const imagePullDockerConfigJson = Buffer.from('{"auths":{}}').toString("base64");
    const httpsProxy = "http://proxy.example.com:3128";
    const customLabels = { team: "platform" };
    await dryRun(
      await render("lanyard-concierge", {
        appName: "another",
        ...{ customLabels, imagePullDockerConfigJson, httpsProxy },
      }),
    );
    for (const { values } of goldenCases) {
      await dryRun(
        await render("lanyard-concierge", {
          ...values,
          ...{ appName: "another", imagePullDockerConfigJson, apiGroupSuffix: "pinniped.dev" },
        }),
      );
    }
  });

  for (const { path, values } of exampleValues()) {
    it(`takes what examples/${path} makes, to the last field`, async () => {
      // Beside what is installed, whose Service points outside.
      await dryRun(await render("lanyard-concierge", { ...values, appName: "another" }));
    });
  }

  it("makes Pods whose owners lead to the Deployment", async () => {
    const owner = await eventually("a Pod of the Deployment", async () => {
      const output = await kubectl([
        "get",
        "pods",
        `--namespace=${namespace}`,
        `--selector=app=${app}`,
        "--output=jsonpath={.items[0].metadata.ownerReferences[0].kind}/{.items[0].metadata.ownerReferences[0].name}",
      ]).catch(() => "");
      return output.length > 1 && output;
    });
    assert.match(owner, new RegExp(`^ReplicaSet/${app}-`));
  });

  describe("validation", () => {
    for (const { title, kind, body, expected } of manifestCases) {
      it(`${kind}, ${title}: the kube-apiserver and validateManifest agree`, async () => {
        const type = resourceKinds.find(({ resource }) => resource.kind === kind)!.resource;
        const apiVersion = `${type.group}/${type.version}`;
        const object = { apiVersion, kind, metadata: { name: "judged" }, ...body } as KubernetesObject;
        const { code, stdout, stderr } = await cluster.kubectl(
          [
            "create",
            `--raw=/apis/${apiVersion}/${type.plural}?dryRun=All&fieldValidation=Warn`,
            "--filename=-",
          ],
          { input: JSON.stringify(object) },
        );
        const lines = stderr.split("\n");
        const causes = lines
          .map((line) => line.replace(/^The \w+ "judged" is invalid: ?/, "").replace(/^\* /, ""))
          .filter(
            (line) => line !== "" && !line.startsWith("Warning: ") && !line.includes(RULES_NOT_CHECKED),
          );
        const warnings = lines
          .filter((line) => line.startsWith("Warning: "))
          .map((line) => line.slice("Warning: ".length));
        const ours = validateManifest(object);
        assert.deepEqual(ours.errors.toSorted(), causes.toSorted());
        assert.deepEqual(ours.warnings.toSorted(), warnings.toSorted());
        if (expected !== undefined) {
          assert.deepEqual(causes.toSorted(), expected.toSorted());
        }
        assert.equal(code === 0, causes.length === 0);
        if (code === 0) {
          const stored = JSON.parse(stdout) as { readonly spec: unknown };
          assert.deepEqual((ours.object as unknown as { readonly spec: unknown }).spec, stored.spec);
        }
      });
    }

    it("names the object in the error as existing tools expect it", async () => {
      const { stderr } = await cluster.kubectl(["create", "--filename=-"], {
        input: JSON.stringify({
          apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
          kind: "JWTAuthenticator",
          metadata: { name: "idp" },
          spec: { issuer: "", audience: "me" },
        }),
      });
      assert.equal(
        stderr.trim(),
        'The JWTAuthenticator "idp" is invalid: spec.issuer: Invalid value: "": spec.issuer in body should be at least 1 chars long',
      );
    });
  });

  it("shows the contract's columns", async () => {
    const authenticator = (kind: string, spec: object): object => ({
      apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
      kind,
      metadata: { name: "shown" },
      spec,
    });
    for (const object of [
      authenticator("JWTAuthenticator", { issuer: "https://issuer.example.com", audience: "me" }),
      authenticator("WebhookAuthenticator", { endpoint: "https://webhook.example.com" }),
    ]) {
      await kubectl(["create", "--filename=-"], JSON.stringify(object));
    }
    const header = async (plural: string): Promise<string | undefined> =>
      (await kubectl(["get", plural])).split("\n")[0]?.replaceAll(/ +/g, " ").trim();
    assert.equal(await header("jwtauthenticators"), "NAME ISSUER AUDIENCE STATUS AGE");
    assert.equal(await header("webhookauthenticators"), "NAME ENDPOINT STATUS AGE");
    assert.equal(await header("credentialissuers"), "NAME PROXYMODE DEFAULTSTRATEGY AGE");
    const inCategory = await kubectl(["get", "pinniped-authenticators", "--output=name"]);
    assert.deepEqual(inCategory.trim().split("\n"), [
      "jwtauthenticator.authentication.concierge.pinniped.dev/shown",
      "webhookauthenticator.authentication.concierge.pinniped.dev/shown",
    ]);
  });

  it("discovers all five kinds, cluster-scoped, in the category and without short names", async () => {
    const output = await kubectl(["api-resources", "--categories=pinniped", "--no-headers", "--output=wide"]);
    const rows = output
      .trim()
      .split("\n")
      .map((row) => row.split(/ +/).slice(0, 5).join(" "))
      .toSorted();
    assert.deepEqual(
      rows,
      resourceKinds
        .map(({ resource, backing }) =>
          [
            resource.plural,
            `${resource.group}/v1alpha1`,
            "false",
            resource.kind,
            backing === "aggregated"
              ? "create,list"
              : "delete,deletecollection,get,list,patch,create,update,watch",
          ].join(" "),
        )
        .toSorted(),
    );
  });

  it("explains the additive fields, and without extensions they are gone", async () => {
    const claims = "jwtauthenticators.spec.claims";
    const explain = async (): Promise<string> => (await cluster.kubectl(["explain", claims])).stdout;
    const withExtensions = await explain();
    assert.match(withExtensions, /usernameExpression/);
    assert.doesNotMatch(withExtensions, /<empty>/);
    const plain = await render("lanyard-concierge-crds", { extensions: { enabled: false } });
    await kubectl(
      ["apply", "--server-side", "--force-conflicts", "--filename=-"],
      JSON.stringify({ apiVersion: "v1", kind: "List", items: plain }),
    );
    await eventually("the plain fields", async () => !(await explain()).includes("usernameExpression"));
  });

  for (const format of ["plaintext", "plaintext-openapiv2"]) {
    it(`explains all 101 fields (${format})`, async () => {
      const explain = (path: string, ...flags: readonly string[]): Promise<string> =>
        eventually(
          `kubectl explain ${path}`,
          async () => {
            const { code, stdout } = await cluster.kubectl(["explain", path, `--output=${format}`, ...flags]);
            return code === 0 && stdout;
          },
          { seconds: 80, intervalMilliseconds: 500 },
        );
      const count = async (): Promise<number> => {
        let fields = 0;
        for (const { resource } of resourceKinds) {
          fields += explainedFields(await explain(resource.plural, "--recursive")).length;
          assert.doesNotMatch(await explain(resource.plural), /<empty>/);
        }
        return fields;
      };
      // The kube-apiserver merges its OpenAPI documents a moment after a CRD has changed.
      await eventually("101 fields", async () => (await count()) === 101);
      for (const path of [
        "tokencredentialrequests.spec",
        "tokencredentialrequests.spec.authenticator",
        "tokencredentialrequests.status.credential",
        "whoamirequests.spec",
        "whoamirequests.status.kubernetesUserInfo.user",
        "whoamirequests.metadata",
      ]) {
        const text = await explain(path);
        assert.match(text, /DESCRIPTION:\n\s+\S/);
        assert.doesNotMatch(text, /<empty>/, path);
      }
    });
  }

  describe("the server's ServiceAccount", () => {
    /** `what` is a resource, optionally with flags behind it. */
    const may = async (verb: string, what: string, where: string, as = account): Promise<boolean> => {
      const scope = where === "" ? [] : [`--namespace=${where}`];
      const { stdout } = await cluster.kubectl([
        "auth",
        "can-i",
        verb,
        ...what.split(" "),
        ...scope,
        `--as=${as}`,
      ]);
      assert.match(stdout, /^(yes|no)$/m);
      return stdout.trim() === "yes";
    };
    const rows: readonly (readonly [string, string, string, boolean])[] = [
      ["update", "apiservices.apiregistration.k8s.io", "", true],
      ["create", "apiservices.apiregistration.k8s.io", "", false],
      ["update", "jwtauthenticators.authentication.concierge.pinniped.dev --subresource=status", "", true],
      ["update", "jwtauthenticators.authentication.concierge.pinniped.dev", "", false],
      ["update", "credentialissuers.config.concierge.pinniped.dev", "", false],
      ["create", "tokenreviews.authentication.k8s.io", "", true],
      ["create", "subjectaccessreviews.authorization.k8s.io", "", true],
      ["impersonate", "users", "", false],
      ["delete", "secrets", namespace, true],
      ["get", "secrets", "kube-system", false],
      ["get", "configmaps/extension-apiserver-authentication", "kube-system", true],
      ["list", "pods", "kube-system", true],
      ["create", "pods --subresource=exec", namespace, true],
      ["create", "pods --subresource=exec", "kube-system", false],
      ["list", "configmaps", "kube-public", true],
      ["create", `serviceaccounts/${app}-impersonation-proxy --subresource=token`, namespace, true],
      ["create", `serviceaccounts/${app} --subresource=token`, namespace, false],
      ["list", "validatingwebhookconfigurations.admissionregistration.k8s.io", "", false],
    ];
    for (const [verb, what, where, expected] of rows) {
      it(`may ${expected ? "" : "not "}${verb} ${what} ${where}`.trim(), async () => {
        assert.equal(await may(verb, what, where), expected);
      });
    }

    it("leaves impersonation to the proxy's own account, and everybody may ask for a credential", async () => {
      assert.equal(await may("impersonate", "users", namespace, `${account}-impersonation-proxy`), true);
      assert.equal(await may("get", "secrets", namespace, `${account}-impersonation-proxy`), false);
      const request = "tokencredentialrequests.login.concierge.pinniped.dev";
      assert.equal(await may("create", request, "default", "nobody"), true);
    });
  });

  it("has CRDs for another suffix that the kube-apiserver establishes", async () => {
    const apiGroupSuffix = "auth.example.com";
    const crds = await render("lanyard-concierge-crds", { apiGroupSuffix });
    await kubectl(
      ["create", "--validate=strict", "--filename=-"],
      JSON.stringify({ apiVersion: "v1", kind: "List", items: crds }),
    );
    await kubectl([
      "wait",
      "crd",
      ...crds.map(({ metadata }) => metadata.name),
      "--for=condition=Established",
      "--timeout=30s",
    ]);
    const issuer = (await render("lanyard-concierge", { apiGroupSuffix })).find(
      ({ kind }) => kind === "CredentialIssuer",
    );
    await kubectl(
      ["create", "--dry-run=server", "--validate=strict", "--filename=-"],
      JSON.stringify(issuer),
    );
    await kubectl(["delete", "crd", ...crds.map(({ metadata }) => metadata.name)]);
  });

  it("brings new CRDs over older ones, and objects stay (docs/upgrade.md)", async () => {
    const apply = async (extensions: boolean): Promise<void> => {
      const items = await render("lanyard-concierge-crds", { extensions: { enabled: extensions } });
      await kubectl(
        ["apply", "--server-side", "--force-conflicts", "--filename=-"],
        JSON.stringify({ apiVersion: "v1", kind: "List", items }),
      );
    };
    await apply(false);
    const authenticator = {
      apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
      kind: "JWTAuthenticator",
      metadata: { name: "kept" },
      spec: { issuer: "https://issuer.example.com", audience: "me" },
    };
    await kubectl(["apply", "--filename=-"], JSON.stringify(authenticator));
    await apply(true);
    const newer = { ...authenticator, spec: { ...authenticator.spec, jwks: { maximumStaleSeconds: 600 } } };
    await eventually("a field of the newer CRD", async () => {
      await kubectl(["apply", "--filename=-"], JSON.stringify(newer));
      const resource = "jwtauthenticators.authentication.concierge.pinniped.dev";
      const stored = await kubectl(["get", resource, "kept", "--output=jsonpath={.spec}"]);
      return stored.includes("maximumStaleSeconds") && stored.includes("https://issuer.example.com");
    });
  });

  it("is taken over, upgraded, rolled back and removed by Helm 4, and what the Concierge wrote stays", async () => {
    const values = setValues({
      "api.service": { type: "ExternalName", externalName: "localhost", port: server.port },
      replicas: 1,
      logLevel: "debug",
    });
    const helm4 = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await helm(args, { KUBECONFIG: cluster.kubeconfig }, 4);
      assert.equal(code, 0, `helm ${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    const chart = chartFolder("lanyard-concierge");
    const where = `--namespace=${namespace}`;
    await helm4("upgrade", "concierge", chart, where, ...values);
    const caBundle = await kubectl([
      "get",
      "apiservice",
      "v1alpha1.login.concierge.pinniped.dev",
      "--output=jsonpath={.spec.caBundle}",
    ]);
    assert.notEqual(caBundle, "");
    const config = ["get", "configmap", `${app}-config`, where, "--output=jsonpath={.data}"];
    assert.match(await kubectl(config), /level: debug/);
    await helm4("rollback", "concierge", "1", where);
    assert.doesNotMatch(await kubectl(config), /level: debug/);

    // A second one beside it, from the start.
    const suffix = "--set=apiGroupSuffix=next.example.com,appName=next";
    await helm4("install", "next-crds", chartFolder("lanyard-concierge-crds"), suffix, where);
    const own = ["--create-namespace", "--namespace=next"];
    await helm4("install", "next", chart, suffix, ...own, "--skip-crds");
    await helm4("upgrade", "next", chart, suffix, ...own, "--skip-crds", "--set=rbac.profile=narrow");
    await helm4("uninstall", "next", "--namespace=next");
    await helm4("uninstall", "next-crds", where);
    const left = await kubectl(["get", "crd", "--selector=app=next", "--output=name"]);
    assert.equal(left.trim().split("\n").length, 3);
    await kubectl(["delete", "crd", "--selector=app=next"]);
  });

  it("is uninstalled without a trace but the CRDs", async () => {
    const uninstalled = await helm(["uninstall", "concierge", `--namespace=${namespace}`], {
      KUBECONFIG: cluster.kubeconfig,
    });
    assert.equal(uninstalled.code, 0, uninstalled.stderr);
    const left = await kubectl([
      "get",
      "clusterroles,clusterrolebindings,roles,rolebindings,apiservices,deployments,services,serviceaccounts,configmaps,poddisruptionbudgets",
      "--all-namespaces",
      `--selector=app=${app}`,
      "--output=name",
    ]);
    assert.equal(left.trim(), "");
    const crds = await kubectl(["get", "crd", "--output=name"]);
    assert.equal(crds.trim().split("\n").length, 3);
  });
});
