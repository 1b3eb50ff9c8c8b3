import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { LOGIN, startHarness, WHO_AM_I } from "./testing/harness.ts";
import type { CallOptions, Harness } from "./testing/harness.ts";

const GROUP = "login.concierge.pinniped.dev";
let harness: Harness;
before(async () => {
  harness = await startHarness();
});
after(() => harness.close());
beforeEach(() => {
  harness.audit.length = 0;
});

const post = (body: string | Buffer, extra: Partial<CallOptions> = {}): CallOptions => ({
  method: "POST",
  path: LOGIN,
  headers: { "content-type": "application/json" },
  body,
  ...extra,
});
const message = (body: string): string => JSON.parse(body).message as string;

describe("list", () => {
  test("both collections are empty lists, byte for byte", async () => {
    assert.equal(
      (await harness.call({ path: LOGIN })).body,
      `{"kind":"TokenCredentialRequestList","apiVersion":"${GROUP}/v1alpha1","metadata":{"resourceVersion":"0"},"items":[]}\n`,
    );
    assert.equal(
      (await harness.call({ path: `${WHO_AM_I}?limit=500` })).body,
      '{"kind":"WhoAmIRequestList","apiVersion":"identity.concierge.pinniped.dev/v1alpha1","metadata":{"resourceVersion":"0"},"items":[]}\n',
    );
  });

  test("as a Table, as kubectl asks for it", async () => {
    const { body } = await harness.call({
      path: LOGIN,
      headers: {
        accept:
          "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
      },
    });
    const table = JSON.parse(body);
    assert.equal(table.kind, "Table");
    assert.equal(table.apiVersion, "meta.k8s.io/v1");
    assert.deepEqual(
      table.columnDefinitions.map(({ name }: { name: string }) => name),
      ["Name", "Created At"],
    );
    assert.deepEqual(table.rows, []);
    assert.equal(table.metadata.resourceVersion, "0");
  });

  test("protobuf first with JSON behind it is JSON; protobuf alone is 406", async () => {
    const both = await harness.call({
      path: LOGIN,
      headers: { accept: "application/vnd.kubernetes.protobuf, application/json" },
    });
    assert.equal(both.status, 200);
    assert.equal(both.headers["content-type"], "application/json");
    const only = await harness.call({
      path: LOGIN,
      headers: { accept: "application/vnd.kubernetes.protobuf" },
    });
    assert.equal(only.status, 406);
    assert.equal(
      only.body,
      '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"only the following media types are accepted: application/json, application/yaml","reason":"NotAcceptable","code":406}\n',
    );
  });

  test("YAML and indented JSON on request", async () => {
    const yaml = await harness.call({ path: LOGIN, headers: { accept: "application/yaml" } });
    assert.equal(
      yaml.body,
      `apiVersion: ${GROUP}/v1alpha1\nitems: []\nkind: TokenCredentialRequestList\nmetadata:\n  resourceVersion: "0"\n`,
    );
    const pretty = await harness.call({ path: `${LOGIN}?pretty=true` });
    assert.ok(pretty.body.startsWith('{\n  "kind": "TokenCredentialRequestList",\n'));
  });

  test("watching and other methods are 405, deeper paths 404, all as Status", async () => {
    const watch = await harness.call({ path: `${LOGIN}?watch=true` });
    assert.equal(watch.status, 405);
    assert.equal(
      message(watch.body),
      `watch is not supported on resources of kind "tokencredentialrequests.${GROUP}"`,
    );
    const remove = await harness.call({ method: "DELETE", path: LOGIN });
    assert.equal(remove.status, 405);
    assert.equal(
      remove.body,
      '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server does not allow this method on the requested resource","reason":"MethodNotAllowed","details":{},"code":405}\n',
    );
    for (const path of [
      `${LOGIN}/name`,
      `/apis/${GROUP}/v1alpha1/namespaces/x/tokencredentialrequests`,
      `/apis/${GROUP}/v2`,
    ]) {
      const missing = await harness.call({ path });
      assert.equal(missing.status, 404, path);
      assert.equal(
        missing.body,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}\n',
      );
    }
    const elsewhere = await harness.call({ path: "/nowhere" });
    assert.equal(elsewhere.status, 404);
    assert.equal(elsewhere.body, "404 page not found\n");
  });
});

