import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { configMaps } from "../../kube/objects.ts";
import type { AuditEvent } from "../../telemetry/audit.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createHolder } from "../state/holder.ts";
import type { Holder } from "../state/holder.ts";
import type { DenyList } from "../state/proxy.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import type { MemoryClient } from "../testing/memory-store.ts";
import { createDenyListController, denyListMessage } from "./deny-list-controller.ts";

const KEY = { namespace: "concierge", name: "app-deny-list" };
let admin: MemoryClient;
let holder: Holder<DenyList | undefined>;
let audit: AuditEvent[];
let seen: [number, number][];
let synced: boolean;
let subject: ReturnType<typeof createDenyListController>;

beforeEach(() => {
  const cluster = createMemoryCluster(createManualClock());
  admin = cluster.client();
  const replica = cluster.client();
  holder = createHolder<DenyList | undefined>(undefined);
  audit = [];
  seen = [];
  synced = true;
  subject = createDenyListController({
    store: { view: (resource, scope) => ({ ...replica.view(resource, scope), hasSynced: () => synced }) },
    holder,
    namespace: KEY.namespace,
    configMapName: KEY.name,
    log: silentLogger,
    audit: { record: (event) => audit.push(event) },
    metrics: { denyListRead: (entries, problems) => seen.push([entries, problems]) },
  });
});

const reconcile = (): Promise<unknown> => subject.controller.reconcile(new AbortController().signal);
const write = async (entries: string): Promise<void> => {
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata: KEY, data: { entries } };
  await admin.update(configMaps, object).catch(() => admin.create(configMaps, object));
  await reconcile();
};

test("S15: nobody is let in before the first read, an absent list is empty", async () => {
  synced = false;
  await reconcile();
  assert.equal(holder.current, undefined);
  assert.equal(subject.readiness.problem(), "the deny list has not been read yet");
  synced = true;
  await reconcile();
  assert.deepEqual(holder.current, { entries: [], problems: [] });
  assert.equal(subject.readiness.problem(), undefined);
  assert.deepEqual(audit, [], "nobody changed anything");
});

test("S15: every change is an audit line, the deletion too", async () => {
  let heard = 0;
  subject.controller.watch(() => heard++);
  await write("- {user: alice, until: 2100-01-01T00:00:00Z}");
  await write("- {user: bob, until: 2100-01-01T00:00:00Z}\n- 7");
  await reconcile();
  await admin.delete(configMaps, KEY);
  await reconcile();
  assert.equal(heard, 3);
  assert.deepEqual(
    audit.map(({ message, personalInfo, fields }) => [
      message,
      personalInfo?.["addedUsers"],
      personalInfo?.["removedUsers"],
      fields?.["entries"],
      fields?.["problems"],
      fields?.["deleted"] ?? false,
    ]),
    [
      ["Deny List Changed", ["alice"], [], 1, 0, false],
      ["Deny List Changed", ["bob"], ["alice"], 1, 1, false],
      ["Deny List Changed", [], ["bob"], 0, 0, true],
    ],
  );
  assert.deepEqual(holder.current, { entries: [], problems: [] });
  assert.deepEqual(seen.at(-1), [0, 0]);
});

test("S15: what is no list at all keeps the last one, and is named", async () => {
  await write("- {user: alice}");
  await write("[{user: alice}");
  assert.deepEqual(holder.current?.entries, [{ user: "alice", until: Number.POSITIVE_INFINITY }]);
  assert.equal(
    denyListMessage(holder.current),
    "the deny list holds what is not enforced: the list is not a YAML or JSON list",
  );
  assert.deepEqual(seen.at(-1), [1, 1]);
});

test("S15: a broken watch keeps the last list", async () => {
  await write("- {user: alice}");
  const before = holder.current;
  // A view that has lost its source keeps what it has; so must we, also when it is asked again.
  await reconcile();
  assert.equal(holder.current, before);
});
