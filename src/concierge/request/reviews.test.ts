import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { createManualClock } from "../../clock.ts";
import type { ManualClock } from "../../clock.ts";
import type { Identity } from "../../identity/identity.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import { createTokenReviewAuthenticator, webSocketToken } from "./bearer-token.ts";
import { createFixedAuthorizer } from "./fixed-authorizer.ts";
import { createReviewBudget } from "./limits.ts";
import { parseRequestTarget, requestAttributes } from "./request-info.ts";
import { createSubjectAccessReviewAuthorizer } from "./subject-access-review.ts";

interface Call {
  readonly spec: Record<string, unknown>;
  readonly signal: AbortSignal | undefined;
}

let clock: ManualClock;
let calls: Call[];
let answer: (call: Call) => Promise<object>;
const metrics = { reviewCacheAsked: () => {}, rateLimited: () => {} };
const client: Pick<KubernetesClient, "review"> = {
  review: async (_resource, object, signal) => {
    const call = { spec: (object as unknown as { spec: Record<string, unknown> }).spec, signal };
    calls.push(call);
    return { ...object, status: await answer(call) };
  },
};
const jane: Identity = { username: "jane", groups: ["ops"], extra: {} };
const path = (text: string, method = "GET") => requestAttributes(method, parseRequestTarget(text));

beforeEach(() => {
  clock = createManualClock();
  calls = [];
  answer = async () => ({ allowed: true });
});

