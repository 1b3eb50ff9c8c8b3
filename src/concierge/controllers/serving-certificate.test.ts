import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createManualClock } from "../../clock.ts";
import type { ManualClock } from "../../clock.ts";
import { runControllers } from "../../kube/controller-runtime.ts";
import type { RunningControllers } from "../../kube/controller-runtime.ts";
import { secrets } from "../../kube/objects.ts";
import type { Secret } from "../../kube/objects.ts";
import { apiServices } from "../../kube/resources.ts";
import { verifyClientCertificate } from "../../pki/certificate-verification.ts";
import { extendedKeyUsage, parseCertificateBundle } from "../../pki/certificate.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import type { Holder } from "../state/holder.ts";
import { createKeyPairHolder } from "../state/key-pair-holder.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import type { MemoryClient, MemoryCluster } from "../testing/memory-store.ts";
import { createServingCertificateControllers } from "./serving-certificate-controllers.ts";
import { createServingCertificate, secretData, secretTexts } from "./serving-certificate-secret.ts";

const namespace = "concierge";
const secretName = "app-api-tls-serving-certificate";
const key = { namespace, name: secretName };
const apiServiceNames = ["v1alpha1.login.concierge.pinniped.dev", "v1alpha1.identity.concierge.pinniped.dev"];
const SECOND = 1000;

interface Replica {
  readonly client: MemoryClient;
  readonly holder: Holder<KeyPair | undefined>;
  readonly readiness: readonly ReadinessCheck[];
  readonly running: RunningControllers;
}

interface World {
  readonly clock: ManualClock;
  readonly cluster: MemoryCluster;
  readonly admin: MemoryClient;
  leader: number;
  readonly replicas: Replica[];
  start(options?: { lagging?: boolean }): Replica;
  bundle(name: string): string;
  /** Every bundle that an aggregator which is up to 9 s behind may go by. */
  recentBundles(name: string): readonly string[];
  secret(): Promise<Secret>;
  /** Lets controllers run, without more than a little time. */
  settle(): Promise<void>;
}

interface WorldOptions {
  readonly replicas?: number;
  readonly serviceNamespace?: string;
  readonly renewBeforeSeconds?: number;
  /** The second replica's caches are fed by `deliver` alone. */
  readonly lagging?: boolean;
}

async function createWorld(options: WorldOptions = {}): Promise<World> {
  const { replicas = 2, serviceNamespace = namespace, renewBeforeSeconds = 270 * 24 * 3600 } = options;
  const clock = createManualClock();
  const cluster = createMemoryCluster(clock);
  const admin = cluster.client();
  for (const name of apiServiceNames) {
    await admin.create(apiServices, {
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: { name },
      spec: {
        groupPriorityMinimum: 9900,
        versionPriority: 15,
        service: { namespace: serviceNamespace, name: "app-api", port: 443 },
      },
    });
  }
  const history: { readonly name: string; readonly bundle: string; until: number }[] = [];
  admin.view(apiServices).subscribe(({ name }) => {
    for (const each of history) {
      each.until = each.name === name ? Math.min(each.until, clock.now()) : each.until;
    }
    history.push({ name, bundle: world.bundle(name), until: Number.POSITIVE_INFINITY });
  });
  const world: World = {
    clock,
    cluster,
    admin,
    leader: 0,
    replicas: [],
    start: ({ lagging = false } = {}) => {
      const index = world.replicas.length;
      const client = cluster.client({ mayWrite: () => world.leader === index, lagging });
      const holder = createKeyPairHolder("concierge-serving-cert", "serving");
      const { controllers, readiness } = createServingCertificateControllers({
        store: client,
        clock,
        log: silentLogger,
        holder,
        namespace,
        secretName,
        serviceName: "app-api",
        apiServiceNames,
        labels: { app: "app", custom: "label" },
        durationSeconds: 365 * 24 * 3600,
        renewBeforeSeconds,
      });
      const running = runControllers({
        controllers,
        clock,
        log: silentLogger,
        signal: new AbortController().signal,
        random: () => 0.5,
      });
      const replica = { client, holder, readiness, running };
      world.replicas.push(replica);
      return replica;
    },
    bundle: (name) =>
      Buffer.from(admin.view(apiServices).get({ name })?.spec?.caBundle ?? "", "base64").toString("utf8"),
    recentBundles: (name) =>
      history
        .filter((each) => each.name === name && each.until > clock.now() - 9 * SECOND)
        .map(({ bundle }) => bundle),
    secret: () => admin.get(secrets, key),
    settle: () => settle(world),
  };
  for (let index = 0; index < replicas; index++) {
    world.start({ lagging: options.lagging === true && index === 1 });
  }
  await settle(world);
  world.replicas[1]?.client.deliver();
  return world;
}

