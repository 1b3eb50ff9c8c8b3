import assert from "node:assert/strict";
import { test } from "node:test";
import { identityFromClaims } from "./claims-mapping.ts";
import { compileClaimsMapping, usesClaimExpressions } from "./compile-claims-mapping.ts";
import type { ClaimsMappingSpec } from "./compile-claims-mapping.ts";
import type { Identity } from "./identity.ts";

const options = { reservedDomains: ["pinniped.dev"] };

function login(spec: ClaimsMappingSpec, claims: Readonly<Record<string, unknown>>): Identity {
  const { rules, problems } = compileClaimsMapping(spec, options);
  assert.ok(rules !== undefined, String(problems));
  return identityFromClaims(claims, rules);
}

const problemsOf = (spec: ClaimsMappingSpec): readonly string[] =>
  compileClaimsMapping(spec, options).problems ?? [];

test("expressions over claims give username and groups", () => {
  const spec: ClaimsMappingSpec = {
    claims: {
      usernameExpression: '"oidc:" + claims.sub',
      groupsExpression: "claims.roles.filter(r, r != 'guest')",
    },
  };
  assert.deepEqual(login(spec, { sub: "jane", roles: ["ops", "guest"], jti: "1" }), {
    username: "oidc:jane",
    groups: ["ops"],
    extra: { "authentication.kubernetes.io/credential-id": ["JTI=1"] },
  });
});

test("groups may be one string, a list, null or empty strings, as in Kubernetes", () => {
  const spec = { claims: { groupsExpression: "claims.roles" } };
  for (const [roles, groups] of [
    ["ops", ["ops"]],
    ["", []],
    [null, []],
    [[], []],
    [
      ["a", "", "b"],
      ["a", "b"],
    ],
  ] as const) {
    assert.deepEqual(login(spec, { username: "jane", roles }).groups, groups, JSON.stringify(roles));
  }
  for (const roles of [1, true, {}, [1], ["a", null], [["a"]]]) {
    assert.throws(() => login(spec, { username: "jane", roles }), {
      name: "ClaimsRefusal",
      message: "oidc: the groups expression did not return a string or a list of strings",
    });
  }
});

test("a missing claim is an error, and optional syntax is the way round it", () => {
  const strict = { claims: { groupsExpression: "claims.roles" } };
  assert.throws(() => login(strict, { username: "jane" }), {
    message: "oidc: error evaluating the groups expression: no such key: roles",
  });
  const lenient = { claims: { groupsExpression: 'claims.?roles.orValue(["none"])' } };
  assert.deepEqual(login(lenient, { username: "jane" }).groups, ["none"]);
  assert.deepEqual(login(lenient, { username: "jane", roles: null }).groups, []);
});

test("a username is a string and not empty", () => {
  const spec = { claims: { usernameExpression: "claims.name" } };
  assert.equal(login(spec, { name: " " }).username, " ");
  assert.throws(() => login(spec, { name: "" }), /oidc: the username expression returned an empty username/);
  for (const name of [null, 1, ["jane"], {}, true]) {
    assert.throws(() => login(spec, { name }), /oidc: the username expression did not return a string/);
  }
});

test("extras keep their values, and leave with them", () => {
  const spec = {
    claims: {
      extra: [
        { key: "example.com/team", valueExpression: "claims.team" },
        { key: "example.com/roles", valueExpression: "claims.roles" },
      ],
    },
  };
  const roles = ["a", "b"];
  assert.deepEqual(login(spec, { username: "jane", team: "blue", roles }).extra, {
    "example.com/team": ["blue"],
    "example.com/roles": roles,
  });
  assert.deepEqual(login(spec, { username: "jane", team: "", roles: null }).extra, {});
});

test("claim rules: one value, or an expression with a message", () => {
  const spec = {
    claimValidationRules: [
      { claim: "hd", requiredValue: "example.com" },
      { expression: "claims.level > 2", message: "not high enough" },
      { expression: "claims.level < 9" },
    ],
  };
  assert.equal(login(spec, { username: "jane", hd: "example.com", level: 3 }).username, "jane");
  const refusal = (claims: object, message: string): void => {
    assert.throws(() => login(spec, { username: "jane", hd: "example.com", level: 3, ...claims }), {
      message,
    });
  };
  refusal({ hd: "evil.example" }, 'oidc: the claim "hd" does not have the required value');
  refusal({ hd: undefined }, 'oidc: the claim "hd" is missing');
  refusal({ hd: ["example.com"] }, 'oidc: the claim "hd" does not have the required value');
  refusal({ level: 1 }, "oidc: claim validation rule: not high enough");
  refusal({ level: 9 }, "oidc: claim validation rule is not true: claims.level < 9");
});

test("user rules see the mapped user", () => {
  const spec = {
    claims: { extra: [{ key: "example.com/team", valueExpression: "claims.team" }] },
    userValidationRules: [
      { expression: "!user.username.startsWith('system:')", message: "reserved" },
      { expression: "user.groups.all(g, g != 'root') && user.uid == ''" },
      { expression: "user.extra['example.com/team'] == ['blue']" },
    ],
  };
  assert.equal(login(spec, { username: "jane", team: "blue" }).username, "jane");
  assert.throws(() => login(spec, { username: "system:x", team: "blue" }), /user validation rule: reserved/);
  assert.throws(() => login(spec, { username: "jane", groups: ["root"], team: "blue" }), /is not true: user/);
  assert.throws(() => login(spec, { username: "jane", team: "red" }), /is not true: user/);
});

