import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Identity } from "../../identity/identity.ts";
import { testAuthority, testClientCertificate } from "../api/testing/harness.ts";
import type { TestClientCertificate } from "../api/testing/harness.ts";
import type { AuthorizationDecision, RequestAttributes } from "../request/authorizer.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import type { BearerKeys } from "../state/proxy.ts";
import type { ProxiedRequest } from "./proxied-request.ts";
import { certificateOf, complete, createPipelineWorld } from "./testing/pipeline-harness.ts";
import type { PipelineCall, PipelineWorld } from "./testing/pipeline-harness.ts";

const WATCH = "/api/v1/pods?watch=1";
let world: PipelineWorld;
let decide: (user: Identity, attributes: RequestAttributes) => AuthorizationDecision;
let alice: TestClientCertificate;
const OWN = `${Buffer.from('{"kid":"k1"}').toString("base64url")}.x.y`;

before(async () => {
  alice = await certificateOf(await createPipelineWorld(), "alice");
});
beforeEach(async () => {
  decide = () => ({ allowed: true, reason: "" });
  world = await createPipelineWorld({
    authorize: (user, attributes) => decide(user, attributes),
    bearers: {
      isOurs: (token) => token === OWN,
      verify: () => ({
        identity: { username: "carol", groups: [], extra: {} },
        jti: "1",
        tokenID: "f".repeat(64),
        expiresAt: world.clock.now() + 300_000,
      }),
    },
  });
});

async function open(call: PipelineCall = {}): Promise<ProxiedRequest> {
  const proxied = world.begin({ target: WATCH, certificate: alice, ...call });
  assert.equal((await proxied.verdict).kind, "forward");
  proxied.streamStarted(200);
  return proxied;
}
const keys = (...kids: string[]): BearerKeys =>
  ({
    signing: { kid: kids[0], privateKey: undefined },
    trusted: new Map(kids.map((kid) => [kid, undefined])),
  }) as unknown as BearerKeys;

describe("S15: the deny list ends open streams at once", () => {
  test("by user, original and final, by credential and by token; others go on", async () => {
    const plain = await open();
    const nested = await open({ headers: ["Impersonate-User", "bob"] });
    world.state.bearerKeys.set(keys("k1"));
    world.state.credentialSettings.set({ ...defaultCredentialSettings, proxyCredential: "BearerToken" });
    const own = await open({ certificate: undefined, headers: ["Authorization", `Bearer ${OWN}`] });
    const until = world.clock.now() + 1000;
    const cutBy = (entry: object): boolean[] => {
      world.state.denyList.set({ entries: [{ until, ...entry }], problems: [] });
      return [plain, nested, own].map(({ cut }) => cut.aborted);
    };
    assert.deepEqual(cutBy({ user: "dave" }), [false, false, false]);
    assert.deepEqual(cutBy({ user: "bob" }), [false, true, false]);
    assert.deepEqual(cutBy({ tokenID: "f".repeat(64) }), [false, true, true]);
    assert.deepEqual(cutBy({ credentialID: `X509SHA256=${alice.sha256Hex}` }), [true, true, true]);
    assert.deepEqual(world.metrics.cuts, ["deny_list", "deny_list", "deny_list"]);
    assert.equal(world.audit.filter(({ message }) => message === "Proxied Stream Cut").length, 3);
  });

  test("one that begins while the list changes is cut as well", async () => {
    const proxied = world.begin({ target: WATCH, certificate: alice });
    assert.equal((await proxied.verdict).kind, "forward");
    world.state.denyList.set({ entries: [{ user: "alice", until: Infinity }], problems: [] });
    proxied.streamStarted(200);
    assert.equal(proxied.cut.aborted, true);
  });
});

