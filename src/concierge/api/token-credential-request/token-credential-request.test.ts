import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Identity } from "../../../identity/identity.ts";
import { LOGIN, startHarness, testLimits } from "../testing/harness.ts";
import type { CallOptions, Harness } from "../testing/harness.ts";

const GROUP = "login.concierge.pinniped.dev";
const PREFIX = `{"kind":"TokenCredentialRequest","apiVersion":"${GROUP}/v1alpha1","metadata":{"creationTimestamp":null},"spec":{"authenticator":{"apiGroup":null,"kind":"","name":""}},"status":`;
const FAILED = `${PREFIX}{"message":"authentication failed"}}\n`;
const WEBHOOK = {
  apiGroup: "authentication.concierge.pinniped.dev",
  kind: "WebhookAuthenticator",
  name: "w",
};

let harness: Harness;
let verdict: () => Promise<Identity | undefined>;
before(async () => {
  harness = await startHarness();
  harness.authenticators.set(JSON.stringify(Object.values(WEBHOOK)), {
    authenticate: () => verdict(),
    close: () => {},
  });
});
after(() => harness.close());
beforeEach(() => {
  harness.audit.length = 0;
  harness.issued.length = 0;
  verdict = async () => ({ username: "jane", groups: ["ops"], extra: {} });
});

const create = (spec: object, extra: Partial<CallOptions> = {}): CallOptions => ({
  method: "POST",
  path: LOGIN,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ kind: "TokenCredentialRequest", apiVersion: `${GROUP}/v1alpha1`, spec }),
  ...extra,
});
const tokenID = (token: string): string => createHash("sha256").update(token).digest("hex");

