import assert from "node:assert/strict";
import { test } from "node:test";
import { hostnameOf, parseGoUrl, portOf } from "./go-url.ts";

// Each text is what `net/url` of Go 1.26 answered.
const refusals: readonly (readonly [string, string])[] = [
  ["https://a\u0001b", 'parse "https://a\\x01b": net/url: invalid control character in URL'],
  ["https://a\n", 'parse "https://a\\n": net/url: invalid control character in URL'],
  ["://a", 'parse "://a": missing protocol scheme'],
  ["1a:b", 'parse "1a:b": first path segment in URL cannot contain colon'],
  ["https://a:x", 'parse "https://a:x": invalid port ":x" after host'],
  ["https://a:1:2", 'parse "https://a:1:2": invalid port ":1:2" after host'],
  ["https://a b/", 'parse "https://a b/": invalid character " " in host name'],
  ["https://a\\b/", 'parse "https://a\\\\b/": invalid character "\\\\" in host name'],
  ["https://a/%zz", 'parse "https://a/%zz": invalid URL escape "%zz"'],
  ["https://a/%2", 'parse "https://a/%2": invalid URL escape "%2"'],
  ["https://a%20b", 'parse "https://a%20b": invalid URL escape "%20"'],
  ["https://[::1", "parse \"https://[::1\": missing ']' in host"],
  ["https://a[::1]", 'parse "https://a[::1]": invalid IP-literal'],
  ["https://[1.2.3.4]", 'parse "https://[1.2.3.4]": invalid IP-literal'],
  ["https://u\u00e9@a", 'parse "https://u\u00e9@a": net/url: invalid userinfo'],
  ["https://a/%z\u{1f600}", 'parse "https://a/%z\u{1f600}": invalid URL escape "%z\\xf0"'],
  ["https://a/#%zz", 'parse "https://a/#%zz": invalid URL escape "%zz"'],
  ["https://a:x#f", 'parse "https://a:x": invalid port ":x" after host'],
];

test("addresses are refused with Go's texts", () => {
  for (const [text, error] of refusals) {
    assert.deepEqual(parseGoUrl(text), { error }, text);
  }
});

test("addresses are taken apart as Go does", () => {
  const { url } = parseGoUrl("HTTPS://u:p@[::1]:8443/a%2Fb/c?q=1?#f%20g");
  assert.deepEqual(url, {
    scheme: "https",
    opaque: "",
    userinfo: "u:p",
    host: "[::1]:8443",
    path: "/a/b/c",
    rawPath: "/a%2Fb/c",
    rawQuery: "q=1?",
    fragment: "f g",
  });
  assert.equal(hostnameOf("[::1]:8443"), "::1");
  assert.equal(portOf("[::1]:8443"), "8443");
  assert.equal(parseGoUrl("https://a?").url?.rawQuery, "");
  assert.equal(parseGoUrl("https:a/b").url?.opaque, "a/b");
});
