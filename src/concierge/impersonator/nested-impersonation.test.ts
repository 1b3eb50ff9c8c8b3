import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BASE, PROXY_TOKEN } from "./testing/pipeline-harness.ts";
import { allow, bearer, deny, namesAndValues, UNABLE, usePipelineSuite } from "./testing/pipeline-suite.ts";

const suite = usePipelineSuite();

describe("nested impersonation (contract 7.4)", () => {
  const forbidden = (name: string, group: string, kind: string, sentence: string): string =>
    `${JSON.stringify({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: sentence,
      reason: "Forbidden",
      details: { name, ...(group === "" ? {} : { group }), kind },
      code: 403,
    })}\n`;
  const rows: readonly (readonly [string, readonly string[], string])[] = [
    [
      "users",
      ["Impersonate-User", "bob"],
      forbidden(
        "bob",
        "",
        "users",
        `users "bob" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope: ${BASE}`,
      ),
    ],
    [
      "serviceaccounts",
      ["Impersonate-User", "system:serviceaccount:kube-system:sa"],
      forbidden(
        "sa",
        "",
        "serviceaccounts",
        `serviceaccounts "sa" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "kube-system": ${BASE}`,
      ),
    ],
    [
      "groups",
      ["Impersonate-User", "bob", "Impersonate-Group", "admins"],
      forbidden(
        "admins",
        "",
        "groups",
        `groups "admins" is forbidden: User "alice" cannot impersonate resource "groups" in API group "" at the cluster scope: ${BASE}`,
      ),
    ],
    [
      "userextras",
      ["Impersonate-User", "bob", "Impersonate-Extra-Some%2FKey", "value"],
      forbidden(
        "value",
        "authentication.k8s.io",
        "userextras",
        `userextras.authentication.k8s.io "value" is forbidden: User "alice" cannot impersonate resource "userextras/some/key" in API group "authentication.k8s.io" at the cluster scope: ${BASE}`,
      ),
    ],
    [
      "uids",
      ["Impersonate-User", "bob", "Impersonate-Uid", "7"],
      forbidden(
        "7",
        "authentication.k8s.io",
        "uids",
        `uids.authentication.k8s.io "7" is forbidden: User "alice" cannot impersonate resource "uids" in API group "authentication.k8s.io" at the cluster scope: ${BASE}`,
      ),
    ],
  ];
  for (const [resource, headers, body] of rows) {
    test(`without the right to ${resource}`, async () => {
      suite.decide = (_user, attributes) =>
        attributes.kind === "resource" && attributes.resource === resource ? deny : allow;
      const refusal = await suite.world.refuse({ certificate: suite.alice, headers });
      assert.deepEqual([refusal.status, refusal.body], [403, body]);
      assert.ok(
        suite.world.asked.every(({ user }) => user.username === "alice"),
        "reviewed as the original user",
      );
    });
  }

  test("everything is asked in order, then the request as the final user", async () => {
    await suite.world.forward({
      certificate: suite.alice,
      headers: [
        ...["impersonate-group", "g1", "Impersonate-Extra-b", "2", "IMPERSONATE-USER", "bob"],
        ...["Impersonate-Group", "g2, g3", "Impersonate-Extra-a", "1", "Impersonate-Extra-b", "3"],
      ],
    });
    assert.deepEqual(
      suite.world.asked.map(({ user, attributes }) =>
        attributes.kind === "path"
          ? ""
          : [
              user.username,
              attributes.verb,
              attributes.group,
              attributes.version,
              attributes.resource,
              attributes.subresource,
              attributes.name,
            ].join("|"),
      ),
      [
        "alice|impersonate|||users||bob",
        "alice|impersonate|||groups||g1",
        "alice|impersonate|||groups||g2, g3",
        "alice|impersonate|authentication.k8s.io|v1|userextras|b|2",
        "alice|impersonate|authentication.k8s.io|v1|userextras|b|3",
        "alice|impersonate|authentication.k8s.io|v1|userextras|a|1",
        "bob|get||v1|pods||p",
      ],
    );
  });

  test("the original user goes along, nothing of it is inherited", async () => {
    suite.tokens.set("rich", {
      username: 'a<b>&"c"',
      groups: ["g"],
      extra: { z: ["1"], "10": ["2"], "9": ["3"] },
    });
    const { identityHeaders } = await suite.world.forward({
      headers: [...bearer("rich"), "Impersonate-User", "bob", "Impersonate-Extra-k", "v"],
    });
    assert.deepEqual(namesAndValues(identityHeaders), [
      `Authorization: Bearer ${PROXY_TOKEN}`,
      "Impersonate-User: bob",
      "Impersonate-Group: system:authenticated",
      "Impersonate-Extra-k: v",
      'Impersonate-Extra-original-user-info.impersonation-proxy.concierge.pinniped.dev: {"username":"a\\u003cb\\u003e\\u0026\\"c\\"","groups":["g","system:authenticated"],"extra":{"10":["2"],"9":["3"],"z":["1"]}}',
    ]);
  });

  const groupRows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    [
      "system:serviceaccount:ns:sa",
      [],
      ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
    ],
    ["system:serviceaccount:ns:sa", ["g"], ["g", "system:authenticated"]],
    ["system:serviceaccount:ns", [], ["system:authenticated"]],
    ["system:serviceaccount:NS:sa", [], ["system:authenticated"]],
    ["bob", ["system:authenticated", "g"], ["system:authenticated", "g"]],
    ["bob", ["system:unauthenticated"], ["system:unauthenticated"]],
    ["system:anonymous", [], ["system:unauthenticated"]],
    ["system:anonymous", ["system:unauthenticated"], ["system:unauthenticated"]],
  ];
  for (const [user, groups, expected] of groupRows) {
    test(`default groups of ${user} with ${JSON.stringify(groups)}`, async () => {
      const { identityHeaders } = await suite.world.forward({
        certificate: suite.alice,
        headers: ["Impersonate-User", user, ...groups.flatMap((group) => ["Impersonate-Group", group])],
      });
      const found = namesAndValues(identityHeaders).filter((line) => line.startsWith("Impersonate-Group: "));
      assert.deepEqual(
        found,
        expected.map((group) => `Impersonate-Group: ${group}`),
      );
      assert.equal(identityHeaders[1], `Bearer ${PROXY_TOKEN}`);
    });
  }

  test("without a user: 500 in plain text", async () => {
    const target = "/api/v1/namespaces/foo/secrets/bar";
    const refusal = await suite.world.refuse({
      certificate: suite.alice,
      target,
      headers: ["Impersonate-Uid", "some-awesome-uid"],
    });
    assert.deepEqual(refusal, {
      status: 500,
      headers: ["Content-Type", "text/plain; charset=utf-8"],
      body: `Internal Server Error: "${target}": requested [{UID  some-awesome-uid  authentication.k8s.io/v1  }] without impersonating a user\n`,
      closeConnection: false,
    });
    const several = await suite.world.refuse({
      certificate: suite.alice,
      headers: ["Impersonate-User", "", "Impersonate-Group", "<g>", "Impersonate-Extra-K", "v"],
    });
    assert.match(
      several.body,
      /requested \[\{Group {2}&lt;g&gt; {4}\} \{UserExtra {2}v {2}authentication\.k8s\.io\/v1 {2}k\}\] without/,
    );
    assert.deepEqual(suite.world.asked, []);
  });

  test("--as-uid is the 500 of the contract, after it was reviewed", async () => {
    const refusal = await suite.world.refuse({
      certificate: suite.alice,
      headers: ["Impersonate-User", "bob", "Impersonate-Uid", "7"],
    });
    assert.deepEqual([refusal.status, refusal.body], [500, UNABLE]);
    assert.equal(suite.world.asked.length, 3);
  });

  test("--as-uid of oneself does not go through with the own token either", async () => {
    suite.tokens.set("sa", { username: "sa", uid: "7", groups: [], extra: {} });
    const headers = [...bearer("sa"), "Impersonate-User", "sa", "Impersonate-Uid", "7"];
    assert.equal((await suite.world.refuse({ headers })).body, UNABLE);
  });

  for (const [headers, why] of [
    [["Impersonate-Foo", "x"], "an unknown one"],
    [["Impersonate-User", "bob", "Impersonate-Foo", "x"], "an unknown one beside a user"],
    [["Impersonate-User", ""], "an empty one"],
    [["Impersonateuser", "bob"], "without the dash"],
  ] as const) {
    test(`what is left of that prefix is refused: ${why}`, async () => {
      const refusal = await suite.world.refuse({ certificate: suite.alice, headers });
      assert.deepEqual(
        [refusal.status, refusal.body],
        [
          500,
          '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: invalid impersonation","reason":"InternalError","details":{"causes":[{"message":"invalid impersonation"}]},"code":500}\n',
        ],
      );
    });
  }

  for (const headers of [
    ["Impersonate-User", "bob", "Impersonate-Group", ""],
    ["Impersonate-User", " bob"],
    ["Impersonate-User", "bob", "Impersonate-Extra-a", "x\t"],
    ["Impersonate-User", "\xff"],
  ]) {
    test(`${JSON.stringify(headers)} is a 400, and nobody is asked`, async () => {
      assert.equal((await suite.world.refuse({ certificate: suite.alice, headers })).status, 400);
      assert.deepEqual(suite.world.asked, []);
    });
  }

  for (const key of ["K%41", "a%25b", "x.impersonation-proxy.concierge.pinniped.dev", "", "a%20b"]) {
    test(`the extra key ${JSON.stringify(key)} cannot be set`, async () => {
      const headers = ["Impersonate-User", "bob", `Impersonate-Extra-${key}`, "v"];
      const refusal = await suite.world.refuse({ certificate: suite.alice, headers });
      assert.deepEqual([refusal.status, refusal.body], [500, UNABLE]);
    });
  }

  test("no answer about an impersonation is a refusal (S4)", async () => {
    suite.decide = (_user, { verb }) => {
      if (verb === "impersonate") {
        throw new Error("no answer");
      }
      return allow;
    };
    const refusal = await suite.world.refuse({
      certificate: suite.alice,
      headers: ["Impersonate-User", "bob"],
    });
    assert.equal(refusal.status, 403);
    assert.match(
      refusal.body,
      /cannot impersonate resource \\"users\\" in API group \\"\\" at the cluster scope: decision made by/,
    );
  });
});
