import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testClientCertificate } from "../api/testing/harness.ts";
import { BASE, complete } from "./testing/pipeline-harness.ts";
import { allow, deny, usePipelineSuite } from "./testing/pipeline-suite.ts";

const suite = usePipelineSuite();

test("the steps and their order: form before anybody is believed, identity headers last", () => {
  assert.deepEqual(suite.world.pipeline.stepNames, [
    "request-form",
    "request-info",
    "concurrency",
    "authentication",
    "bytes",
    "deny-list",
    "nested-impersonation",
    "deny-list-final-user",
    "authorization",
    "leftover-impersonation",
    "identity",
  ]);
});

describe("authorization (contract 7.4)", () => {
  test("the texts of resources and paths, with the reason of the review before ours", async () => {
    suite.decide = () => deny;
    const target = "/api/v1/namespaces/ns/secrets/n";
    const resource = await suite.world.refuse({ certificate: suite.alice, target });
    assert.equal(resource.status, 403);
    assert.equal(
      JSON.parse(resource.body).message,
      `secrets "n" is forbidden: User "alice" cannot get resource "secrets" in API group "" in the namespace "ns": ${BASE}`,
    );
    const path = await suite.world.refuse({ target: "/healthz/log" });
    assert.equal(
      path.body,
      `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \\"system:anonymous\\" cannot get path \\"/healthz/log\\": ${BASE}","reason":"Forbidden","details":{},"code":403}\n`,
    );
    suite.decide = () => ({ allowed: false, reason: "RBAC says no" });
    assert.ok(
      JSON.parse((await suite.world.refuse({ certificate: suite.alice, target })).body).message.endsWith(
        `: RBAC says no, ${BASE}`,
      ),
    );
  });

  test("a request without a verb is nobody's", async () => {
    const refusal = await suite.world.refuse({ method: "OPTIONS", certificate: suite.alice });
    assert.equal(refusal.status, 403);
    assert.ok(JSON.parse(refusal.body).message.endsWith(`: invalid verb, ${BASE}`));
    assert.deepEqual(suite.world.asked, []);
  });

  test("no answer is a 500 in plain text (S4)", async () => {
    suite.decide = () => {
      throw new Error("secret detail");
    };
    const refusal = await suite.world.refuse({ certificate: suite.alice, target: "/api/v1/nodes?a=<b>" });
    assert.equal(refusal.status, 500);
    assert.equal(
      refusal.body,
      'Internal Server Error: "/api/v1/nodes?a=&lt;b&gt;": no answer from the authorizer\n',
    );
  });

  for (const subresource of ["exec", "attach", "portforward"]) {
    test(`field 14: ${subresource} by GET asks create and get`, async () => {
      const target = `/api/v1/namespaces/d/pods/p/${subresource}?command=ls`;
      await suite.world.forward({ certificate: suite.alice, target, upgrade: true });
      assert.deepEqual(
        suite.world.asked.map(({ attributes }) => attributes.verb),
        ["get", "create"],
      );
      suite.decide = (_user, { verb }) => (verb === "create" ? deny : allow);
      const refusal = await suite.world.refuse({ certificate: suite.alice, target, upgrade: true });
      assert.match(refusal.body, new RegExp(`cannot create resource \\\\"pods/${subresource}\\\\"`));
      suite.world.asked.length = 0;
      suite.decide = () => allow;
      await suite.world.forward({ certificate: suite.alice, target, method: "POST", upgrade: true });
      assert.deepEqual(
        suite.world.asked.map(({ attributes }) => attributes.verb),
        ["create"],
      );
    });
  }
});

