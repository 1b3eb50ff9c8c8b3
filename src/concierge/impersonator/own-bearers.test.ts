import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { before, beforeEach, describe, test } from "node:test";
import type { Identity } from "../../identity/identity.ts";
import type { TestClientCertificate } from "../api/testing/harness.ts";
import { createBearerIssuer } from "../credentials/bearer-credential.ts";
import { bearerAudience } from "../credentials/bearer-token-format.ts";
import { createBearerVerifier, isOwnBearer } from "../credentials/bearer-verification.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import { certificateOf, createPipelineWorld, PROXY_TOKEN } from "./testing/pipeline-harness.ts";
import type { PipelineWorld } from "./testing/pipeline-harness.ts";

const TOKEN_ID = "f".repeat(64);
const OURS = `${Buffer.from('{"kid":"k1"}').toString("base64url")}.ours`;
let world: PipelineWorld;
let alice: TestClientCertificate;
let verified: Identity | undefined;
let reviewed: string[];

before(async () => {
  alice = await certificateOf(await createPipelineWorld(), "alice", ["devs"]);
});
beforeEach(async () => {
  verified = { username: "alice", groups: ["bearers"], extra: { "example.org/a": ["b"] } };
  reviewed = [];
  world = await createPipelineWorld({
    authenticateToken: async (token) => {
      reviewed.push(token);
      return { username: "token-user", groups: [], extra: {} };
    },
    bearers: {
      isOurs: (token) => token.endsWith(".ours"),
      verify: (token) => {
        if (verified === undefined || token !== OURS) {
          throw new Error("refused");
        }
        return { identity: verified, jti: "7", tokenID: TOKEN_ID, expiresAt: world.clock.now() + 1000 };
      },
    },
  });
  world.state.credentialSettings.set({ ...defaultCredentialSettings, proxyCredential: "BearerToken" });
});
const bearer = (token: string): readonly string[] => ["Authorization", `Bearer ${token}`];
const webSocket = (...presented: string[]): readonly string[] => [
  ...["Connection", "upgrade", "Upgrade", "websocket", "Sec-WebSocket-Protocol"],
  [
    "v4.channel.k8s.io",
    ...presented.map(
      (token) => `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString("base64url")}`,
    ),
  ].join(", "),
];

describe("S13: our own bearers end here", () => {
  test("a good one is its user, impersonated, with its credential ID (S17)", async () => {
    const { identityHeaders } = await world.forward({ headers: bearer(OURS) });
    assert.deepEqual(identityHeaders, [
      ...["Authorization", `Bearer ${PROXY_TOKEN}`],
      ...["Impersonate-User", "alice"],
      ...["Impersonate-Group", "bearers", "Impersonate-Group", "system:authenticated"],
      ...["Impersonate-Extra-example.org%2Fa", "b"],
      ...["Impersonate-Extra-authentication.kubernetes.io%2Fcredential-id", "JTI=7"],
    ]);
    assert.deepEqual(reviewed, []);
  });

  for (const [what, headers] of [
    ["in the header", bearer(`${OURS}.ours`)],
    ["in the websocket protocol", webSocket(`${OURS}.ours`)],
    ["beside a good token of somebody else", [...bearer("foreign"), ...webSocket("x.ours")]],
  ] as const) {
    for (const withCertificate of [false, true]) {
      test(`a bad one ${what} is a 401${withCertificate ? ", beside a good certificate too" : ""}`, async () => {
        const certificate = withCertificate ? alice : undefined;
        assert.equal((await world.refuse({ headers, certificate })).status, 401);
        assert.deepEqual([reviewed, world.asked], [[], []]);
      });
    }
  }

  test("when the mode is not BearerToken every one is a 401", async () => {
    world.state.credentialSettings.set(defaultCredentialSettings);
    assert.equal((await world.refuse({ headers: bearer(OURS) })).status, 401);
    assert.deepEqual(reviewed, []);
  });

  test("field 7: beside a certificate it must name the same user, and the certificate acts", async () => {
    const same = await world.forward({ headers: bearer(OURS), certificate: alice });
    assert.ok(same.identityHeaders.includes("devs") && !same.identityHeaders.includes("bearers"));
    verified = { username: "bob", groups: [], extra: {} };
    assert.equal((await world.refuse({ headers: bearer(OURS), certificate: alice })).status, 401);
    assert.deepEqual(
      world.asked.map(({ user }) => user.username),
      ["alice"],
    );
  });

  test("in the websocket protocol a good one is its user", async () => {
    const { identityHeaders } = await world.forward({
      headers: webSocket(OURS),
      target: "/api/v1/pods?watch=1",
      upgrade: true,
    });
    assert.ok(identityHeaders.includes("bearers"));
  });

  test("it is never passed through, whatever UID it names", async () => {
    verified = { username: "alice", uid: "7", groups: [], extra: {} };
    const refusal = await world.refuse({ headers: bearer(OURS) });
    assert.equal(refusal.status, 500);
    assert.deepEqual(reviewed, []);
  });

  test("S15: denied by what it was bought with, by its own ID, beside a certificate too", async () => {
    const until = world.clock.now() + 1000;
    for (const entry of [{ tokenID: TOKEN_ID }, { credentialID: "JTI=7" }]) {
      world.state.denyList.set({ entries: [{ ...entry, until }], problems: [] });
      assert.equal((await world.refuse({ headers: bearer(OURS) })).status, 401);
      assert.equal((await world.refuse({ headers: bearer(OURS), certificate: alice })).status, 401);
      await world.forward({ certificate: alice });
    }
    assert.ok(world.asked.every(({ user }) => user.groups.includes("devs")));
  });

  test("the real thing: issued, verified, ended by the brake", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const real = await createPipelineWorld({
      bearers: {
        isOurs: isOwnBearer,
        verify: (token) => verifier.verify(token),
      },
    });
    const { state, clock } = real;
    const verifier = createBearerVerifier({ ...state, clock });
    state.bearerKeys.set({ signing: { kid: "k", privateKey }, trusted: new Map([["k", publicKey]]) });
    state.bearerAudience.set(bearerAudience("a", "b"));
    state.credentialSettings.set({ ...defaultCredentialSettings, proxyCredential: "BearerToken" });
    const second = Math.floor(clock.now() / 1000) * 1000;
    const { token } = await createBearerIssuer({ ...state, clock })({
      identity: { username: "jane", groups: ["g"], extra: {} },
      lifetime: { notBefore: new Date(second - 60_000), notAfter: new Date(second + 300_000) },
      tokenID: TOKEN_ID,
    });
    const call = { headers: bearer(token), target: "/api/v1/pods?watch=1" };
    const proxied = real.begin(call);
    assert.equal((await proxied.verdict).kind, "forward");
    proxied.streamStarted(200);
    await clock.advance(301_000);
    assert.equal((await real.refuse(call)).status, 401);
    assert.equal(proxied.cut.aborted, false, "expiry ends nothing that is open");
    state.bearerKeys.set(undefined);
    assert.equal(proxied.cut.aborted, true);
  });

  test("another's token is reviewed", async () => {
    const { identityHeaders } = await world.forward({ headers: bearer("foreign") });
    assert.ok(identityHeaders.includes("token-user"));
    assert.deepEqual(reviewed, ["foreign"]);
  });
});