describe("SubjectAccessReview", () => {
  test("everything of user and request is asked, and counts for 10 seconds", async () => {
    const authorizer = createSubjectAccessReviewAuthorizer({ client, clock, metrics });
    const user: Identity = { username: "jane", uid: "u", groups: ["a", "b"], extra: { k: ["v"] } };
    assert.deepEqual(await authorizer.authorize(user, path("/apis/g/v1/things/x/sub", "PUT")), {
      allowed: true,
      reason: "",
    });
    assert.deepEqual(calls[0]?.spec, {
      resourceAttributes: {
        namespace: "",
        verb: "update",
        group: "g",
        version: "v1",
        resource: "things",
        subresource: "sub",
        name: "x",
      },
      user: "jane",
      groups: ["a", "b"],
      extra: { k: ["v"] },
      uid: "u",
    });
    await clock.advance(9_999);
    await authorizer.authorize(user, path("/apis/g/v1/things/x/sub", "PUT"));
    assert.equal(calls.length, 1);
    await clock.advance(1);
    await authorizer.authorize(user, path("/apis/g/v1/things/x/sub", "PUT"));
    assert.equal(calls.length, 2);
  });

  test("what is known without asking is what would be answered, for as long", async () => {
    const authorizer = createSubjectAccessReviewAuthorizer({ client, clock, metrics });
    const known = (user: Identity, text: string) => authorizer.known?.(user, path(text));
    assert.equal(known(jane, "/x"), undefined);
    answer = async () => ({ allowed: false, reason: "no" });
    await authorizer.authorize(jane, path("/x"));
    assert.deepEqual(known(jane, "/x"), { allowed: false, reason: "no" });
    assert.deepEqual(known({ ...jane }, "/x"), { allowed: false, reason: "no" });
    for (const other of [
      { ...jane, username: "jo" },
      { ...jane, uid: "1" },
      { ...jane, groups: [] },
    ]) {
      assert.equal(known(other, "/x"), undefined);
    }
    assert.equal(known(jane, "/y"), undefined);
    assert.deepEqual(known(jane, "/healthz"), { allowed: true, reason: "" });
    await clock.advance(10_000);
    assert.equal(known(jane, "/x"), undefined);
    assert.equal(calls.length, 1);
  });

  test("S4: no two different questions share an answer", async () => {
    const authorizer = createSubjectAccessReviewAuthorizer({ client, clock, metrics });
    const users: Identity[] = [
      { username: "a", groups: ["b", "c"], extra: {} },
      { username: "a", groups: ["b,c"], extra: {} },
      { username: 'a","groups":["b', groups: ["c"], extra: {} },
      { username: "a", groups: ["b", "c"], extra: { k: ["v"] } },
      { username: "a", uid: "1", groups: ["b", "c"], extra: {} },
    ];
    for (const user of users) {
      await authorizer.authorize(user, path("/version"));
      await authorizer.authorize(user, path("/version", "HEAD"));
    }
    assert.equal(calls.length, users.length * 2);
  });

  test("a denial counts as long as a permission; errors and oversized questions are never kept", async () => {
    const authorizer = createSubjectAccessReviewAuthorizer({ client, clock, metrics });
    answer = async () => ({ allowed: false, reason: "no" });
    assert.deepEqual(await authorizer.authorize(jane, path("/a")), { allowed: false, reason: "no" });
    answer = async () => ({ allowed: true });
    assert.equal((await authorizer.authorize(jane, path("/a"))).allowed, false);

    answer = async () => {
      throw new Error("gone");
    };
    await assert.rejects(authorizer.authorize(jane, path("/b")), /gone/);
    answer = async () => ({ allowed: true });
    assert.equal((await authorizer.authorize(jane, path("/b"))).allowed, true);

    const big: Identity = { username: "big", groups: ["x".repeat(10_000)], extra: {} };
    const before = calls.length;
    await authorizer.authorize(big, path("/a"));
    await authorizer.authorize(big, path("/a"));
    assert.equal(calls.length, before + 2);

    answer = async () => ({ allowed: true, denied: true });
    await assert.rejects(authorizer.authorize(jane, path("/c")), { code: "request.reviewMalformed" });
  });

  test("identical questions under way are one review with its own deadline", async () => {
    const authorizer = createSubjectAccessReviewAuthorizer({ client, clock, metrics });
    answer = () => new Promise(() => {});
    const first = authorizer.authorize(jane, path("/a"));
    await clock.advance(6_000);
    const second = authorizer.authorize(jane, path("/a"));
    assert.equal(calls.length, 1);
    const both = Promise.all([
      assert.rejects(first, { code: "request.reviewTimeout" }),
      assert.rejects(second, { code: "request.reviewTimeout" }),
    ]);
    await clock.advance(4_000);
    await both;
    assert.equal(calls[0]?.signal?.aborted, true);
    answer = async () => ({ allowed: true });
    assert.equal((await authorizer.authorize(jane, path("/a"))).allowed, true);
  });

  test("masters and the three health paths are not asked about; paths below them are", async () => {
    const authorizer = createSubjectAccessReviewAuthorizer({ client, clock, metrics });
    answer = async () => ({ allowed: false });
    const master: Identity = { username: "m", groups: ["system:masters"], extra: {} };
    assert.equal((await authorizer.authorize(master, path("/metrics"))).allowed, true);
    for (const health of ["/healthz", "/livez", "/readyz"]) {
      assert.equal((await authorizer.authorize(jane, path(health))).allowed, true);
    }
    assert.equal(calls.length, 0);
    for (const other of ["/healthz/", "/healthz/log", "/metrics"]) {
      assert.equal((await authorizer.authorize(jane, path(other))).allowed, false, other);
    }
  });
});