describe("S16: open streams are reviewed again", () => {
  test("every minute, with the same questions; a refusal cuts", async () => {
    const stream = await open({ headers: ["Impersonate-User", "bob"] });
    const first = world.asked.splice(0);
    await world.clock.advance(55_000);
    assert.deepEqual(world.asked, []);
    await world.clock.advance(11_000);
    assert.deepEqual(world.asked, first);
    assert.equal(stream.cut.aborted, false);
    decide = (_user, { verb }) => ({ allowed: verb !== "impersonate", reason: "" });
    await world.clock.advance(67_000);
    assert.equal(stream.cut.aborted, true);
    const [, cut] = world.audit;
    assert.deepEqual([cut?.message, cut?.fields?.["reason"]], ["Proxied Stream Cut", "access"]);
    stream.finished({ ...complete(200), end: "cut" });
    assert.deepEqual(world.metrics.streams, 0);
  });

  test("no answer waits for the next check", async () => {
    const stream = await open();
    decide = () => {
      throw new Error("no answer");
    };
    await world.clock.advance(150_000);
    assert.equal(stream.cut.aborted, false);
    decide = () => ({ allowed: false, reason: "" });
    await world.clock.advance(67_000);
    assert.equal(stream.cut.aborted, true);
  });

  test("what has ended is not asked about any more", async () => {
    const stream = await open();
    stream.finished(complete(200));
    world.asked.length = 0;
    await world.clock.advance(200_000);
    assert.deepEqual(world.asked, []);
  });

  test("maximumStreamSeconds caps them, from the moment it is set", async () => {
    const stream = await open();
    await world.clock.advance(30_000);
    world.state.credentialSettings.set({ ...defaultCredentialSettings, maximumStreamSeconds: 40 });
    assert.equal(stream.cut.aborted, false);
    await world.clock.advance(12_000);
    assert.equal(stream.cut.aborted, true);
    assert.deepEqual(world.metrics.cuts, ["maximum_duration"]);
  });

  test("field 16: expiry alone does not cut", async () => {
    const stream = await open();
    await world.clock.advance(2 * 3_600_000);
    assert.equal(stream.cut.aborted, false);
    assert.equal((await world.refuse({ certificate: alice })).status, 401);
  });
});

describe("S10: the emergency brake", () => {
  test("a signer that is gone ends what it let in, also with expired certificates; others go on", async () => {
    const stream = await open();
    const cluster = await open({
      certificate: await testClientCertificate(world.authorities.cluster, "bob"),
    });
    await world.clock.advance(2 * 3_600_000);
    world.state.proxySignerTrust.set(undefined);
    assert.deepEqual([stream.cut.aborted, cluster.cut.aborted], [true, false]);
    assert.deepEqual(world.metrics.cuts, ["trust"]);
  });

  test("the end of a rotation's overlap cuts nothing that had to be over by then", async () => {
    const other = await testAuthority("next");
    const expiring = await open();
    world.state.proxySignerTrust.set(world.authorities.signer.certificatePem + other.certificatePem);
    await world.clock.advance(2 * 3_600_000);
    world.state.proxySignerTrust.set(other.certificatePem);
    assert.equal(expiring.cut.aborted, false);
  });

  test("an old signer that is taken away early ends what is still valid", async () => {
    const other = await testAuthority("next");
    world.state.proxySignerTrust.set(world.authorities.signer.certificatePem + other.certificatePem);
    const stream = await open();
    const newer = await open({ certificate: await testClientCertificate(other, "bob") });
    world.state.proxySignerTrust.set(other.certificatePem);
    assert.deepEqual([stream.cut.aborted, newer.cut.aborted], [true, false]);
  });

  test("bearer keys likewise", async () => {
    world.state.credentialSettings.set({ ...defaultCredentialSettings, proxyCredential: "BearerToken" });
    world.state.bearerKeys.set(keys("k1"));
    const call = { certificate: undefined, headers: ["Authorization", `Bearer ${OWN}`] };
    const first = await open(call);
    world.state.bearerKeys.set(keys("k2", "k1"));
    assert.equal(first.cut.aborted, false);
    world.state.bearerKeys.set(keys("k2"));
    assert.equal(first.cut.aborted, true);
    world.state.bearerKeys.set(keys("k1"));
    const second = await open(call);
    await world.clock.advance(600_000);
    world.state.bearerKeys.set(undefined);
    assert.equal(second.cut.aborted, true);
  });

  test("what was let in before the brake and begins after it is cut", async () => {
    const proxied = world.begin({ target: WATCH, certificate: alice });
    await proxied.verdict;
    world.state.proxySignerTrust.set(undefined);
    proxied.streamStarted(200);
    assert.equal(proxied.cut.aborted, true);
  });
});
