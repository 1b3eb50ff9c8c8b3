import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap } from "../../kube/objects.ts";
import { readClusterInfo } from "./cluster-info.ts";

const prefix = "could not extract Kubernetes API endpoint info from kube-public/cluster-info configmap: ";

function configMap(kubeconfig: string): ConfigMap {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace: "kube-public", name: "cluster-info" },
    data: { kubeconfig },
  };
}

test("the first cluster counts, and a discovery URL replaces its server", () => {
  const found = configMap(
    "clusters:\n- cluster: {server: https://a, certificate-authority-data: Y2E=}\n- cluster: {server: https://b}\n",
  );
  assert.deepEqual(readClusterInfo(found, undefined), {
    server: "https://a",
    certificateAuthorityData: "Y2E=",
  });
  assert.equal(readClusterInfo(found, "https://other").server, "https://other");
});

test("what is missing is said in the contract's words", () => {
  assert.throws(() => readClusterInfo(undefined, undefined), {
    message: 'failed to get kube-public/cluster-info configmap: configmap "cluster-info" not found',
  });
  assert.throws(() => readClusterInfo({ ...configMap(""), data: {} }, undefined), {
    message: `${prefix}missing "kubeconfig" key`,
  });
  for (const text of [
    "[",
    "- a",
    "clusters: 3",
    "clusters: [3]",
    "clusters: [{cluster: {server: 3}}]",
    "clusters: [{cluster: {server: https://a}}]",
    "clusters: [{cluster: {certificate-authority-data: Y2E=}}]",
    "x",
  ]) {
    assert.throws(() => readClusterInfo(configMap(text), undefined), {
      message: `${prefix}key "kubeconfig" does not contain a valid kubeconfig`,
    });
  }
  for (const text of ["{}", "clusters: []", "clusters:"]) {
    assert.throws(() => readClusterInfo(configMap(text), undefined), {
      message: `${prefix}kubeconfig in key "kubeconfig" does not contain any clusters`,
    });
  }
});
