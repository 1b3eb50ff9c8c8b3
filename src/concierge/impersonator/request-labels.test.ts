import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestAttributes } from "../request/authorizer.ts";
import type { InboundRequest } from "./proxied-request.ts";
import { requestLabels, resourceLabels } from "./request-labels.ts";
import { proxiedVerbs } from "../../telemetry/proxied-metrics.ts";

const labelsOf = (method: string, attributes: RequestAttributes) =>
  requestLabels({ request: { method } as InboundRequest, attributes });

const asked = (verb: string, resource: string, subresource = "", group = "", version = "v1") =>
  labelsOf("GET", {
    kind: "resource",
    verb,
    group,
    version,
    resource,
    subresource,
    namespace: "default",
    name: "x",
  });

test("a request has the labels of what it asks for", () => {
  assert.deepEqual(asked("get", "pods"), { method: "GET", verb: "get", resource: "pods" });
  assert.equal(asked("create", "pods", "exec").resource, "pods/exec");
  assert.equal(asked("update", "deployments", "scale", "apps").resource, "deployments/scale");
  assert.equal(
    asked("create", "tokencredentialrequests", "", "login.concierge.pinniped.dev", "v1alpha1").resource,
    "tokencredentialrequests",
  );
  assert.equal(labelsOf("GET", { kind: "path", verb: "get", path: "/version" }).resource, "path");
});

test("a client cannot make up labels", () => {
  const seen = new Set<string>();
  for (let turn = 0; turn < 2000; turn++) {
    const odd = `odd-${turn}`;
    for (const { method, verb, resource } of [
      asked(odd, odd),
      asked(odd, "pods", odd),
      asked("get", odd, "exec"),
      asked("__proto__", "__proto__", "constructor"),
      labelsOf(odd, { kind: "path", verb: odd, path: `/${odd}` }),
    ]) {
      assert.ok((proxiedVerbs as readonly string[]).includes(verb), verb);
      assert.ok(resourceLabels.includes(resource), resource);
      seen.add(`${method} ${verb} ${resource}`);
    }
  }
  assert.ok(seen.size <= 6, `${seen.size} combinations: ${[...seen].join(", ")}`);
});