test("what is wrong is said before anybody logs in, with the path of the field", () => {
  const type = (expected: string, found: string): string =>
    `CEL expression should return type "${expected}" but returns type "${found}"`;
  const rows: readonly (readonly [ClaimsMappingSpec, string])[] = [
    [
      { claims: { usernameExpression: "1 + 1" } },
      `.spec.claims.usernameExpression was invalid:\n${type("string", "int")}`,
    ],
    [
      { claims: { usernameExpression: "['a']" } },
      `.spec.claims.usernameExpression was invalid:\n${type("string", "list(string)")}`,
    ],
    [
      { claims: { usernameExpression: " " } },
      ".spec.claims.usernameExpression was invalid:\ncannot compile empty CEL expression",
    ],
    [
      { claims: { usernameExpression: "user.username" } },
      ".spec.claims.usernameExpression was invalid:\nCEL expression compile error: ERROR: <input>:1:1: undeclared reference to 'user' (in container '')\n | user.username\n | ^",
    ],
    [
      { claims: { groupsExpression: "[1]" } },
      `.spec.claims.groupsExpression was invalid:\n${type("string or list(string)", "list(int)")}`,
    ],
    [
      { claims: { extra: [{ key: "a.b/c", valueExpression: "true" }] } },
      `.spec.claims.extra[0].valueExpression was invalid:\n${type("string or list(string)", "bool")}`,
    ],
    [
      { claimValidationRules: [{ claim: "x" }, { expression: "claims.x" }] },
      `.spec.claimValidationRules[1].expression was invalid:\n${type("bool", "dyn")}`,
    ],
    [
      { userValidationRules: [{ expression: "user.username" }] },
      `.spec.userValidationRules[0].expression was invalid:\n${type("bool", "string")}`,
    ],
    [
      { claims: { username: "a", usernameExpression: "claims.a" } },
      ".spec.claims: username and usernameExpression cannot both be set",
    ],
    [
      { claimValidationRules: [{ claim: "a", expression: "true" }] },
      ".spec.claimValidationRules[0]: exactly one of claim and expression must be set",
    ],
  ];
  for (const [spec, problem] of rows) {
    assert.deepEqual(problemsOf(spec), [problem]);
    assert.ok(usesClaimExpressions(spec));
  }
  assert.equal(problemsOf({ userValidationRules: [{ expression: "user.nickname == 'a'" }] }).length, 1);
  assert.equal(usesClaimExpressions({ claims: { username: "a", groups: "b" } }), false);
});

test("S3: extra keys", () => {
  const fault = (key: string): string | undefined =>
    problemsOf({ claims: { extra: [{ key, valueExpression: "'x'" }] } })[0];
  for (const key of [
    "example.com/a",
    "a.b.c/d/e.f",
    "example.com/a%20b",
    "notk8s.io/a",
    "mypinniped.dev/x",
  ]) {
    assert.equal(fault(key), undefined, key);
  }
  for (const key of [
    "",
    "team",
    "/team",
    "example.com/",
    "Example.com/a",
    "example.com/A",
    "exa mple.com/a",
    "-a.com/b",
    "a..b/c",
    "example.com/a b",
    "kubernetes.io/a",
    "authentication.kubernetes.io/credential-id",
    "k8s.io/a",
    "x.k8s.io/a",
    "pinniped.dev/a",
    "authentication.concierge.pinniped.dev/a",
  ]) {
    assert.match(fault(key) ?? "", /^\.spec\.claims\.extra\[0\]\.key /, key);
  }
  const twice = [
    { key: "a.b/c", valueExpression: "'x'" },
    { key: "a.b/c", valueExpression: "'y'" },
  ];
  assert.deepEqual(problemsOf({ claims: { extra: twice } }), [".spec.claims.extra[1].key is given twice"]);
});

test("S3: claims.email needs claims.email_verified", () => {
  const usernameExpression = "claims.email";
  assert.match(
    problemsOf({ claims: { usernameExpression } })[0] ?? "",
    /claims\.email_verified must be used/,
  );
  for (const expression of [
    'claims["email"]',
    'claims["e" + "mail"]',
    "has(claims.email) ? claims.email : 'x'",
    "claims.?email.orValue('')",
  ]) {
    assert.equal(problemsOf({ claims: { usernameExpression: expression } }).length, 1, expression);
  }
  const verified = "claims.email_verified == true";
  const good: readonly ClaimsMappingSpec[] = [
    { claims: { usernameExpression: "claims.email_verified ? claims.email : claims.sub" } },
    { claims: { usernameExpression }, claimValidationRules: [{ expression: verified }] },
    {
      claims: {
        usernameExpression,
        extra: [{ key: "a.b/c", valueExpression: "string(claims.email_verified)" }],
      },
    },
    { claims: { usernameExpression: "claims.emailaddress" } },
    { claims: { groupsExpression: "claims.email" } },
  ];
  for (const spec of good) {
    assert.deepEqual(problemsOf(spec), []);
  }
  const optional = "claims.?email_verified.orValue(true) == true";
  const spec = { claims: { usernameExpression }, claimValidationRules: [{ expression: optional }] };
  assert.equal(login(spec, { email: "a@b" }).username, "a@b");
  assert.throws(() => login(spec, { email: "a@b", email_verified: false }), /claim validation rule/);
});

test("no message holds a claim's value", () => {
  const secret = "secret-value";
  const spec = {
    claims: { usernameExpression: "claims.name" },
    claimValidationRules: [{ claim: "hd", requiredValue: "x" }, { expression: "claims.name == 'x'" }],
  };
  for (const claims of [{ name: [secret] }, { name: secret, hd: secret }, { name: secret, hd: "x" }]) {
    assert.throws(
      () => login(spec, claims),
      (error: Error) => !error.message.includes(secret),
    );
  }
});
