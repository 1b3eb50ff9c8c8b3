import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEndpointAddress } from "./endpoint-address.ts";

const rows: readonly (readonly [string, ReturnType<typeof parseEndpointAddress>])[] = [
  ["example.com", { host: "example.com", port: 443 }],
  ["Example.COM:8443", { host: "Example.COM", port: 8443 }],
  ["10.0.0.1", { host: "10.0.0.1", port: 443 }],
  ["10.0.0.1:1", { host: "10.0.0.1", port: 1 }],
  ["::1", { host: "::1", port: 443 }],
  ["[::1]:65535", { host: "::1", port: 65535 }],
  ["example.com:0", { error: 'invalid port "0"' }],
  ["example.com:65536", { error: 'invalid port "65536"' }],
  ["example.com:http", { error: 'invalid port "http"' }],
  ["example.com:", { error: 'invalid port ""' }],
  ["", { error: 'host "" is not a valid hostname or IP address' }],
  ["a_b", { error: 'host "a_b" is not a valid hostname or IP address' }],
  ["-a", { error: 'host "-a" is not a valid hostname or IP address' }],
  ["a..b:1", { error: 'host "a..b" is not a valid hostname or IP address' }],
  ["a:b:c", { error: 'host "a:b:c" is not a valid hostname or IP address' }],
];

test("host and port are read as the contract says (5.3)", () => {
  for (const [text, expected] of rows) {
    assert.deepEqual(parseEndpointAddress(text, 443), expected, text);
  }
});
