import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { LanyardError } from "../../errors.ts";
import { issueServingCertificate } from "../../pki/certificate-authority.ts";
import {
  certificateBelowIntermediate,
  startHarness,
  testAuthority,
  testClientCertificate,
  WHO_AM_I,
} from "./testing/harness.ts";
import type { CallOptions, Harness, TestClientCertificate } from "./testing/harness.ts";

const UNAUTHORIZED =
  '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}\n';

let harness: Harness;
let tokensSeen: string[];
before(async () => {
  harness = await startHarness({
    authenticateToken: async (token) => {
      tokensSeen.push(token);
      if (token === "broken") {
        throw new Error("no answer");
      }
      return token === "good" ? { username: "token-user", uid: "7", groups: ["g"], extra: {} } : undefined;
    },
  });
});
after(() => harness.close());
beforeEach(() => {
  tokensSeen = [];
  harness.asked.length = 0;
});

const whoAmI = (certificate?: TestClientCertificate, headers: readonly string[] = []): CallOptions => ({
  method: "POST",
  path: WHO_AM_I,
  certificate,
  headers: ["Content-Type", "application/json", ...headers],
  body: "{}",
});
async function userOf(options: CallOptions): Promise<{ username: string; groups?: string[]; uid?: string }> {
  const answer = await harness.call(options);
  assert.equal(answer.status, 201, answer.body);
  return JSON.parse(answer.body).status.kubernetesUserInfo.user;
}
async function refused(options: CallOptions): Promise<void> {
  const before = harness.asked.length;
  const answer = await harness.call(options);
  assert.equal(answer.status, 401, answer.body);
  assert.equal(answer.body, UNAUTHORIZED);
  assert.equal(harness.asked.length, before, "no authorizer may be asked about an unauthenticated request");
}
const asAdmin = ["X-Remote-User", "admin", "X-Remote-Group", "system:masters"];