describe("what a request is, and how many may be under way (contract 7.7)", () => {
  test("S17: our audit ID is new, the client's is only logged", async () => {
    const proxied = suite.world.begin({ certificate: suite.alice, headers: ["Audit-ID", "mine"] });
    const verdict = await proxied.verdict;
    assert.ok(verdict.kind === "forward" && verdict.forward.auditID === proxied.auditID);
    assert.match(proxied.auditID, /^[0-9a-f-]{36}$/);
    proxied.finished(complete(200));
    assert.equal(suite.world.audit[0]?.auditID, proxied.auditID);
    assert.equal(suite.world.audit[0]?.fields?.["clientAuditID"], "mine");
  });

  for (const [target, longRunning] of [
    ["/api/v1/pods?watch=true", true],
    ["/api/v1/watch/pods", true],
    ["/api/v1/namespaces/d/pods/p/log?follow=true", true],
    ["/api/v1/namespaces/d/services/s/proxy/x", true],
    ["/api/v1/pods", false],
    ["/version", false],
  ] as const) {
    test(`${target} is ${longRunning ? "" : "not "}long-running`, async () => {
      const forward = await suite.world.forward({ certificate: suite.alice, target });
      assert.equal(forward.longRunning, longRunning);
      assert.equal(forward.deadlineMilliseconds, 60_000);
    });
  }

  test("?timeout= shortens, and must be a duration", async () => {
    const at = async (timeout: string): Promise<number> =>
      (await suite.world.forward({ certificate: suite.alice, target: `/api/v1/pods?timeout=${timeout}` }))
        .deadlineMilliseconds;
    assert.deepEqual(
      [await at("10s"), await at("1m30s"), await at("0s"), await at("-5s"), await at("")],
      [10_000, 60_000, 60_000, 60_000, 60_000],
    );
    const refusal = await suite.world.refuse({
      certificate: suite.alice,
      target: "/api/v1/pods?timeout=soon",
    });
    assert.equal(refusal.status, 400);
    assert.equal(
      JSON.parse(refusal.body).message,
      'invalid timeout specified in the request URL - time: invalid duration "soon"',
    );
  });

  test("field 11: what cannot stream is not upgraded, an extension's session is", async () => {
    for (const target of ["/api/v1/nodes", "/version", "/apis/apps/v1/namespaces/d/deployments/d/scale"]) {
      assert.equal(
        (await suite.world.refuse({ certificate: suite.alice, target, upgrade: true })).status,
        400,
      );
    }
    const target = "/apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachineinstances/v/console";
    assert.equal(
      (await suite.world.forward({ certificate: suite.alice, target, upgrade: true })).longRunning,
      true,
    );
    assert.equal((await suite.world.forward({ certificate: suite.alice, target })).longRunning, false);
  });

  test("more than may be under way is shed with 429, by kind and by source", async () => {
    const small = await suite.newWorld({
      concurrency: { readOnly: 1, mutating: 1, longRunning: 3, longRunningPerSource: 2 },
    });
    const running = small.begin({ certificate: suite.alice });
    const refusal = await small.refuse({ certificate: suite.alice });
    assert.deepEqual(refusal, {
      status: 429,
      headers: ["Content-Type", "application/json", "Retry-After", "1"],
      body: '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Too many requests, please try again later.","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429}\n',
      closeConnection: false,
    });
    await small.forward({ certificate: suite.alice, method: "DELETE" });
    assert.equal((await small.refuse({ certificate: suite.alice, method: "DELETE" })).status, 429);
    const target = "/api/v1/pods?watch=1";
    await small.forward({ certificate: suite.alice, target });
    await small.forward({ certificate: suite.alice, target });
    assert.equal((await small.refuse({ certificate: suite.alice, target })).status, 429, "per source");
    const elsewhere = "198.51.100.1";
    await small.forward({ certificate: suite.alice, target, peerAddress: elsewhere });
    assert.equal(
      (await small.refuse({ certificate: suite.alice, target, peerAddress: "203.0.113.9" })).status,
      429,
    );
    running.finished(complete(200));
    running.finished(complete(200));
    await small.forward({ certificate: suite.alice });
    assert.equal((await small.refuse({ certificate: suite.alice })).status, 429, "given back once");
    assert.deepEqual(small.metrics.limited, [
      "proxied_read_only",
      "proxied_mutating",
      "proxied_long_running_per_source",
      "proxied_long_running",
      "proxied_read_only",
    ]);
  });

  test("a source behind a front proxy counts for itself (S18)", async () => {
    const one = await suite.newWorld({
      concurrency: { readOnly: 9, mutating: 9, longRunning: 9, longRunningPerSource: 1 },
    });
    const certificate = await testClientCertificate(one.authorities.frontProxy, "front-proxy-client");
    const from = (address: string) => ({
      certificate,
      target: "/api/v1/pods?watch=1",
      headers: ["X-Remote-User", "u", "X-Forwarded-For", address],
    });
    await one.forward(from("203.0.113.1"));
    await one.forward(from("203.0.113.2"));
    assert.equal((await one.refuse(from("203.0.113.2"))).status, 429);
    const spoofing = { ...from("203.0.113.3"), certificate: suite.alice };
    await one.forward(spoofing);
    assert.equal(
      (await one.refuse({ ...spoofing, headers: ["X-Forwarded-For", "203.0.113.4"] })).status,
      429,
    );
  });

  test("a step that fails unexpectedly refuses, and says nothing of it", async () => {
    suite.decide = () => ({
      reason: "",
      get allowed(): boolean {
        throw new TypeError("secret detail");
      },
    });
    const refusal = await suite.world.refuse({ certificate: suite.alice });
    assert.equal(refusal.status, 500);
    assert.equal(
      JSON.parse(refusal.body).message,
      "Internal error occurred: the server could not complete the request",
    );
  });
});
