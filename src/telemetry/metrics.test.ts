import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../clock.ts";
import { createMetrics } from "./metrics.ts";

test("counts into a registry of its own and shows ages at the time of the scrape", async () => {
  const clock = createManualClock();
  const version = { version: "1.2.3", gitCommit: "abc" };
  const metrics = createMetrics({ clock, version });
  const other = createMetrics({ clock, version });
  metrics.exchangeFinished("issued", 0.004);
  metrics.authenticatorCalled("WebhookAuthenticator", "rejected", 0.1);
  metrics.jwksFetched("my-jwt", true);
  metrics.jwksFetched("gone", true);
  metrics.jwksForgotten("gone");
  metrics.informers.seen("secrets", clock.now() - 1000);
  metrics.informers.watchEnded("secrets", "expired");
  metrics.leaderElection.setLeader(true);
  metrics.controllers.reconciled("certs-manager-controller", "success", 0.01);
  metrics.certificateLoaded("api_serving", new Date(1_800_000_000_500));
  metrics.certificateLoaded("proxy_signer", new Date(0));
  metrics.certificateLoaded("proxy_signer", undefined);
  await clock.advance(30_000);
  const { contentType, body } = await metrics.render();
  assert.match(contentType, /^text\/plain; version=/);
  for (const line of [
    'lanyard_concierge_exchanges_total{result="issued"} 1',
    'lanyard_concierge_exchanges_total{result="rate_limited"} 0',
    "lanyard_concierge_exchange_duration_seconds_count 1",
    'lanyard_concierge_authenticator_calls_total{kind="WebhookAuthenticator",result="rejected"} 1',
    'lanyard_concierge_jwks_age_seconds{authenticator="my-jwt"} 30',
    'lanyard_concierge_informer_last_event_age_seconds{resource="secrets"} 31',
    'lanyard_concierge_informer_reconnects_total{resource="secrets",reason="expired"} 1',
    "lanyard_concierge_leader 1",
    'lanyard_concierge_reconciles_total{controller="certs-manager-controller",result="success"} 1',
    'lanyard_concierge_certificate_not_after_timestamp_seconds{certificate="api_serving"} 1800000000',
    'lanyard_concierge_build_info{version="1.2.3",revision="abc"} 1',
  ]) {
    assert.ok(body.split("\n").includes(line), `${line} is missing in\n${body}`);
  }
  assert.doesNotMatch(body, /gone|proxy_signer/);
  assert.match(body, /^lanyard_concierge_event_loop_delay_seconds\{quantile="0.99"\} /m);
  assert.match(body, /^process_resident_memory_bytes /m);
  assert.doesNotMatch((await other.render()).body, /result="issued"\} 1/);
  metrics.close();
  other.close();
});

test("proxied requests count by closed sets, streams apart from the times of the others", async () => {
  const metrics = createMetrics({
    clock: createManualClock(),
    version: { version: "1.2.3", gitCommit: "abc" },
  });
  metrics.proxiedRequestFinished({ verb: "get", resource: "resource", code: 200 }, 0.01);
  metrics.proxiedRequestFinished({ verb: "watch", resource: "resource", code: undefined }, undefined);
  metrics.proxiedRequestFinished({ verb: "get", resource: "exec", code: 101 }, undefined);
  metrics.proxiedRequestFinished({ verb: "get", resource: "path", code: 999 }, 0.01);
  metrics.proxiedStreams(1);
  metrics.proxiedStreams(1);
  metrics.proxiedStreams(-1);
  metrics.proxiedStreamCut("deny_list");
  metrics.denyListRead(3, 1);
  const lines = (await metrics.render()).body.split("\n");
  for (const line of [
    'lanyard_concierge_proxied_requests_total{verb="get",resource="resource",code="2xx"} 1',
    'lanyard_concierge_proxied_requests_total{verb="watch",resource="resource",code="none"} 1',
    'lanyard_concierge_proxied_requests_total{verb="get",resource="exec",code="1xx"} 1',
    'lanyard_concierge_proxied_requests_total{verb="get",resource="path",code="none"} 1',
    'lanyard_concierge_proxied_request_duration_seconds_count{verb="get"} 2',
    "lanyard_concierge_proxied_streams 1",
    'lanyard_concierge_proxied_stream_cuts_total{reason="deny_list"} 1',
    'lanyard_concierge_proxied_stream_cuts_total{reason="access"} 0',
    "lanyard_concierge_deny_list_entries 3",
    "lanyard_concierge_deny_list_problems 1",
  ]) {
    assert.ok(lines.includes(line), `${line} is missing`);
  }
  metrics.close();
});