describe("front proxy", () => {
  test("A4: headers without a certificate mean nothing", async () => {
    assert.equal((await userOf(whoAmI(undefined, asAdmin))).username, "system:anonymous");
  });

  test("T12: a client-CA certificate cannot speak for others, a front proxy's is no user", async () => {
    const client = await testClientCertificate(harness.clientAuthority, "front-proxy-client");
    assert.equal((await userOf(whoAmI(client, asAdmin))).username, "front-proxy-client");
    await refused(whoAmI(harness.frontProxy));
  });

  test("A1: wrong CA, wrong name, expired, not yet valid, wrong usage", async () => {
    const hour = 3_600_000;
    const other = await testAuthority("front-proxy-ca");
    await refused(whoAmI(await testClientCertificate(other, "front-proxy-client"), asAdmin));
    await refused(whoAmI(await testClientCertificate(harness.frontProxyAuthority, "someone"), asAdmin));
    await refused(
      whoAmI(
        await testClientCertificate(harness.frontProxyAuthority, "front-proxy-client", [], {
          notAfter: new Date(harness.clock.now() - 1000),
        }),
        asAdmin,
      ),
    );
    await refused(
      whoAmI(
        await testClientCertificate(harness.frontProxyAuthority, "front-proxy-client", [], {
          notBefore: new Date(harness.clock.now() + hour / 2),
        }),
        asAdmin,
      ),
    );
    const serverOnly = await issueServingCertificate(harness.frontProxyAuthority, {
      dnsNames: ["x"],
      ipAddresses: [],
      notBefore: new Date(harness.clock.now() - hour),
      notAfter: new Date(harness.clock.now() + hour),
    });
    const configured = harness.requestHeader.current;
    assert.ok(configured);
    harness.requestHeader.set({ ...configured, allowedNames: [] });
    await refused(
      whoAmI({ cert: serverOnly.certificatePem, key: serverOnly.privateKeyPem, sha256Hex: "" }, asAdmin),
    );
    const anyName = await testClientCertificate(harness.frontProxyAuthority, "someone");
    assert.equal((await userOf(whoAmI(anyName, asAdmin))).username, "admin");
    harness.requestHeader.set(configured);
    await refused(whoAmI(anyName, asAdmin));
  });

  test("A1: renamed headers count, the default names do not", async () => {
    const configured = harness.requestHeader.current;
    assert.ok(configured);
    harness.requestHeader.set({
      ...configured,
      usernameHeaders: ["x-user", "x-other-user"],
      groupHeaders: ["x-group"],
      extraHeaderPrefixes: ["x-extra-"],
      uidHeaders: [],
    });
    try {
      const user = await userOf(
        whoAmI(harness.frontProxy, [
          ...asAdmin,
          "X-Remote-Uid",
          "1",
          "X-Other-User",
          "jane",
          "X-Group",
          "ops",
        ]),
      );
      assert.deepEqual(user, { username: "jane", groups: ["ops", "system:authenticated"] });
    } finally {
      harness.requestHeader.set(configured);
    }
  });

  test("A2: a rotated CA counts at the next request of an open connection", async () => {
    const configured = harness.requestHeader.current;
    assert.ok(configured);
    const connection = harness.keepAlive({ path: "", certificate: harness.frontProxy });
    const next = await testAuthority("next");
    try {
      assert.equal((await connection.call(whoAmI(undefined, asAdmin))).status, 201);
      harness.requestHeader.set({ ...configured, clientCaPem: next.certificatePem });
      assert.equal((await connection.call(whoAmI(undefined, asAdmin))).status, 401);
      harness.requestHeader.set({ ...configured, clientCaPem: next.certificatePem + configured.clientCaPem });
      assert.equal((await connection.call(whoAmI(undefined, asAdmin))).status, 201);
    } finally {
      connection.close();
      harness.requestHeader.set(configured);
    }
  });

  test("H5: bytes that are not UTF-8 are a 400", async () => {
    const answer = await harness.call(whoAmI(harness.frontProxy, ["X-Remote-User", "a\xffb"]));
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.body).reason, "BadRequest");
    assert.deepEqual(harness.asked, []);
  });

  test("H6: 2,000 groups pass, and stay apart", async () => {
    const groups = Array.from(
      { length: 2000 },
      (_, index) => `department-${index}/team with, comma ${index}`,
    );
    const user = await userOf(
      whoAmI(harness.frontProxy, [
        "X-Remote-User",
        "jane",
        ...groups.flatMap((group) => ["X-Remote-Group", group]),
      ]),
    );
    assert.deepEqual(user.groups, [...groups, "system:authenticated"]);
  });

  test("keys such as __proto__ are data", async () => {
    const answer = await harness.call(
      whoAmI(harness.frontProxy, ["X-Remote-User", "jane", "X-Remote-Extra-__proto__", "v"]),
    );
    assert.ok(answer.body.includes('"extra":{"__proto__":["v"]}'), answer.body);
  });
});

describe("client certificates", () => {
  test("T2: one that expires on an open connection is refused from then on", async () => {
    const certificate = await testClientCertificate(harness.clientAuthority, "jane", [], {
      notAfter: new Date(harness.clock.now() + 60_000),
    });
    const connection = harness.keepAlive({ path: "", certificate });
    try {
      assert.equal((await connection.call(whoAmI())).status, 201);
      await harness.clock.advance(62_000);
      const answer = await connection.call(whoAmI());
      assert.equal(answer.status, 401);
      assert.equal(answer.body, UNAUTHORIZED);
    } finally {
      connection.close();
    }
  });

  test("another CA's certificate is a 401, even for what anybody may see", async () => {
    const other = await testAuthority("cluster-ca");
    await refused(whoAmI(await testClientCertificate(other, "jane")));
  });
});

describe("intermediates", () => {
  test("a chain through an intermediate that the peer sends is followed; without it, it is not", async () => {
    const leaf = await certificateBelowIntermediate(harness.clientAuthority, "jane");
    await refused(whoAmI(leaf));
    assert.equal((await userOf(whoAmI({ ...leaf, cert: leaf.cert + leaf.intermediate }))).username, "jane");
  });
});