describe("create", () => {
  test("YAML in, YAML out", async () => {
    const answer = await harness.call(
      post("spec:\n  token: t\n", {
        headers: { "content-type": "application/yaml; charset=utf-8", accept: "application/yaml" },
      }),
    );
    assert.equal(answer.status, 201);
    assert.equal(answer.headers["content-type"], "application/yaml");
    assert.match(answer.body, /^apiVersion: login[^]*status:\n {2}message: authentication failed\n$/);
  });

  test("another content type is 415, and garbage too", async () => {
    for (const contentType of ["text/plain", "application/vnd.kubernetes.protobuf", "nonsense"]) {
      const answer = await harness.call(post("{}", { headers: { "content-type": contentType } }));
      assert.equal(answer.status, 415, contentType);
      assert.equal(
        answer.body,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml","reason":"UnsupportedMediaType","code":415}\n',
      );
    }
    assert.equal((await harness.call(post('{"spec":{"token":"t"}}', { headers: {} }))).status, 201);
  });

  test("unknown fields warn, are ignored or refused, as asked", async () => {
    const body = '{"spec":{"token":"t","foo":1,"token":"u"},"bar":{"x":1},"metadata":{"nam\\u00e9":"x"}}';
    const warned = await harness.call(post(body));
    assert.equal(warned.status, 201);
    const warnings = warned.rawHeaders.flatMap((value, index) =>
      warned.rawHeaders[index - 1]?.toLowerCase() === "warning"
        ? [Buffer.from(value, "latin1").toString("utf8")]
        : [],
    );
    assert.deepEqual(warnings, [
      '299 - "unknown field \\"spec.foo\\""',
      '299 - "unknown field \\"bar\\""',
      '299 - "unknown field \\"metadata.namé\\""',
      '299 - "duplicate field \\"spec.token\\""',
    ]);
    const ignored = await harness.call(post(body, { path: `${LOGIN}?fieldValidation=Ignore` }));
    assert.equal(ignored.status, 201);
    assert.equal(ignored.headers["warning"], undefined);
    const refused = await harness.call(
      post('{"spec":{"foo":1}}', { path: `${LOGIN}?fieldValidation=Strict` }),
    );
    assert.equal(refused.status, 400);
    assert.equal(
      refused.body,
      '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"TokenCredentialRequest in version \\"v1alpha1\\" cannot be handled as a TokenCredentialRequest: strict decoding error: unknown field \\"spec.foo\\"","reason":"BadRequest","code":400}\n',
    );
    const unknown = await harness.call(post("{}", { path: `${LOGIN}?fieldValidation=strict` }));
    assert.equal(unknown.status, 422);
  });

  const refused: readonly [string, string, string | RegExp][] = [
    [
      "nothing",
      "",
      "the object provided is unrecognized (must be of type TokenCredentialRequest): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
    ],
    ["half", '{"spec":', /json parse error: unexpected end of JSON input \(\{"spec":\)$/],
    [
      "not JSON",
      "hello",
      /json parse error: invalid character 'h' looking for beginning of value \(68656c6c6f\)$/,
    ],
    ["a list", "[]", /json: cannot unmarshal array into Go value of type struct/],
    ["null", "null", /cannot unmarshal object into Go value/],
    [
      "a number as token",
      '{"spec":{"token":5}}',
      'TokenCredentialRequest in version "v1alpha1" cannot be handled as a TokenCredentialRequest: json: cannot unmarshal number into Go struct field TokenCredentialRequestSpec.spec.token of type string',
    ],
    [
      "a list as spec",
      '{"spec":[]}',
      'TokenCredentialRequest in version "v1alpha1" cannot be handled as a TokenCredentialRequest: json: cannot unmarshal array into Go struct field TokenCredentialRequest.spec of type struct',
    ],
    [
      "an unregistered kind",
      '{"kind":"Pod","apiVersion":"v1"}',
      'Pod in version "v1" cannot be handled as a TokenCredentialRequest: no kind "Pod" is registered for version "v1" in scheme "lanyard"',
    ],
    [
      "the other group's kind",
      '{"kind":"WhoAmIRequest","apiVersion":"identity.concierge.pinniped.dev/v1alpha1"}',
      "the API version in the data (identity.concierge.pinniped.dev/v1alpha1) does not match the expected API version (login.concierge.pinniped.dev/v1alpha1)",
    ],
    [
      "the list kind",
      `{"kind":"TokenCredentialRequestList","apiVersion":"${GROUP}/v1alpha1"}`,
      /^not a TokenCredentialRequest: /,
    ],
    [
      "markup in a kind",
      '{"kind":"<b>","apiVersion":"v1"}',
      '<b> in version "v1" cannot be handled as a TokenCredentialRequest: no kind "<b>" is registered for version "v1" in scheme "lanyard"',
    ],
  ];
  for (const [name, body, expected] of refused) {
    test(`400 for ${name}`, async () => {
      const answer = await harness.call(post(body));
      assert.equal(answer.status, 400, answer.body);
      if (typeof expected === "string") {
        assert.equal(message(answer.body), expected);
      } else {
        assert.match(message(answer.body), expected);
      }
      assert.equal(answer.body.includes("<b>"), false);
      assert.deepEqual(harness.audit, []);
    });
  }

  test("nesting too deep is a 400, not a crash", async () => {
    const deep = `{"spec":{"token":"t","x":"1","x":${"[".repeat(200_000)}${"]".repeat(200_000)}}}`;
    const answer = await harness.call(post(deep));
    assert.ok(answer.status === 400 || answer.status === 201, `${answer.status}`);
    assert.equal((await harness.call({ path: LOGIN })).status, 200);
  });

  test("a body over 3 MiB is 413: announced, or found out while reading", async () => {
    const big = Buffer.alloc(3 * 1024 * 1024 + 1, 0x20);
    const expected =
      '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Request entity too large: limit is 3145728","reason":"RequestEntityTooLarge","code":413}\n';
    const announced = await harness.raw(
      `POST ${LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${big.length}\r\n\r\n`,
    );
    assert.ok(announced.startsWith("HTTP/1.1 413 "), announced);
    assert.ok(announced.endsWith(expected), announced);
    const chunked = await harness.raw(
      Buffer.concat([
        Buffer.from(
          `POST ${LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${big.length.toString(16)}\r\n`,
        ),
        big,
      ]),
    );
    assert.ok(chunked.startsWith("HTTP/1.1 413 "), chunked.slice(0, 200));
    const fits = Buffer.concat([
      Buffer.from('{"spec":{"token":"t"}}'),
      Buffer.alloc(3 * 1024 * 1024 - 22, 0x20),
    ]);
    assert.equal((await harness.call(post(fits))).status, 201);
    const yaml = await harness.call(
      post(Buffer.alloc(300_000, 0x20), { headers: { "content-type": "application/yaml" } }),
    );
    assert.equal(yaml.status, 413);
  });
});
