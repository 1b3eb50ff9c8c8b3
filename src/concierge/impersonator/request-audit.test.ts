import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { createAuditLog } from "../../telemetry/audit-log.ts";
import { createJsonLines } from "../../telemetry/json-lines.ts";
import type { TestClientCertificate } from "../api/testing/harness.ts";
import type { AuthorizationDecision } from "../request/authorizer.ts";
import type { Outcome } from "./proxied-request.ts";
import { auditText } from "./request-audit.ts";
import { certificateOf, complete, createPipelineWorld } from "./testing/pipeline-harness.ts";
import type { PipelineCall, PipelineWorld } from "./testing/pipeline-harness.ts";

let world: PipelineWorld;
let alice: TestClientCertificate;
let decision: AuthorizationDecision;
before(async () => {
  alice = await certificateOf(await createPipelineWorld(), "alice", ["devs"]);
});
beforeEach(async () => {
  decision = { allowed: true, reason: "" };
  world = await createPipelineWorld({ authorize: () => decision });
});

async function run(call: PipelineCall, outcome: Outcome): Promise<string> {
  const proxied = world.begin(call);
  await proxied.verdict;
  await world.clock.advance(250);
  proxied.finished(outcome);
  proxied.finished(outcome);
  return proxied.auditID;
}

describe("one line per request on every path (field test 34)", () => {
  test("one that was served", async () => {
    const auditID = await run(
      {
        method: "PATCH",
        target: "/apis/apps/v1/namespaces/ns/deployments/d/scale?secret=query",
        certificate: alice,
        headers: ["User-Agent", "kubectl/v1\x01", "Audit-ID", "theirs", "Authorization", "Bearer secret"],
      },
      complete(200),
    );
    assert.deepEqual(world.audit, [
      {
        message: "Proxied Request",
        auditID,
        personalInfo: { username: "alice", groups: ["devs", "system:authenticated"] },
        fields: {
          method: "PATCH",
          verb: "patch",
          apiGroup: "apps",
          apiVersion: "v1",
          resource: "deployments",
          subresource: "scale",
          namespace: "ns",
          name: "d",
          authenticatedBy: "x509",
          credentialIDs: [`X509SHA256=${alice.sha256Hex}`],
          sourceIPs: ["192.0.2.1"],
          userAgent: "kubectl/v1\\u{1}",
          clientAuditID: "theirs",
          code: 200,
          durationMilliseconds: 250,
          bytesReceived: 1,
          bytesSent: 2,
        },
        mayWait: true,
      },
    ]);
    assert.ok(!JSON.stringify(world.audit).includes("secret"));
  });

  test("401, 403, 400, one that left before its verdict, one nobody answered", async () => {
    const line = async (call: PipelineCall, outcome: Outcome): Promise<unknown> => {
      world.audit.length = 0;
      await run(call, outcome);
      assert.equal(world.audit.length, 1);
      const { message, personalInfo, fields } = world.audit[0] ?? {};
      return [message, personalInfo?.["username"], fields?.["code"], fields?.["refusedBy"], fields?.["end"]];
    };
    assert.deepEqual(await line({ headers: ["Authorization", "Bearer x"] }, complete(401)), [
      ...["Proxied Request", undefined, 401, "authentication", undefined],
    ]);
    assert.deepEqual(await line({ target: "*" }, complete(400)), [
      ...["Proxied Request", undefined, 400, "request-form", undefined],
    ]);
    assert.deepEqual(
      await line({ certificate: alice }, { ...complete(0), status: undefined, end: "client-gone" }),
      ["Proxied Request", "alice", undefined, undefined, "client-gone"],
    );
    assert.deepEqual(await line({ certificate: alice }, { ...complete(502), end: "upstream-error" }), [
      ...["Proxied Request", "alice", 502, undefined, "upstream-error"],
    ]);
    decision = { allowed: false, reason: "" };
    assert.deepEqual(await line({ certificate: alice }, complete(403)), [
      ...["Proxied Request", "alice", 403, "authorization", undefined],
    ]);
  });

  test("field 33: a target that is refused for its form is shown without its query", async () => {
    await run({ target: "/api/../x?token=secret" }, complete(400));
    assert.deepEqual(world.audit[0]?.fields?.["path"], "/api/../x");
    assert.ok(!JSON.stringify(world.audit).includes("secret"));
  });

  test("streams at their start and their end", async () => {
    const target = "/api/v1/namespaces/ns/pods/p/exec?command=secret";
    const proxied = world.begin({ certificate: alice, target, upgrade: true });
    await proxied.verdict;
    proxied.streamStarted(101);
    proxied.streamStarted(101);
    await world.clock.advance(2000);
    proxied.finished(complete(101));
    assert.deepEqual(
      world.audit.map(({ message, auditID, fields }) => [
        message,
        auditID,
        fields?.["code"],
        fields?.["durationMilliseconds"],
      ]),
      [
        ["Proxied Stream Started", proxied.auditID, 101, undefined],
        ["Proxied Stream Ended", proxied.auditID, 101, 2000],
      ],
    );
    assert.ok(!JSON.stringify(world.audit).includes("secret"));
    assert.deepEqual(world.finished, [
      { labels: { method: "GET", verb: "get", resource: "pods/exec", code: 101 }, seconds: undefined },
    ]);
  });

  test("both users of a nested impersonation, and not more than 100 groups", async () => {
    const groups = Array.from({ length: 102 }, (_, index) => `g${String(index).padStart(3, "0")}`);
    const many = await certificateOf(world, "many", groups);
    await run({ certificate: many, headers: ["Impersonate-User", "bob"] }, complete(200));
    const info = world.audit[0]?.personalInfo;
    assert.deepEqual([info?.["username"], info?.["originalUsername"]], ["bob", "many"]);
    assert.deepEqual(info?.["groups"], ["system:authenticated"]);
    const shown = info?.["originalGroups"] as readonly string[];
    assert.deepEqual([shown.length, shown.at(-1)], [101, "… and 3 more"]);
  });

  test("the anonymous and paths", async () => {
    await run({ target: "/version?a=b", peerAddress: "2001:db8::1" }, complete(200));
    const { fields } = world.audit[0] ?? {};
    assert.deepEqual(
      [fields?.["path"], fields?.["verb"], fields?.["sourceIPs"]],
      ["/version", "get", ["2001:db8::1"]],
    );
  });

  test("switched off, nothing is written", async () => {
    const quiet = await createPipelineWorld({ auditRequests: false });
    const proxied = quiet.begin({ certificate: alice });
    await proxied.verdict;
    proxied.finished(complete(200));
    assert.deepEqual(quiet.audit, []);
    assert.equal(quiet.finished.length, 1);
  });
});

