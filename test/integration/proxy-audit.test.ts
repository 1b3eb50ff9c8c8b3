import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { IncomingMessage } from "node:http";
import { eventually } from "./harness/eventually.ts";
import type { IssuedCertificate } from "./harness/exchange.ts";
import { type AuditLine, auditLines, type ProxyClient } from "./harness/proxy.ts";
import { grant, type ProxyWorld, readConfigMaps, startProxyWorld } from "./harness/proxy-world.ts";

const configMaps = "/api/v1/namespaces/kube-system/configmaps";

/** `audit.k8s.io/v1 Event`, as far as it is looked at. */
interface ApiServerEvent {
  readonly auditID: string;
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly impersonatedUser?: { readonly username: string; readonly groups?: readonly string[] };
  readonly responseStatus?: { readonly code?: number };
}

describe("audit of requests through the impersonation proxy", () => {
  let world: ProxyWorld;
  let proxy: ProxyClient;
  let jane: IssuedCertificate;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-proxy-audit-"));
    writeFileSync(
      join(folder, "policy.yaml"),
      JSON.stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [{ level: "Metadata" }] }),
    );
    world = await startProxyWorld({
      name: "proxy-audit",
      apiServerArgs: [
        `--audit-policy-file=${join(folder, "policy.yaml")}`,
        `--audit-log-path=${join(folder, "audit.log")}`,
      ],
    });
    ({ proxy } = world);
    jane = await world.login("jane", ["apes"]);
    await grant(world.cluster, "test-apes", { kind: "Group", name: "apes" }, readConfigMaps);
    await eventually(
      "jane's rights",
      async () => (await proxy.call(configMaps, { caller: jane })).status === 200,
    );
  });
  after(async () => {
    await world?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ours = (auditID: string): readonly AuditLine[] =>
    auditLines(proxy.replica).filter((line) => line.auditID === auditID);
  const theirs = (auditID: string): readonly ApiServerEvent[] =>
    readFileSync(join(folder, "audit.log"), "utf8")
      .split("\n")
      .filter((line) => line.includes(auditID))
      .map((line) => JSON.parse(line) as ApiServerEvent);
  const idOf = (headers: Readonly<Record<string, string | string[] | undefined>>): string => {
    const id = headers["audit-id"];
    assert.equal(typeof id, "string", `the answer's Audit-Id is ${JSON.stringify(id)}`);
    return String(id);
  };
  /** One request of ours is one request there, and it was made as this user. */
  const atApiServer = (auditID: string, stage = "ResponseComplete"): Promise<ApiServerEvent> =>
    eventually(`audit event ${auditID} of the kube-apiserver`, () => {
      const events = theirs(auditID);
      const found = events.filter((event) => event.stage === stage);
      assert.ok(found.length < 2, JSON.stringify(events));
      return Promise.resolve(found[0]);
    });
  const lines = (auditID: string, count: number): Promise<readonly AuditLine[]> =>
    eventually(`${count} audit lines ${auditID}`, () => {
      const found = ours(auditID);
      return Promise.resolve(found.length === count ? found : undefined);
    });

  it("writes one line with the kube-apiserver's audit ID for what is forwarded, on both protocols", async () => {
    for (const answer of [
      await proxy.call(`${configMaps}?limit=1`, { caller: jane, headers: { "Audit-ID": "of-the-client" } }),
      await proxy.callHttp2(`${configMaps}?limit=1`, {
        caller: jane,
        headers: { "audit-id": "of-the-client" },
      }),
    ]) {
      assert.equal(answer.status, 200);
      const auditID = idOf(answer.headers);
      const [line] = await lines(auditID, 1);
      assert.ok(line !== undefined);
      assert.equal(line.message, "Proxied Request");
      assert.equal(line.code, 200);
      assert.equal(line.verb, "list");
      assert.equal(line.resource, "configmaps");
      assert.equal(line.authenticatedBy, "x509");
      assert.equal(line.clientAuditID, "of-the-client");
      assert.equal(line.personalInfo?.username, "jane");
      assert.deepEqual(line.personalInfo.groups, ["apes", "system:authenticated"]);
      assert.ok(!JSON.stringify(line).includes("limit"), "a query string was written down");
      const event = await atApiServer(auditID);
      assert.equal(event.requestURI, `${configMaps}?limit=1`);
      assert.equal(event.impersonatedUser?.username, "jane");
      assert.equal(event.responseStatus?.code, 200);
      assert.match(event.user.username, /^system:serviceaccount:concierge:/);
      assert.deepEqual(theirs("of-the-client"), []);
    }
  });

  it("writes one line for what is refused, and the kube-apiserver has never heard of it", async () => {
    const refused = [
      [401, "authentication", await proxy.call(configMaps, { caller: { bearerToken: "nobody's" } })],
      [401, "authentication", await proxy.callHttp2(configMaps, { caller: { bearerToken: "nobody's" } })],
      [403, "authorization", await proxy.call("/api/v1/secrets", { caller: jane })],
      [
        403,
        "nested-impersonation",
        await proxy.call(configMaps, { caller: jane, headers: { "Impersonate-User": "x" } }),
      ],
      [400, "request-info", await proxy.call(`${configMaps}?timeout=soon`, { caller: jane })],
    ] as const;
    for (const [code, refusedBy, answer] of refused) {
      assert.equal(answer.status, code, answer.text);
      const auditID = idOf(answer.headers);
      const [line] = await lines(auditID, 1);
      assert.equal(line?.message, "Proxied Request");
      assert.equal(line.code, code);
      assert.equal(line.refusedBy, refusedBy);
      assert.equal(line.personalInfo?.username, code === 403 ? "jane" : line.personalInfo?.username);
      assert.deepEqual(theirs(auditID), []);
    }
    // A refusal of the kube-apiserver's own is not one of ours: what was asked went there.
    const notFound = await proxy.call(`${configMaps}/none`, { caller: jane });
    assert.equal(notFound.status, 404);
    const auditID = idOf(notFound.headers);
    const [line] = await lines(auditID, 1);
    assert.equal(line?.refusedBy, undefined);
    assert.equal(line?.code, 404);
    assert.equal((await atApiServer(auditID)).responseStatus?.code, 404);
  });

  it("writes a line at the start and one at the end of a watch, whose client left", async () => {
    for (const watch of [
      await proxy.watch(`${configMaps}?watch=true`, { caller: jane }),
      await proxy.watchHttp2(`${configMaps}?watch=true`, { caller: jane }),
    ]) {
      const auditID = idOf(watch.headers);
      const [start] = await lines(auditID, 1);
      assert.equal(start?.message, "Proxied Stream Started");
      assert.equal(start.code, 200);
      watch.close();
      const [, end] = await lines(auditID, 2);
      assert.equal(end?.message, "Proxied Stream Ended");
      assert.equal(end.end, "client-gone");
      assert.equal((await atApiServer(auditID)).verb, "watch");
    }
  });

  it("writes one line for a request whose client leaves while it is being sent", async () => {
    const before = auditLines(proxy.replica).length;
    const outgoing = request(new URL(`${configMaps}?abort=1`, proxy.server), {
      method: "POST",
      ca: proxy.caPem,
      cert: jane.certificatePem,
      key: jane.privateKeyPem,
      headers: { "content-type": "application/json", "content-length": "100000" },
      agent: false,
    });
    outgoing.on("error", () => {});
    outgoing.write('{"kind":"ConfigMap",');
    // The kube-apiserver has it, and waits for the rest.
    await eventually("the request's arrival", () =>
      Promise.resolve(readFileSync(join(folder, "audit.log"), "utf8").includes(`${configMaps}?abort=1`)),
    );
    outgoing.destroy();
    const [line, ...more] = await eventually("its audit line", () => {
      const found = auditLines(proxy.replica)
        .slice(before)
        .filter(({ verb, resource }) => verb === "create" && resource === "configmaps");
      return Promise.resolve(found.length > 0 ? found : undefined);
    });
    assert.deepEqual(more, []);
    assert.equal(line?.message, "Proxied Request");
    assert.equal(line.end, "client-gone");
    assert.equal(line.code, undefined);
    assert.ok(theirs(line.auditID).length > 0);
  });

  it("writes a line at the start and one at the end of a connection that was upgraded", async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request(new URL(`${configMaps}?watch=true`, proxy.server), {
        ca: proxy.caPem,
        cert: jane.certificatePem,
        key: jane.privateKeyPem,
        agent: false,
        headers: {
          Connection: "Upgrade",
          Upgrade: "websocket",
          "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
          // The kube-apiserver wants one from browsers, and believes only its own.
          Origin: "https://localhost",
        },
      });
      outgoing.once("error", reject);
      outgoing.once("response", (answer) => reject(new Error(`not upgraded: ${answer.statusCode}`)));
      outgoing.once("upgrade", (answer, socket) => {
        socket.on("error", () => {});
        resolve(answer);
      });
      outgoing.end();
    });
    assert.equal(response.statusCode, 101);
    const [start] = await eventually("the line of the start", () => {
      const found = auditLines(proxy.replica).filter(
        ({ message, code }) => message === "Proxied Stream Started" && code === 101,
      );
      return Promise.resolve(found.length === 1 ? found : undefined);
    });
    const auditID = start?.auditID ?? "";
    response.socket.destroy();
    const [, end] = await lines(auditID, 2);
    assert.equal(end?.message, "Proxied Stream Ended");
    assert.equal(end.personalInfo?.username, "jane");
    const event = await atApiServer(auditID);
    assert.equal(event.impersonatedUser?.username, "jane");
    assert.equal(event.responseStatus?.code, 101);
  });

  it("knows every ID that the kube-apiserver has of the proxy's requests, once", async () => {
    const proxied = readFileSync(join(folder, "audit.log"), "utf8")
      .split("\n")
      .filter((line) => line.includes('"impersonatedUser"'))
      .map((line) => (JSON.parse(line) as ApiServerEvent).auditID);
    assert.ok(new Set(proxied).size > 8);
    for (const auditID of new Set(proxied)) {
      // An exchange has lines of its own under the ID.
      const messages = ours(auditID)
        .map(({ message }) => message)
        .filter((message) => message.startsWith("Proxied "));
      assert.ok(
        ["Proxied Request", "Proxied Stream Started,Proxied Stream Ended"].includes(messages.join()),
        `${auditID}: ${messages.join()}`,
      );
    }
  });
});