describe("bearer tokens", () => {
  test("good, bad, and no answer", async () => {
    assert.deepEqual(await userOf(whoAmI(undefined, ["Authorization", "bearer good"])), {
      username: "token-user",
      uid: "7",
      groups: ["g", "system:authenticated"],
    });
    harness.asked.length = 0;
    await refused(whoAmI(undefined, ["Authorization", "Bearer bad"]));
    await refused(whoAmI(undefined, ["Authorization", "Bearer broken"]));
  });

  test("another scheme and an empty token are nothing presented", async () => {
    assert.equal(
      (await userOf(whoAmI(undefined, ["Authorization", "Basic Zm9vOmJhcg=="]))).username,
      "system:anonymous",
    );
    assert.equal(
      (await userOf(whoAmI(undefined, ["Authorization", "Bearer "]))).username,
      "system:anonymous",
    );
    assert.deepEqual(tokensSeen, []);
  });

  test("a certificate wins over a token; a bad certificate does not spoil a good token", async () => {
    const jane = await testClientCertificate(harness.clientAuthority, "jane");
    assert.equal((await userOf(whoAmI(jane, ["Authorization", "Bearer bad"]))).username, "jane");
    const other = await testAuthority("cluster-ca");
    const stranger = await testClientCertificate(other, "stranger");
    assert.equal((await userOf(whoAmI(stranger, ["Authorization", "Bearer good"]))).username, "token-user");
  });

  test("H4: two Authorization headers are a 400", async () => {
    const answer = await harness.call(
      whoAmI(undefined, ["Authorization", "Bearer good", "Authorization", "Bearer bad"]),
    );
    assert.equal(answer.status, 400);
    assert.deepEqual(tokensSeen, []);
  });

  test("impersonation headers are refused, not ignored", async () => {
    const jane = await testClientCertificate(harness.clientAuthority, "jane");
    const answer = await harness.call(whoAmI(jane, ["Impersonate-User", "bob"]));
    assert.equal(answer.status, 400);
    assert.deepEqual(harness.asked, []);
  });
});

describe("authorization", () => {
  test("refusals have the API server's words; failures of the authorizer are a 500", async () => {
    const strict = await startHarness({
      authorize: (_user, attributes) => {
        if (attributes.kind === "path" && attributes.path === "/version") {
          throw new LanyardError({ code: "kubernetes.unreachable", message: "webhook <gone>" });
        }
        return { allowed: false, reason: attributes.kind === "path" ? "" : "no & never" };
      },
    });
    try {
      const path = await strict.call({ path: "/metrics" });
      assert.equal(path.status, 403);
      assert.equal(
        path.body,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \\"system:anonymous\\" cannot get path \\"/metrics\\"","reason":"Forbidden","details":{},"code":403}\n',
      );
      const create = await strict.call({ method: "POST", path: WHO_AM_I, body: "{}" });
      assert.equal(
        create.body,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"whoamirequests.identity.concierge.pinniped.dev is forbidden: User \\"system:anonymous\\" cannot create resource \\"whoamirequests\\" in API group \\"identity.concierge.pinniped.dev\\" at the cluster scope: no \\u0026 never","reason":"Forbidden","details":{"group":"identity.concierge.pinniped.dev","kind":"whoamirequests"},"code":403}\n',
      );
      const broken = await strict.call({ path: "/version" });
      assert.equal(broken.status, 500);
      assert.equal(broken.body, 'Internal Server Error: "/version": webhook &lt;gone&gt;\n');
    } finally {
      await strict.close();
    }
  });
});

test("an inbound audit ID is kept, cut to 64 characters, and comes back once", async () => {
  const given = await harness.call({ path: "/healthz", headers: ["Audit-ID", "x".repeat(80)] });
  assert.deepEqual(given.rawHeaders.filter((name) => name.toLowerCase() === "audit-id").length, 1);
  assert.equal(given.headers["audit-id"], "x".repeat(64));
  const made = await harness.call({ path: "/healthz", headers: ["Audit-ID", "\xe9"] });
  assert.match(String(made.headers["audit-id"]), /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
});
