import assert from "node:assert/strict";
import { test } from "node:test";
import { createHolder } from "../../state/holder.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import type { ProxySettings } from "../../state/proxy.ts";
import { whileProxyRuns } from "./running-proxy-key.ts";

test("the signer has its key only while the proxy is supposed to run (2.4)", () => {
  const proxySettings = createHolder<ProxySettings | undefined>(undefined);
  const proxySigningKey = createHolder<KeyPair | undefined>(undefined);
  const key = whileProxyRuns({ proxySettings, proxySigningKey });
  const heard: (KeyPair | undefined)[] = [];
  const stop = key.subscribe((pair) => heard.push(pair));
  const first = { certificatePem: "1", privateKeyPem: "1" };
  const second = { certificatePem: "2", privateKeyPem: "2" };

  proxySigningKey.set(first);
  assert.equal(key.current, undefined);
  proxySettings.set({ port: 8444 });
  assert.equal(key.current, first);
  proxySettings.set({ port: 8444 });
  proxySigningKey.set(second);
  proxySettings.set(undefined);
  assert.equal(key.current, undefined);
  assert.deepEqual(heard, [first, second, undefined], "told of what changes, and of nothing else");
  stop();
  proxySettings.set({ port: 8444 });
  assert.equal(heard.length, 3);
});