describe("TokenReview", () => {
  const limits = {
    failuresPerSource: { perSecond: 1, burst: 1 },
    failuresPerAuthenticator: { perSecond: 1, burst: 1 },
    tokenReviewsPerSource: { perSecond: 2, burst: 2 },
    tokenReviews: { perSecond: 3, burst: 3 },
    concurrentCreates: 1,
  };
  const create = () =>
    createTokenReviewAuthenticator({
      client,
      clock,
      metrics,
      budget: createReviewBudget({ limits, clock, metrics }),
    });

  test("both verdicts count for 10 seconds, no answer never", async () => {
    const tokens = create();
    answer = async ({ spec }) =>
      spec["token"] === "good"
        ? { authenticated: true, user: { username: "jane", uid: "", groups: ["g"], extra: { k: ["v"] } } }
        : { authenticated: false, error: "nope" };
    const expected = { username: "jane", groups: ["g"], extra: { k: ["v"] } };
    assert.deepEqual(await tokens.authenticateToken("good", "s1"), expected);
    assert.deepEqual(await tokens.authenticateToken("good", "s1"), expected);
    assert.equal(await tokens.authenticateToken("bad", "s1"), undefined);
    assert.equal(await tokens.authenticateToken("bad", "s1"), undefined);
    assert.deepEqual(
      calls.map(({ spec }) => spec),
      [{ token: "good" }, { token: "bad" }],
    );
    await clock.advance(10_000);
    answer = async () => {
      throw new Error("gone");
    };
    await assert.rejects(tokens.authenticateToken("good", "s1"), /gone/);
  });

  test("S18: reviews have budgets per source and in total", async () => {
    const tokens = create();
    answer = async () => ({ authenticated: false });
    await tokens.authenticateToken("1", "s1");
    await tokens.authenticateToken("2", "s1");
    await assert.rejects(tokens.authenticateToken("3", "s1"), { httpStatus: 429, retryAfterSeconds: 1 });
    await tokens.authenticateToken("3", "s2");
    await assert.rejects(tokens.authenticateToken("4", "s3"), { httpStatus: 429 });
    // Known verdicts cost nothing.
    assert.equal(await tokens.authenticateToken("1", "s1"), undefined);
    await clock.advance(1_000);
    await tokens.authenticateToken("4", "s1");
    assert.equal(calls.length, 4);
  });
});

test("a bearer token in the websocket sub-protocol", () => {
  const headers = (protocols: string): string[] => [
    ...["Connection", "keep-alive, Upgrade"],
    ...["Upgrade", "WebSocket"],
    ...["Sec-WebSocket-Protocol", protocols],
  ];
  const encoded = `base64url.bearer.authorization.k8s.io.${Buffer.from("tøken").toString("base64url")}`;
  assert.equal(webSocketToken(headers(`${encoded}, v4.channel.k8s.io`)), "tøken");
  assert.equal(webSocketToken(headers("v4.channel.k8s.io")), undefined);
  assert.equal(webSocketToken(["Sec-WebSocket-Protocol", `${encoded}, x`]), undefined);
  for (const bad of [
    encoded,
    `${encoded}, ${encoded}, x`,
    `${encoded}=, x`,
    `${encoded.slice(0, -4)}_w, x`,
  ]) {
    assert.throws(() => webSocketToken(headers(bad)), { code: "request.invalidBearerToken" }, bad);
  }
});

test("S22: the fixed list", async () => {
  const authorizer = createFixedAuthorizer({ login: "login.x", identity: "identity.x" });
  const allowed = async (method: string, target: string) =>
    (await authorizer.authorize(jane, path(target, method))).allowed;
  for (const target of [
    "/",
    "/apis",
    "/apis/login.x",
    "/apis/login.x/v1alpha1",
    "/openapi/v2",
    "/openapi/v3/apis/identity.x/v1alpha1",
    "/healthz",
  ]) {
    assert.equal(await allowed("GET", target), true, target);
  }
  assert.equal(await allowed("POST", "/apis/login.x/v1alpha1/tokencredentialrequests"), true);
  assert.equal(await allowed("POST", "/apis/identity.x/v1alpha1/whoamirequests"), true);
  assert.equal(await allowed("GET", "/apis/login.x/v1alpha1/tokencredentialrequests"), true);
  for (const [method, target] of [
    ["GET", "/metrics"],
    ["GET", "/healthz/log"],
    ["POST", "/apis"],
    ["DELETE", "/apis/login.x/v1alpha1/tokencredentialrequests"],
    ["POST", "/apis/login.x/v1alpha1/whoamirequests"],
    ["POST", "/apis/login.x/v1/tokencredentialrequests"],
    ["POST", "/api/v1/namespaces/x/secrets"],
  ] as const) {
    assert.equal(await allowed(method, target), false, `${method} ${target}`);
  }
});