describe("exchange", () => {
  test("a good token buys a credential, and two audit lines say so", async () => {
    const answer = await harness.call(create({ token: "t-1", authenticator: WEBHOOK }));
    assert.equal(answer.status, 201);
    assert.equal(
      answer.body,
      `${PREFIX}{"credential":{"expirationTimestamp":"2026-01-01T00:09:15Z","clientCertificateData":"CERT","clientKeyData":"KEY"}}}\n`,
    );
    assert.deepEqual(harness.issued, [{ username: "jane", groups: ["ops"], extra: {} }]);
    const auditID = String(answer.headers["audit-id"]);
    assert.deepEqual(harness.audit, [
      {
        message: "TokenCredentialRequest Token Received",
        auditID,
        fields: { tokenID: tokenID("t-1") },
        mayWait: true,
      },
      {
        message: "TokenCredentialRequest Authenticated User",
        auditID,
        personalInfo: { username: "jane", groups: ["ops"] },
        fields: {
          issuedClientCert: { notBefore: "2026-01-01T00:00:00Z", notAfter: "2026-01-01T00:10:00Z" },
          authenticator: WEBHOOK,
        },
      },
    ]);
    assert.deepEqual(Object.keys(harness.audit[1]?.fields ?? {}), ["issuedClientCert", "authenticator"]);
  });

  const refusals: readonly [string, () => Promise<Identity | undefined>, object][] = [
    [
      "rejected",
      async () => undefined,
      {
        message: "TokenCredentialRequest Authentication Failed",
        fields: { reason: "auth rejected by authenticator", authenticator: WEBHOOK },
      },
    ],
    [
      "error",
      async () => {
        throw new Error("oidc: verify token: nope");
      },
      {
        message: "TokenCredentialRequest Unexpected Error",
        fields: {
          reason: "authenticator returned an error",
          err: "oidc: verify token: nope",
          authenticator: WEBHOOK,
        },
      },
    ],
    [
      "UID",
      async () => ({ username: "jane", uid: "u", groups: [], extra: {} }),
      {
        message: "TokenCredentialRequest Unsupported UserInfo",
        personalInfo: { userInfoName: "jane", userInfoUID: "u" },
        fields: {
          userInfoExtrasCount: 0,
          reason: "unsupported value in userInfo returned by authenticator",
          err: "UIDs are not supported",
          authenticator: WEBHOOK,
        },
      },
    ],
    [
      "edge space (S2)",
      async () => ({ username: "jane", groups: [" ops"], extra: {} }),
      {
        message: "TokenCredentialRequest Unsupported UserInfo",
        personalInfo: { userInfoName: "jane", userInfoUID: "" },
        fields: {
          userInfoExtrasCount: 0,
          reason: "unsupported value in userInfo returned by authenticator",
          err: "group starts or ends with a space or a tab",
          authenticator: WEBHOOK,
        },
      },
    ],
    [
      "reserved name (S1)",
      async () => ({ username: "front-proxy-client", groups: [], extra: {} }),
      {
        message: "TokenCredentialRequest Unsupported UserInfo",
        personalInfo: { userInfoName: "front-proxy-client", userInfoUID: "" },
        fields: {
          userInfoExtrasCount: 0,
          reason: "unsupported value in userInfo returned by authenticator",
          err: "reserved identity: username is never allowed",
          authenticator: WEBHOOK,
        },
      },
    ],
  ];
  for (const [name, answerOf, event] of refusals) {
    test(`refused: ${name}`, async () => {
      verdict = answerOf;
      const answer = await harness.call(create({ token: "t", authenticator: WEBHOOK }));
      assert.equal(answer.status, 201);
      assert.equal(answer.body, FAILED);
      assert.deepEqual(harness.issued, []);
      assert.equal(harness.audit.length, 2);
      assert.deepEqual(harness.audit[1], { ...event, auditID: answer.headers["audit-id"] });
      assert.equal(JSON.stringify(harness.audit[1]?.fields).includes("jane"), false);
    });
  }

  test("system:authenticated is dropped before signing", async () => {
    verdict = async () => ({ username: "jane", groups: ["system:authenticated", "ops"], extra: {} });
    await harness.call(create({ token: "t", authenticator: WEBHOOK }));
    assert.deepEqual(harness.issued[0]?.groups, ["ops"]);
  });

  test("an unknown authenticator is an ordinary failure", async () => {
    const answer = await harness.call(create({ token: "t", authenticator: { ...WEBHOOK, name: "other" } }));
    assert.equal(answer.body, FAILED);
    assert.deepEqual(harness.audit[1]?.fields, {
      reason: "authenticator returned an error",
      err: "no such authenticator",
      authenticator: { ...WEBHOOK, name: "other" },
    });
  });

  test("a token over 64 KiB is never shown to an authenticator", async () => {
    let shown = 0;
    verdict = async () => {
      shown++;
      return { username: "jane", groups: [], extra: {} };
    };
    const answer = await harness.call(create({ token: "x".repeat(64 * 1024 + 1), authenticator: WEBHOOK }));
    assert.equal(answer.status, 201);
    assert.equal(answer.body, FAILED);
    assert.equal(shown, 0);
    assert.equal(harness.audit[1]?.message, "TokenCredentialRequest Authentication Failed");
    await harness.call(create({ token: "x".repeat(64 * 1024), authenticator: WEBHOOK }));
    assert.equal(shown, 1);
  });
});

