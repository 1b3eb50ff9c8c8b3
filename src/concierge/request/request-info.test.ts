import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRequestTarget, requestAttributes } from "./request-info.ts";

const info = (method: string, target: string) => requestAttributes(method, parseRequestTarget(target));
const resource = (fields: object) => ({
  kind: "resource",
  group: "",
  version: "v1",
  resource: "pods",
  subresource: "",
  namespace: "",
  name: "",
  ...fields,
});

// Cases of `k8s.io/apiserver pkg/endpoints/request/requestinfo_test.go`, in own words.
const cases: readonly [string, string, object][] = [
  ["GET", "/api/v1/namespaces/other/pods", resource({ verb: "list", namespace: "other" })],
  ["GET", "/api/v1/namespaces/other/pods/foo", resource({ verb: "get", namespace: "other", name: "foo" })],
  ["HEAD", "/api/v1/namespaces/other/pods/foo", resource({ verb: "get", namespace: "other", name: "foo" })],
  ["GET", "/api/v1/pods?watch=true", resource({ verb: "watch" })],
  ["GET", "/api/v1/pods?watch=false", resource({ verb: "list" })],
  ["GET", "/api/v1/watch/pods", resource({ verb: "watch" })],
  ["GET", "/api/v1/watch/namespaces/other/pods", resource({ verb: "watch", namespace: "other" })],
  ["GET", "/api/v1/pods?fieldSelector=metadata.name%3Dfoo", resource({ verb: "list", name: "foo" })],
  [
    "GET",
    "/api/v1/pods?fieldSelector=a=b,metadata.name==foo&watch",
    resource({ verb: "watch", name: "foo" }),
  ],
  ["GET", "/api/v1/pods?fieldSelector=metadata.name!=foo", resource({ verb: "list" })],
  ["GET", "/api/v1/pods?fieldSelector=metadata.name=a/b", resource({ verb: "list" })],
  [
    "POST",
    "/api/v1/namespaces/x/pods/foo/exec",
    resource({ verb: "create", namespace: "x", name: "foo", subresource: "exec" }),
  ],
  ["DELETE", "/api/v1/namespaces/x/pods", resource({ verb: "deletecollection", namespace: "x" })],
  ["DELETE", "/api/v1/namespaces/x/pods/foo", resource({ verb: "delete", namespace: "x", name: "foo" })],
  ["PUT", "/api/v1/namespaces/x/pods/foo", resource({ verb: "update", namespace: "x", name: "foo" })],
  ["PATCH", "/api/v1/namespaces/x/pods/foo", resource({ verb: "patch", namespace: "x", name: "foo" })],
  ["GET", "/api/v1/namespaces", resource({ verb: "list", resource: "namespaces" })],
  [
    "GET",
    "/api/v1/namespaces/x",
    resource({ verb: "get", resource: "namespaces", namespace: "x", name: "x" }),
  ],
  [
    "PUT",
    "/api/v1/namespaces/x/finalize",
    resource({ verb: "update", resource: "namespaces", namespace: "x", name: "x", subresource: "finalize" }),
  ],
  [
    "POST",
    "/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests",
    resource({
      verb: "create",
      group: "login.concierge.pinniped.dev",
      version: "v1alpha1",
      resource: "tokencredentialrequests",
    }),
  ],
  ["GET", "/api/v1/proxy/nodes/n/logs/x", resource({ verb: "proxy", resource: "nodes", name: "n" })],
  ["OPTIONS", "/api/v1/pods", resource({ verb: "" })],
  ["GET", "/apis/g/v1", { kind: "path", verb: "get", path: "/apis/g/v1" }],
  ["GET", "/api/v1", { kind: "path", verb: "get", path: "/api/v1" }],
  ["POST", "/healthz/log", { kind: "path", verb: "post", path: "/healthz/log" }],
  ["GET", "/", { kind: "path", verb: "get", path: "/" }],
  ["GET", "/%68ealthz?x=1", { kind: "path", verb: "get", path: "/healthz" }],
];
for (const [method, target, expected] of cases) {
  test(`${method} ${target}`, () => assert.deepEqual(info(method, target), expected));
}

test("what is no path is refused", () => {
  for (const target of ["*", "https://x/", "", "/%ff", "/%", "/a%00", "/a%0ab"]) {
    assert.throws(() => parseRequestTarget(target), { code: "request.badrequest" }, target);
  }
});

test("a path of slashes is read in linear time", () => {
  const started = performance.now();
  info("GET", `${"/".repeat(1_000_000)}a`);
  assert.ok(performance.now() - started < 1000);
});