test("personal information is redacted as everywhere, log lines cannot be forged", () => {
  const lines: string[] = [];
  const audit = createAuditLog({
    lines: createJsonLines({
      clock: createManualClock(),
      destination: { write: (line) => lines.push(line) },
    }),
    logUsernamesAndGroups: false,
  });
  audit.record({
    message: "Proxied Request",
    auditID: "1",
    personalInfo: { username: "alice", groups: ["a", "b"], originalUsername: "bob", originalGroups: [] },
    fields: { name: auditText('x\n{"auditEvent":true}\u2028\u202e\u007f') },
  });
  assert.match(
    lines[0] ?? "",
    /"personalInfo":\{"username":"redacted","groups":\["redacted 2 values"\],"originalUsername":"redacted","originalGroups":\["redacted 0 values"\]\},"name":"x\\\\u\{a\}\{\\"auditEvent\\":true\}\\\\u\{2028\}\\\\u\{202e\}\\\\u\{7f\}"\}\n$/,
  );
  assert.equal(lines.length, 1);
});

test("labels are closed sets, whatever a client sends (CVE-2022-21698)", async () => {
  for (const [method, target] of [
    ["BREW", "/coffee"],
    ["GET", "/api/v1/namespaces/x/anything/y/whatever"],
    ["GET", "/apis/login.concierge.example.org/v1alpha1/tokencredentialrequests"],
  ] as const) {
    await run({ method, target, certificate: alice }, complete(200));
  }
  assert.deepEqual(
    world.finished.map(({ labels }) => labels),
    [
      { method: "other", verb: "other", resource: "path", code: 200 },
      { method: "GET", verb: "get", resource: "other/subresource", code: 200 },
      { method: "GET", verb: "list", resource: "tokencredentialrequests", code: 200 },
    ],
  );
});
