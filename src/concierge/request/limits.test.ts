import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { goJson } from "../../go-json.ts";
import { goQuote } from "./go-quote.ts";
import { requestSource } from "./request-source.ts";
import { conflict, encodeStatus, forbidden, invalid, serviceUnavailable } from "./status.ts";
import { createTokenBuckets } from "./token-buckets.ts";

test("a bucket empties, fills with time, and never goes into debt", async () => {
  const clock = createManualClock();
  const buckets = createTokenBuckets({ clock, perSecond: 20, burst: 200 });
  for (let count = 0; count < 1000; count++) {
    buckets.charge("a");
  }
  assert.equal(buckets.waitSeconds("a"), 1);
  assert.equal(buckets.waitSeconds("b"), 0);
  await clock.advance(50);
  assert.equal(buckets.waitSeconds("a"), 0);
  buckets.charge("a");
  assert.equal(buckets.waitSeconds("a"), 1);
  await clock.advance(60_000);
  for (let count = 0; count < 200; count++) {
    assert.equal(buckets.waitSeconds("a"), 0);
    buckets.charge("a");
  }
  assert.equal(buckets.waitSeconds("a"), 1);
});

test("slow buckets say how long to wait", () => {
  const buckets = createTokenBuckets({ clock: createManualClock(), perSecond: 0.1, burst: 1 });
  buckets.charge("a");
  assert.equal(buckets.waitSeconds("a"), 10);
});

test("memory is bounded, the longest untouched key leaves", () => {
  const buckets = createTokenBuckets({ clock: createManualClock(), perSecond: 1, burst: 1, maximumKeys: 2 });
  buckets.charge("a");
  buckets.charge("b");
  buckets.charge("a");
  buckets.charge("c");
  assert.equal(buckets.waitSeconds("a"), 1);
  assert.equal(buckets.waitSeconds("b"), 0);
});

test("S18: the source of a request", () => {
  const own = (address: string): boolean => address === "10.0.0.9";
  const source = (hops: readonly string[], fromFrontProxy: boolean, peerAddress = "10.1.1.1") =>
    requestSource({
      rawHeaders: hops.flatMap((hop) => ["X-Forwarded-For", hop]),
      peerAddress,
      fromFrontProxy,
      isOwnPod: own,
    });
  assert.equal(source(["1.2.3.4"], false), "10.1.1.1");
  assert.equal(source(["6.6.6.6, 1.2.3.4"], true), "1.2.3.4");
  assert.equal(source(["6.6.6.6", "1.2.3.4"], true), "1.2.3.4");
  assert.equal(source(["6.6.6.6, 1.2.3.4, 10.0.0.9"], true), "1.2.3.4");
  assert.equal(source(["10.0.0.9"], true), "10.0.0.9");
  assert.equal(source([], true), "10.1.1.1");
  assert.equal(source(["not an address"], true), "10.1.1.1");
  assert.equal(source([], false, "::ffff:10.1.1.2"), "10.1.1.2");
  assert.equal(source(["2001:db8:0:1:aaaa::1"], true), "2001:db8:0:1::/64");
  assert.equal(source(["2001:db8:0:1:bbbb::2"], true), source(["2001:0db8::1:0:0:0:1"], true));
  assert.equal(source(["::1"], true), "0:0:0:0::/64");
});

test("Go's JSON and quotes", () => {
  assert.equal(goJson({ a: "<&>\u2028é" }), '{"a":"\\u003c\\u0026\\u003e\\u2028é"}');
  assert.equal(goQuote('a"\\\n\x00\x7f\u00a0\u200bé😀'), '"a\\"\\\\\\n\\x00\\x7f\\u00a0\\u200bé😀"');
});

test("statuses keep Go's key order", () => {
  const user = { username: "<j>", groups: [], extra: {} };
  assert.equal(
    encodeStatus(
      forbidden(
        user,
        {
          kind: "resource",
          verb: "get",
          group: "",
          version: "v1",
          resource: "pods",
          subresource: "log",
          namespace: "x",
          name: "p",
        },
        "r",
      ),
    ),
    '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \\"p\\" is forbidden: User \\"\\u0026lt;j\\u0026gt;\\" cannot get resource \\"pods/log\\" in API group \\"\\" in the namespace \\"x\\": r","reason":"Forbidden","details":{"name":"p","kind":"pods"},"code":403}\n',
  );
  assert.equal(
    conflict({ group: "g", resource: "things" }, "n", "changed").message,
    'Operation cannot be fulfilled on things.g "n": changed',
  );
  assert.equal(
    invalid({ group: "g", kind: "Thing" }, "n", [
      { type: "FieldValueRequired", body: "Required value", field: "a" },
      { type: "FieldValueInvalid", body: "Invalid value: 1", field: "b" },
    ]).message,
    'Thing.g "n" is invalid: [a: Required value, b: Invalid value: 1]',
  );
  assert.deepEqual(Object.keys(serviceUnavailable("x")), [
    "kind",
    "apiVersion",
    "metadata",
    "status",
    "message",
    "reason",
    "code",
  ]);
});
