import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Identity } from "../../../identity/identity.ts";
import { LOGIN, startHarness, testLimits } from "../testing/harness.ts";
import type { Harness } from "../testing/harness.ts";

const WEBHOOK = {
  apiGroup: "authentication.concierge.pinniped.dev",
  kind: "WebhookAuthenticator",
  name: "w",
};

let harness: Harness;
let verdict: () => Promise<Identity | undefined>;
let time = 0;
const finished: unknown[] = [];
const phases: unknown[] = [];
const credentials: unknown[] = [];

before(async () => {
  harness = await startHarness({
    isDenied: ({ username }) => username === "denied",
    limits: { ...testLimits, failuresPerAuthenticator: { perSecond: 1, burst: 8 } },
    metrics: {
      // A millisecond between any two looks at the clock.
      stopwatch: () => time++,
      exchangeFinished: (authenticator, reason, seconds) =>
        finished.push([authenticator?.kind, authenticator?.name, reason, seconds > 0]),
      exchangePhase: (phase, milliseconds) => phases.push([phase, milliseconds]),
      credentialIssued: (signer, seconds) => credentials.push([signer, seconds]),
      authenticatorCalled: () => {},
      rateLimited: () => {},
      render: async () => ({ contentType: "text/plain", body: "" }),
    },
  });
  harness.authenticators.set(JSON.stringify(Object.values(WEBHOOK)), {
    authenticate: () => verdict(),
    close: () => {},
  });
});
after(() => harness.close());
beforeEach(() => {
  for (const list of [finished, phases, credentials]) {
    list.length = 0;
  }
});

const exchange = async (spec: object): Promise<number> => {
  const { status } = await harness.call({
    method: "POST",
    path: LOGIN,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      kind: "TokenCredentialRequest",
      apiVersion: "login.concierge.pinniped.dev/v1alpha1",
      spec,
    }),
  });
  return status;
};
const judged = async (answer: () => Promise<Identity | undefined>): Promise<readonly unknown[]> => {
  verdict = answer;
  finished.length = 0;
  await exchange({ token: "t", authenticator: WEBHOOK });
  return finished;
};
const as = (username: string) => async (): Promise<Identity> => ({ username, groups: [], extra: {} });
const counted = (reason: string): readonly unknown[] => [["WebhookAuthenticator", "w", reason, true]];

test("a login counts once, with its phases in order and its credential", async () => {
  assert.deepEqual(await judged(as("jane")), counted("issued"));
  assert.deepEqual(phases, [
    ["validate", 1],
    ["authenticate", 1],
    ["identity", 1],
    ["sign", 1],
    ["audit", 1],
  ]);
  assert.deepEqual(credentials, [["test", 600]]);
});

test("a refusal counts once, with its reason, and only the phases that it came through", async () => {
  assert.deepEqual(await judged(async () => undefined), counted("token_rejected"));
  assert.deepEqual(phases, [["validate", 1]]);
  assert.deepEqual(await judged(as("denied")), counted("deny_list"));
  assert.deepEqual(await judged(as("system:admin")), counted("reserved_identity"));
  assert.deepEqual(await judged(as(" jane")), counted("user_info"));
  assert.deepEqual(await judged(() => Promise.reject(new Error("down"))), counted("authenticator_failed"));
  assert.deepEqual(credentials, []);
});

test("what a client makes up is no label, and an invalid request counts", async () => {
  await exchange({ token: "t", authenticator: { ...WEBHOOK, name: "made-up" } });
  await exchange({ token: "t", authenticator: { ...WEBHOOK, kind: "MadeUp" } });
  await exchange({ token: "x".repeat(70_000), authenticator: { ...WEBHOOK, name: "made-up" } });
  assert.equal(await exchange({ token: "", authenticator: WEBHOOK }), 422);
  assert.deepEqual(finished, [
    [undefined, undefined, "no_such_authenticator", true],
    [undefined, undefined, "no_such_authenticator", true],
    [undefined, undefined, "token_too_large", true],
    [undefined, undefined, "request", true],
  ]);
});

test("an authenticator with too many failures sheds, and that counts (S18)", async () => {
  let seen: readonly unknown[] = [];
  for (
    let turn = 0;
    turn < 20 && JSON.stringify(seen) !== JSON.stringify(counted("authenticator_failures"));
    turn++
  ) {
    seen = await judged(async () => undefined);
  }
  assert.deepEqual(seen, counted("authenticator_failures"));
});
