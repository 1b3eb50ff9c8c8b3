import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { configMaps } from "../../kube/objects.ts";
import type { ConfigMap } from "../../kube/objects.ts";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import type { Logger } from "../../telemetry/log.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { RequestHeaderConfiguration } from "../state/concierge-state.ts";
import { createHolder } from "../state/holder.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import { createRequestHeaderConfigurationController } from "./request-header-configuration.ts";

const key = { namespace: "kube-system", name: "extension-apiserver-authentication" };
let ca: string;
let otherCa: string;
before(async () => {
  const authority = async (commonName: string) =>
    (
      await createCertificateAuthority({
        commonName,
        notBefore: new Date(Date.UTC(2026, 0, 1)),
        notAfter: new Date(Date.UTC(2036, 0, 1)),
      })
    ).certificatePem;
  ca = await authority("one");
  otherCa = await authority("two");
});

function setUp() {
  const clock = createManualClock();
  const administrator = createMemoryCluster(clock).client();
  const requestHeader = createHolder<RequestHeaderConfiguration | undefined>(undefined);
  const clientCaPem = createHolder<string | undefined>(undefined);
  const lines: string[] = [];
  const log: Logger = {
    ...silentLogger,
    named: () => log,
    warning: (message) => lines.push(`warning: ${message}`),
    error: (message, error) => lines.push(`error: ${message}: ${String(error)}`),
  };
  const controller = createRequestHeaderConfigurationController({
    store: administrator,
    requestHeader,
    clientCaPem,
    log,
  });
  const write = async (data: Record<string, string>): Promise<void> => {
    const object: ConfigMap = { apiVersion: "v1", kind: "ConfigMap", metadata: key, data };
    try {
      await administrator.create(configMaps, object);
    } catch {
      await administrator.update(configMaps, object);
    }
    await controller.reconcile(new AbortController().signal);
  };
  return { administrator, requestHeader, clientCaPem, lines, controller, write };
}

let scene: ReturnType<typeof setUp>;
let good: Record<string, string>;
beforeEach(() => {
  scene = setUp();
  good = {
    "client-ca-file": ca,
    "requestheader-client-ca-file": otherCa,
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
  };
});

describe("request-header configuration", () => {
  test("the ConfigMap's values reach the holders, names in lower case", async () => {
    await scene.write(good);
    assert.equal(scene.clientCaPem.current, ca);
    assert.deepEqual(scene.requestHeader.current, {
      clientCaPem: otherCa,
      allowedNames: ["front-proxy-client"],
      usernameHeaders: ["x-remote-user"],
      uidHeaders: ["x-remote-uid"],
      groupHeaders: ["x-remote-group"],
      extraHeaderPrefixes: ["x-remote-extra-"],
    });
    assert.deepEqual(scene.lines, []);
  });

  test("A2: a rotation is published, the same content is not", async () => {
    await scene.write(good);
    let told = 0;
    scene.requestHeader.subscribe(() => told++);
    await scene.write({ ...good, unrelated: "x" });
    assert.equal(told, 0);
    await scene.write({ ...good, "requestheader-client-ca-file": otherCa + ca });
    assert.equal(told, 1);
    assert.equal(scene.requestHeader.current?.clientCaPem, otherCa + ca);
  });

  const bad: readonly [string, Record<string, string>][] = [
    ["no certificate in the bundle", { "requestheader-client-ca-file": "nothing" }],
    ["an empty bundle", { "requestheader-client-ca-file": "" }],
    ["names that are not JSON", { "requestheader-allowed-names": "front-proxy-client" }],
    ["names that are no strings", { "requestheader-allowed-names": "[1]" }],
    ["an empty header name", { "requestheader-group-headers": '[" "]' }],
    ["no username header", { "requestheader-username-headers": "[]" }],
  ];
  for (const [name, change] of bad) {
    test(`S4: ${name} keeps the last good value and says so`, async () => {
      await scene.write(good);
      const before = scene.requestHeader.current;
      await scene.write({ ...good, ...change, "client-ca-file": otherCa });
      assert.equal(scene.requestHeader.current, before);
      assert.equal(scene.clientCaPem.current, otherCa, "the other half is read on its own");
      assert.equal(scene.lines.length, 1);
      assert.match(scene.lines[0] ?? "", /^error: ConfigMap holds an unusable value/);
    });
  }

  test("deleting the ConfigMap keeps the last good values", async () => {
    await scene.write(good);
    const before = scene.requestHeader.current;
    await scene.administrator.delete(configMaps, key);
    await scene.controller.reconcile(new AbortController().signal);
    assert.equal(scene.requestHeader.current, before);
    assert.equal(scene.clientCaPem.current, ca);
    assert.match(scene.lines[0] ?? "", /^warning: ConfigMap not found/);
  });

  test("A1: empty allowed names warn", async () => {
    await scene.write({ ...good, "requestheader-allowed-names": "[]" });
    assert.deepEqual(scene.requestHeader.current?.allowedNames, []);
    assert.match(scene.lines[0] ?? "", /^warning: requestheader-allowed-names is empty/);
  });

  test("a change of the ConfigMap asks for a reconcile", async () => {
    let asked = 0;
    const stop = scene.controller.watch(() => asked++);
    await scene.write(good);
    assert.equal(asked, 1);
    stop();
    await scene.write({ ...good, "client-ca-file": otherCa });
    assert.equal(asked, 1);
  });
});