/** Lets controllers run. Key pairs are made on other threads: as long as one is missing, real time passes and the clock stands. */
async function settle(world: World): Promise<void> {
  for (let turn = 0; turn < 15; turn++) {
    await clockless();
    await world.clock.advance(20);
  }
  for (
    let turn = 0;
    turn < 5000 && world.leader >= 0 && world.admin.view(secrets).get(key) === undefined;
    turn++
  ) {
    await clockless();
  }
  await world.clock.advance(100);
}

async function clockless(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}

async function stopAll(world: World): Promise<void> {
  await Promise.all(world.replicas.map(({ running }) => running.stop()));
}

function caOf(secret: Secret): string {
  return secretTexts(secret)["caCertificate"] ?? "";
}

function served(replica: Replica | undefined): string | undefined {
  return replica?.holder.current?.certificatePem;
}

function isReady(replica: Replica): boolean {
  return replica.readiness.every((check) => check.problem() === undefined);
}

/** What the aggregator checks: the served certificate chains to each APIService's `caBundle`. */
function assertVerifies(world: World, replica: Replica, message: string): void {
  const [leaf] = parseCertificateBundle(served(replica) ?? "");
  assert.ok(leaf !== undefined, `${message}: nothing is served`);
  for (const bundle of apiServiceNames.flatMap((name) => [
    world.bundle(name),
    ...world.recentBundles(name),
  ])) {
    const request = { certificate: leaf, usage: extendedKeyUsage.serverAuth, now: world.clock.now() };
    assert.doesNotThrow(
      () => verifyClientCertificate({ ...request, bundle: parseCertificateBundle(bundle) }),
      `${message}: the bundle does not verify what is served`,
    );
  }
}

test("creates, loads and publishes the certificate, with the contract's content", async () => {
  const world = await createWorld();
  const secret = await world.secret();
  assert.equal(secret.type, "Opaque");
  assert.deepEqual(secret.metadata.labels, { app: "app", custom: "label" });
  const texts = secretTexts(secret);
  assert.deepEqual(Object.keys(texts).toSorted(), [
    "caCertificate",
    "caCertificatePrivateKey",
    "tlsCertificateChain",
    "tlsPrivateKey",
  ]);
  assert.match(texts["caCertificatePrivateKey"] ?? "", /^-----BEGIN EC PRIVATE KEY-----/);
  assert.match(texts["tlsPrivateKey"] ?? "", /^-----BEGIN PRIVATE KEY-----/);
  const [leaf] = parseCertificateBundle(texts["tlsCertificateChain"] ?? "");
  assert.equal(
    leaf?.x509.subjectAltName,
    "DNS:app-api.concierge.svc, DNS:app-api.concierge.svc.cluster.local",
  );
  assert.ok(leaf !== undefined);
  assert.equal(leaf.x509.subject, undefined);
  assert.equal(
    Math.round((leaf.notAfter.getTime() - leaf.notBefore.getTime()) / 1000),
    365 * 24 * 3600 + 300,
  );
  for (const name of apiServiceNames) {
    assert.equal(world.bundle(name), texts["caCertificate"]);
  }
  for (const replica of world.replicas) {
    assert.equal(isReady(replica), false, "a bundle that was published just now is not believed in yet");
  }
  await world.clock.advance(10 * SECOND);
  assert.deepEqual(world.replicas.map(isReady), [true, true]);
  for (const replica of world.replicas) {
    assertVerifies(world, replica, "first install");
  }
  const late = world.start();
  await world.settle();
  assert.equal(isReady(late), true, "a bundle that was there at start is believed in");
  await stopAll(world);
});