describe("validation", () => {
  test("an empty token is a 422 with the field token.value, and no audit line", async () => {
    for (const spec of [{ token: "" }, {}]) {
      const answer = await harness.call(create(spec));
      assert.equal(answer.status, 422);
      assert.equal(
        answer.body,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":".login.concierge.pinniped.dev \\"\\" is invalid: spec.token.value: Required value: token must be supplied","reason":"Invalid","details":{"group":"login.concierge.pinniped.dev","causes":[{"reason":"FieldValueRequired","message":"Required value: token must be supplied","field":"spec.token.value"}]},"code":422}\n',
      );
    }
    assert.deepEqual(harness.audit, []);
  });

  test("the name of the object is in the message and the details", async () => {
    const answer = await harness.call(
      create({}, { body: JSON.stringify({ metadata: { name: "n", namespace: "ignored" } }) }),
    );
    const status = JSON.parse(answer.body);
    assert.match(status.message, /^\.login\.concierge\.pinniped\.dev "n" is invalid/);
    assert.deepEqual(Object.keys(status.details), ["name", "group", "causes"]);
  });

  test("a dry run is a 422; the token is checked first; other values are refused as create options", async () => {
    const path = `${LOGIN}?dryRun=All`;
    const answer = await harness.call(create({ token: "t" }, { path }));
    assert.equal(answer.status, 422);
    assert.match(answer.body, /dryRun: Unsupported value: \[\]string\{\\"All\\"\}"/);
    assert.match((await harness.call(create({}, { path }))).body, /token must be supplied/);
    const other = await harness.call(create({ token: "t" }, { path: `${LOGIN}?dryRun=None` }));
    assert.equal(other.status, 422);
    assert.match(other.body, /CreateOptions\.meta\.k8s\.io \\"\\" is invalid: dryRun/);
    assert.deepEqual(harness.audit, []);
  });
});

describe("other API group suffix", () => {
  test("groups go out with the suffix, references come in with it, texts and audit keep the default", async () => {
    const other = await startHarness({ apiGroupSuffix: "walrus.tld" });
    try {
      other.authenticators.set(JSON.stringify(Object.values(WEBHOOK)), {
        authenticate: () => verdict(),
        close: () => {},
      });
      const path = LOGIN.replace("pinniped.dev", "walrus.tld");
      const good = await other.call(
        create(
          { token: "t", authenticator: { ...WEBHOOK, apiGroup: "authentication.concierge.walrus.tld" } },
          {
            path,
            body: JSON.stringify({
              spec: {
                token: "t",
                authenticator: { ...WEBHOOK, apiGroup: "authentication.concierge.walrus.tld" },
              },
            }),
          },
        ),
      );
      assert.equal(JSON.parse(good.body).apiVersion, "login.concierge.walrus.tld/v1alpha1");
      assert.ok(JSON.parse(good.body).status.credential);
      assert.deepEqual(other.audit[1]?.fields?.["authenticator"], WEBHOOK);

      const wrong = await other.call({
        ...create({}),
        path,
        body: JSON.stringify({ spec: { token: "t", authenticator: WEBHOOK } }),
      });
      assert.equal(wrong.status, 201);
      assert.match(wrong.body, /authentication failed/);
      assert.match(JSON.stringify(other.audit[3]?.fields), /_INVALID_API_GROUP_/);

      const empty = await other.call({ ...create({}), path, body: "{}" });
      assert.match(JSON.parse(empty.body).message, /^\.login\.concierge\.pinniped\.dev "" is invalid/);
    } finally {
      await other.close();
    }
  });
});

describe("limits", () => {
  test("failures are shed per source, successes never", async () => {
    const limited = await startHarness({
      limits: {
        failuresPerSource: { perSecond: 1, burst: 2 },
        failuresPerAuthenticator: { perSecond: 100, burst: 100 },
        tokenReviewsPerSource: { perSecond: 1, burst: 1 },
        tokenReviews: { perSecond: 1, burst: 1 },
        concurrentCreates: 10,
      },
    });
    try {
      limited.authenticators.set(JSON.stringify(Object.values(WEBHOOK)), {
        authenticate: async (token) =>
          token === "good" ? { username: "jane", groups: [], extra: {} } : undefined,
        close: () => {},
      });
      const post = async (token: string, hop?: string) =>
        await limited.call(
          create(
            { token, authenticator: WEBHOOK },
            hop === undefined
              ? {}
              : {
                  certificate: limited.frontProxy,
                  headers: {
                    "content-type": "application/json",
                    "x-remote-user": "system:anonymous",
                    "x-forwarded-for": hop,
                  },
                },
          ),
        );
      for (let round = 0; round < 5; round++) {
        assert.equal((await post("good")).status, 201);
      }
      assert.equal((await post("bad")).status, 201);
      assert.equal((await post("bad")).status, 201);
      const shed = await post("good");
      assert.equal(shed.status, 429);
      assert.equal(shed.headers["retry-after"], "1");
      assert.equal(
        shed.body,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Too many requests, please try again later.","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429}\n',
      );
      // Another source, named by the front proxy alone, is not concerned.
      assert.equal((await post("good", "spoofed, 203.0.113.7")).status, 201);
      await limited.clock.advance(1000);
      assert.equal((await post("good")).status, 201);
    } finally {
      await limited.close();
    }
  });

  test("a slow authenticator leaves room for the others", async () => {
    const { promise: release, resolve } = Promise.withResolvers<void>();
    const shared = await startHarness({ limits: { ...testLimits, concurrentCreates: 4 } });
    try {
      let entered = 0;
      const { promise: full, resolve: fill } = Promise.withResolvers<void>();
      const identity: Identity = { username: "jane", groups: [], extra: {} };
      const jwt = { ...WEBHOOK, kind: "JWTAuthenticator" };
      shared.authenticators.set(JSON.stringify(Object.values(WEBHOOK)), {
        authenticate: async () => {
          if (++entered === 2) {
            fill();
          }
          await release;
          return identity;
        },
        close: () => {},
      });
      shared.authenticators.set(JSON.stringify(Object.values(jwt)), {
        authenticate: async () => identity,
        close: () => {},
      });
      const slow = [1, 2].map(() => shared.call(create({ token: "t", authenticator: WEBHOOK })));
      await full;
      assert.equal((await shared.call(create({ token: "t", authenticator: WEBHOOK }))).status, 429);
      assert.equal((await shared.call(create({ token: "t", authenticator: jwt }))).status, 201);
      resolve();
      for (const answer of await Promise.all(slow)) {
        assert.equal(answer.status, 201);
      }
      assert.equal((await shared.call(create({ token: "t", authenticator: WEBHOOK }))).status, 201);
    } finally {
      await shared.close();
    }
  });

  test("creates above the limit are shed at once, and room comes back", async () => {
    const { promise: release, resolve } = Promise.withResolvers<void>();
    const limited = await startHarness({
      limits: {
        failuresPerSource: { perSecond: 20, burst: 200 },
        failuresPerAuthenticator: { perSecond: 200, burst: 200 },
        tokenReviewsPerSource: { perSecond: 50, burst: 50 },
        tokenReviews: { perSecond: 200, burst: 200 },
        concurrentCreates: 1,
      },
    });
    try {
      const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
      limited.authenticators.set(JSON.stringify(Object.values(WEBHOOK)), {
        authenticate: async () => {
          enter();
          await release;
          return { username: "jane", groups: [], extra: {} };
        },
        close: () => {},
      });
      const first = limited.call(create({ token: "t", authenticator: WEBHOOK }));
      await entered;
      assert.equal((await limited.call(create({ token: "t", authenticator: WEBHOOK }))).status, 429);
      resolve();
      assert.equal((await first).status, 201);
      assert.equal((await limited.call(create({ token: "t", authenticator: WEBHOOK }))).status, 201);
    } finally {
      await limited.close();
    }
  });

  test("a create that takes 34 seconds ends with 504 and its authenticator is told", async () => {
    const slow = await startHarness();
    try {
      const { promise: entered, resolve: enter } = Promise.withResolvers<AbortSignal>();
      slow.authenticators.set(JSON.stringify(Object.values(WEBHOOK)), {
        authenticate: (_token, signal) => {
          enter(signal);
          return new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(new Error("context deadline exceeded")), {
              once: true,
            });
          });
        },
        close: () => {},
      });
      const answer = slow.call(create({ token: "t", authenticator: WEBHOOK }));
      const signal = await entered;
      await slow.clock.advance(33_999);
      assert.equal(signal.aborted, false);
      await slow.clock.advance(1);
      assert.equal(signal.aborted, true);
      const { status, body } = await answer;
      assert.equal(status, 504);
      assert.match(body, /"reason":"Timeout"/);
    } finally {
      await slow.close();
    }
  });
});
