import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseConfig } from "../../src/concierge/config/load-config.ts";
import type { KubernetesObject } from "../../src/kube/objects.ts";
import { validateManifest } from "../../src/resources/validate-manifest.ts";
import { exampleManifests, exampleValues } from "./chart-examples.ts";
import { helmMajors, render } from "./chart-render.ts";

const root = join(import.meta.dirname, "../..");
const managed = ["eks", "gke", "aks"];

describe("examples", () => {
  it("are there for every platform that the documents name", () => {
    const folders = new Set(exampleValues().map(({ path }) => path.split("/")[0]));
    assert.deepEqual(
      ["aks", "argo-cd", "cert-manager", "eks", "flux", "gke", "kind"].filter((name) => !folders.has(name)),
      [],
    );
  });

  for (const { path, values } of exampleValues()) {
    for (const major of helmMajors) {
      it(`${path} renders by Helm ${major} into a configuration and a CredentialIssuer that are valid`, async () => {
        const objects = await render("lanyard-concierge", values, { major });
        const config = objects.find(({ kind }) => kind === "ConfigMap")?.["data"] as Record<string, string>;
        parseConfig(config["pinniped.yaml"] ?? "");
        const issuer = objects.find(({ kind }) => kind === "CredentialIssuer");
        const { errors, warnings } = validateManifest(issuer as unknown as KubernetesObject);
        assert.deepEqual([...errors, ...warnings], []);
      });
    }
  }

  for (const name of managed) {
    it(`${name} has no right that only the agent needs (S19), and no public address`, async () => {
      const example = exampleValues().find(({ path }) => path === `${name}/values.yaml`);
      const objects = await render("lanyard-concierge", example?.values);
      const text = JSON.stringify(objects);
      assert.doesNotMatch(text, /pods\/exec|kube-cert-agent"|pod-security/);
      const issuer = objects.find(({ kind }) => kind === "CredentialIssuer");
      const { service } = (
        issuer!["spec"] as {
          readonly impersonationProxy: {
            readonly service: {
              readonly annotations: Readonly<Record<string, string>>;
              readonly loadBalancerSourceRanges: readonly string[];
            };
          };
        }
      ).impersonationProxy;
      assert.match(JSON.stringify(service.annotations), /internal/i);
      assert.ok(service.loadBalancerSourceRanges.length > 0);
    });
  }

  it("of other programs' kinds are whole objects, and lead to charts and Secrets that exist", () => {
    const manifests = exampleManifests();
    assert.ok(manifests.length >= 5);
    for (const [path, manifest] of manifests) {
      assert.ok(manifest.apiVersion !== "" && manifest.kind !== "" && manifest.metadata.name !== "", path);
    }
    const application = manifests.find(([, { kind }]) => kind === "Application")?.[1];
    const { sources } = application!["spec"] as { readonly sources: readonly { readonly path: string }[] };
    for (const { path } of sources) {
      assert.ok(existsSync(join(root, path, "Chart.yaml")), path);
    }
    const certificate = manifests.find(([, { kind }]) => kind === "Certificate")?.[1];
    const values = exampleValues().find(({ path }) => path === "cert-manager/values.yaml")?.values;
    const proxy = values?.["impersonationProxy"] as {
      readonly externalEndpoint: string;
      readonly tls: { readonly secretName: string };
    };
    const spec = certificate?.["spec"] as {
      readonly secretName: string;
      readonly dnsNames: readonly string[];
    };
    assert.equal(spec.secretName, proxy.tls.secretName);
    assert.deepEqual(spec.dnsNames, [proxy.externalEndpoint]);
    const release = manifests.find(([, { kind }]) => kind === "HelmRelease")?.[1];
    const { chartRef } = release!["spec"] as { readonly chartRef: { readonly name: string } };
    assert.ok(
      manifests.some(([, { kind, metadata }]) => kind === "OCIRepository" && metadata.name === chartRef.name),
    );
  });
});
