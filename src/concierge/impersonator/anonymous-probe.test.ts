import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesRequest } from "../../kube/kubernetes-client.ts";
import { probeAnonymousAuthentication, withoutCredentials } from "./anonymous-probe.ts";

const answering = (status: number, requests: KubernetesRequest[] = []) => ({
  raw: async (request: KubernetesRequest) => {
    requests.push(request);
    return { status, headers: {}, text: "" };
  },
});

test("S14: 200 and 403 mean on, 401 means off, one question in 10 seconds", async () => {
  const requests: KubernetesRequest[] = [];
  assert.equal(await probeAnonymousAuthentication({ client: answering(200, requests) }), true);
  assert.equal(await probeAnonymousAuthentication({ client: answering(403) }), true);
  assert.equal(await probeAnonymousAuthentication({ client: answering(401) }), false);
  assert.deepEqual(requests, [{ method: "GET", path: "/healthz", timeoutMilliseconds: 10_000 }]);
});

test("anything else stops the start, with the contract's text", async () => {
  await assert.rejects(probeAnonymousAuthentication({ client: answering(500) }), {
    code: "impersonator.anonymousUnknown",
    message:
      "could not detect if anonymous authentication is enabled: the kube-apiserver answered /healthz with status 500",
  });
  const client = { raw: () => Promise.reject(new Error("no route to host")) };
  await assert.rejects(probeAnonymousAuthentication({ client }), {
    message: "could not detect if anonymous authentication is enabled: no route to host",
  });
});

test("the question carries no credential", () => {
  const endpoint = {
    serverUrl: "https://a",
    certificateAuthority: { text: "ca" },
    token: { text: "t" },
    clientCertificate: { certificate: { text: "c" }, key: { text: "k" } },
  };
  assert.deepEqual(withoutCredentials(endpoint), {
    serverUrl: "https://a",
    certificateAuthority: { text: "ca" },
  });
});