test("a deleted Secret is replaced with an overlap of both CAs", async () => {
  const world = await createWorld();
  await world.clock.advance(20 * SECOND);
  const before = caOf(await world.secret());
  const servedBefore = world.replicas.map(served);
  const start = world.clock.now();
  await world.admin.delete(secrets, key);
  await world.settle();
  const joining = world.start();
  await world.settle();
  assert.equal(isReady(joining), false, "who joins while two CAs are published waits");
  const after = caOf(await world.secret());
  assert.notEqual(after, before);
  for (const name of apiServiceNames) {
    assert.equal(world.bundle(name), after + before, "the new CA comes first, the old one stays");
  }
  const firstTwo = (): unknown => world.replicas.slice(0, 2).map(served);
  assert.deepEqual(firstTwo(), servedBefore, "nobody switches before the bundle has settled");
  await world.clock.advance(start + 9 * SECOND - world.clock.now());
  assert.deepEqual(firstTwo(), servedBefore);
  await world.clock.advance(3 * SECOND);
  const leaf = secretTexts(await world.secret())["tlsCertificateChain"];
  assert.deepEqual(world.replicas.map(served), [leaf, leaf, leaf]);
  assert.deepEqual(world.replicas.slice(0, 2).map(isReady), [true, true]);
  await world.clock.advance(start + 58 * SECOND - world.clock.now());
  assert.equal(world.bundle(apiServiceNames[0] ?? ""), after + before);
  await world.clock.advance(5 * SECOND);
  for (const name of apiServiceNames) {
    assert.equal(world.bundle(name), after, "the old CA leaves 60 s after the new Secret");
  }
  await stopAll(world);
});

test("a replica keeps its pair while the Secret is missing and nobody leads", async () => {
  const world = await createWorld();
  await world.clock.advance(20 * SECOND);
  const before = served(world.replicas[1]);
  world.leader = -1;
  await world.admin.delete(secrets, key);
  await world.clock.advance(3600 * SECOND);
  assert.equal(served(world.replicas[1]), before);
  assert.deepEqual(world.replicas.map(isReady), [true, true]);
  await stopAll(world);
});

const broken: Readonly<
  Record<string, (texts: Readonly<Record<string, string>>, now: number) => Promise<object>>
> = {
  "expired chain": async (texts, now) => ({
    ...texts,
    tlsCertificateChain: (
      await createServingCertificate({ dnsNames: ["x"], durationSeconds: 60, now: now - 3600 * SECOND })
    )["tlsCertificateChain"],
  }),
  "malformed chain": (texts) => Promise.resolve({ ...texts, tlsCertificateChain: "nonsense" }),
  "missing key": (texts) => Promise.resolve({ ...texts, tlsPrivateKey: "" }),
  "foreign CA": async (texts, now) => ({
    ...texts,
    caCertificate: (await createServingCertificate({ dnsNames: ["x"], durationSeconds: 3600, now }))[
      "caCertificate"
    ],
  }),
};

for (const [name, breakTexts] of Object.entries(broken)) {
  test(`a Secret with a planted fault is replaced and never loaded: ${name}`, async () => {
    const world = await createWorld();
    await world.clock.advance(20 * SECOND);
    const secret = await world.secret();
    const before = world.replicas.map(served);
    world.leader = -1;
    const texts = await breakTexts(secretTexts(secret), world.clock.now());
    await world.admin.update(secrets, { ...secret, data: secretData(texts as Record<string, string>) });
    await world.settle();
    assert.deepEqual(world.replicas.map(served), before);
    world.leader = 1;
    await world.clock.advance(30 * SECOND);
    await world.settle();
    const after = await world.secret();
    assert.notEqual(after.metadata.uid, secret.metadata.uid);
    await world.clock.advance(90 * SECOND);
    assert.equal(world.bundle(apiServiceNames[0] ?? ""), caOf(after));
    assert.equal(served(world.replicas[0]), secretTexts(after)["tlsCertificateChain"]);
    await stopAll(world);
  });
}

test("renewBeforeSeconds is an age since NotBefore", async () => {
  const world = await createWorld({ replicas: 1, renewBeforeSeconds: 2000 });
  const { uid } = (await world.secret()).metadata;
  // NotBefore lies 300 s before the start.
  await world.clock.advance(1690 * SECOND);
  assert.equal((await world.secret()).metadata.uid, uid);
  await world.clock.advance(20 * SECOND);
  await world.settle();
  assert.notEqual((await world.secret()).metadata.uid, uid);
  await stopAll(world);
});

