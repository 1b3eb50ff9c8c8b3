import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import type { KubernetesRequest, KubernetesResponse } from "../../kube/kubernetes-client.ts";
import type { Logger } from "../../telemetry/log.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { ProxyToken } from "../state/concierge-state.ts";
import { createHolder } from "../state/holder.ts";
import { createImpersonationProxyTokens } from "./impersonation-proxy-tokens.ts";

const DAY = 86_400_000;

function start(answer: (call: number, now: number) => KubernetesResponse, log: Logger = silentLogger) {
  const clock = createManualClock();
  const holder = createHolder<ProxyToken | undefined>(undefined);
  const asked: { request: KubernetesRequest; at: number }[] = [];
  const stopping = new AbortController();
  const tokens = createImpersonationProxyTokens({
    client: {
      raw: async (request) => {
        asked.push({ request, at: clock.now() });
        return answer(asked.length, clock.now());
      },
    },
    clock,
    log,
    holder,
    namespace: "concierge",
    serviceAccountName: "proxy",
  });
  const running = tokens.run(stopping.signal);
  return { clock, holder, asked, stop: () => stopping.abort(), running };
}

function granted(token: string, expiresAt: number): KubernetesResponse {
  const status = { token, expirationTimestamp: new Date(expiresAt).toISOString() };
  return { status: 201, headers: {}, text: JSON.stringify({ status }) };
}

test("asks for a day without an audience, and again after 4/5 of what is left (contract 6.9)", async () => {
  const run = start((call, now) => granted(`token-${call}`, now + DAY));
  await run.clock.advance(0);
  assert.equal(run.asked[0]?.request.path, "/api/v1/namespaces/concierge/serviceaccounts/proxy/token");
  const body = run.asked[0]?.request.body as { readonly spec: object } | undefined;
  assert.deepEqual(body?.spec, { audiences: [], expirationSeconds: 86_400 });
  assert.equal(run.holder.current?.token, "token-1");
  await run.clock.advance(DAY * 0.8 - 1_000);
  assert.equal(run.asked.length, 1);
  await run.clock.advance(2_000);
  assert.equal(run.holder.current?.token, "token-2");
  run.stop();
  await run.running;
});

test("retries for ever, from 10 ms doubling to 10 s, and keeps the token it has", async () => {
  const run = start((call, now) =>
    call === 1 ? granted("first", now + 1_000) : { status: 500, headers: {}, text: "" },
  );
  await run.clock.advance(120_000);
  const pauses = run.asked.slice(1).map(({ at }, index, all) => at - (all[index - 1]?.at ?? at));
  assert.deepEqual(pauses.slice(1, 5), [10, 20, 40, 80]);
  assert.equal(pauses.at(-1), 10_000);
  assert.equal(run.holder.current?.token, "first");
  run.stop();
  await run.running;
});

test("an answer that is no JSON is an error that does not quote it", async () => {
  const said: string[] = [];
  const log: Logger = {
    ...silentLogger,
    named: () => log,
    error: (message, error) => said.push(`${message} ${String(error)}`),
  };
  const run = start(() => ({ status: 201, headers: {}, text: '{"status":{"token":"s3cret-token' }), log);
  await run.clock.advance(1);
  assert.equal(said.length > 0, true);
  assert.doesNotMatch(said.join(), /s3cret/);
  run.stop();
  await run.running;
});