test("an APIService of another installation is left alone and does not keep us from being ready", async () => {
  const world = await createWorld({ replicas: 1, serviceNamespace: "elsewhere" });
  await world.clock.advance(20 * SECOND);
  assert.equal(world.bundle(apiServiceNames[0] ?? ""), "");
  assert.deepEqual(world.replicas.map(isReady), [true]);
  await stopAll(world);
});

test("a conflict while publishing is repeated at once", async () => {
  const world = await createWorld({ replicas: 1 });
  await world.clock.advance(20 * SECOND);
  let disturbances = 0;
  world.cluster.beforeWrite = async (write) => {
    if (write.startsWith("update apiservices") && disturbances < 2) {
      disturbances++;
      const present = world.admin.view(apiServices).get({ name: write.split("/").at(-1) ?? "" });
      assert.ok(present !== undefined);
      await world.admin.update(apiServices, present);
    }
  };
  await world.admin.delete(secrets, key);
  await world.settle();
  const ca = caOf(await world.secret());
  assert.equal(disturbances, 2);
  assert.ok(apiServiceNames.every((name) => world.bundle(name).startsWith(ca)));
  await stopAll(world);
});

test("property: whatever happens when, a ready replica's certificate verifies against both bundles", async () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("advance" as const),
        seconds: fc.integer({ min: 1, max: 40 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("lead" as const), replica: fc.integer({ min: -1, max: 1 }) }),
    },
    // The leader dies at its next write: before or after it was done.
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const), after: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("plant" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("join" as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
      const world = await createWorld({ lagging: true });
      await world.clock.advance(11 * SECOND);
      const check = (message: string): void => {
        for (const [index, replica] of world.replicas.entries()) {
          if (isReady(replica)) {
            assertVerifies(world, replica, `${message}, replica ${index}`);
          }
        }
      };
      const wasReady = world.replicas.map(isReady);
      assert.deepEqual(wasReady, [true, true]);
      for (const each of steps) {
        await perform(world, each, check);
        for (let turn = 0; turn < 10; turn++) {
          await clockless();
          await world.clock.advance(100);
          check(JSON.stringify(each));
          // Whoever was in service stays in service.
          assert.deepEqual(world.replicas.slice(0, 2).map(isReady), wasReady, JSON.stringify(each));
        }
      }
      world.cluster.beforeWrite = undefined;
      world.leader = 0;
      await world.settle();
      // Back-off of at most 30 s, settling and the overlap.
      await pass(world, 150, check);
      const ca = caOf(await world.secret());
      for (const name of apiServiceNames) {
        assert.equal(world.bundle(name), ca);
      }
      await stopAll(world);
    }),
    { numRuns: 10 },
  );
});

type Step =
  | { kind: "advance"; seconds: number }
  | { kind: "delete" | "plant" | "join" }
  | { kind: "lead"; replica: number }
  | { kind: "crash"; after: boolean };

/** Time passes; the second replica's caches are up to 15 s behind. */
async function pass(world: World, seconds: number, check: (message: string) => void): Promise<void> {
  for (let second = 1; second <= seconds; second++) {
    await world.clock.advance(SECOND);
    if (second % 15 === 0 || second === seconds) {
      world.replicas[1]?.client.deliver();
    }
    check(`after ${second} of ${seconds} s`);
  }
}

async function perform(world: World, step: Step, check: (message: string) => void): Promise<void> {
  switch (step.kind) {
    case "advance":
      await pass(world, step.seconds, check);
      break;
    case "delete":
      await world.admin.delete(secrets, key).catch(() => {});
      break;
    case "lead":
      world.leader = step.replica;
      break;
    case "crash":
      world.cluster.beforeWrite = () => {
        world.cluster.beforeWrite = undefined;
        world.leader = world.leader === 0 ? 1 : 0;
        if (!step.after) {
          throw new Error("the leader died");
        }
      };
      break;
    case "plant": {
      const secret = await world.secret().catch(() => undefined);
      if (secret !== undefined) {
        const data = secretData({ ...secretTexts(secret), tlsCertificateChain: "planted" });
        await world.admin.update(secrets, { ...secret, data });
      }
      break;
    }
    case "join":
      world.start();
      break;
  }
}
