import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../clock.ts";
import { exchangePhases, exchangeReasons } from "./exchange-metrics.ts";
import type { ExchangeReason } from "./exchange-metrics.ts";
import { createMetrics } from "./metrics.ts";

const version = { version: "1.2.3", gitCommit: "abc" };

const assertLines = (body: string, expected: readonly string[]): void => {
  const lines = body.split("\n");
  for (const line of expected) {
    assert.ok(lines.includes(line), `${line} is missing in\n${body}`);
  }
};

test("counts into a registry of its own and shows ages at the time of the scrape", async () => {
  const clock = createManualClock();
  const metrics = createMetrics({ clock, version });
  const other = createMetrics({ clock, version });
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
  metrics.apiServerClient.connection("short", 1);
  metrics.apiServerClient.inFlight("watch", 1);
  metrics.apiServerClient.ended("short", "POST", 201, 0.003);
  metrics.apiServerClient.ended("short", "POST", 0, 0.003);
  await clock.advance(30_000);
  const { contentType, body } = await metrics.render();
  assert.match(contentType, /^text\/plain; version=/);
  assertLines(body, [
    'lanyard_concierge_authenticator_calls_total{kind="WebhookAuthenticator",result="rejected"} 1',
    'lanyard_concierge_jwks_age_seconds{authenticator="my-jwt"} 30',
    'lanyard_concierge_informer_last_event_age_seconds{resource="secrets"} 31',
    'lanyard_concierge_informer_reconnects_total{resource="secrets",reason="expired"} 1',
    "lanyard_concierge_leader 1",
    'lanyard_concierge_reconciles_total{controller="certs-manager-controller",result="success"} 1',
    'lanyard_concierge_certificate_not_after_timestamp_seconds{certificate="api_serving"} 1800000000',
    'lanyard_concierge_build_info{version="1.2.3",revision="abc"} 1',
    'lanyard_concierge_api_server_connections{pool="short"} 1',
    'lanyard_concierge_api_server_calls_in_flight{pool="watch"} 1',
    'lanyard_concierge_api_server_calls_total{method="POST",code="2xx"} 1',
    'lanyard_concierge_api_server_calls_total{method="POST",code="none"} 1',
  ]);
  assert.doesNotMatch(body, /gone|proxy_signer/);
  assert.match(body, /^lanyard_concierge_event_loop_delay_seconds\{percentile="99"\} /m);
  assert.match(body, /^process_resident_memory_bytes /m);
  assert.doesNotMatch((await other.render()).body, /my-jwt/);
  metrics.close();
  other.close();
});

test("exchanges count by authenticator, result and reason, their phases and credentials apart", async () => {
  const metrics = createMetrics({ clock: createManualClock(), version, stopwatch: () => 7 });
  const okta = { kind: "JWTAuthenticator", name: "okta" };
  metrics.exchangeFinished(okta, "issued", 0.004);
  metrics.exchangeFinished(okta, "issued", 0.03);
  metrics.exchangeFinished(okta, "reserved_identity", 11);
  metrics.exchangeFinished(undefined, "no_such_authenticator", 0.001);
  metrics.exchangePhase("sign", 0.3);
  metrics.exchangePhase("sign", 2);
  metrics.credentialIssued("impersonation-proxy-signing-cert", 300);
  metrics.credentialIssued("impersonation-proxy-signing-cert", 4000);
  metrics.credentialIssued("a signer of the future", 300);
  assert.equal(metrics.stopwatch(), 7);
  const { body } = await metrics.render();
  const ofOkta = 'kind="JWTAuthenticator",authenticator="okta"';
  assertLines(body, [
    `lanyard_concierge_exchanges_total{${ofOkta},result="issued",reason="issued"} 2`,
    `lanyard_concierge_exchanges_total{${ofOkta},result="unsupported_identity",reason="reserved_identity"} 1`,
    'lanyard_concierge_exchanges_total{kind="",authenticator="",result="authenticator_error",reason="no_such_authenticator"} 1',
    'lanyard_concierge_exchanges_total{kind="",authenticator="",result="rate_limited",reason="authenticator_busy"} 0',
    'lanyard_concierge_exchange_duration_seconds_bucket{le="0.0025"} 1',
    'lanyard_concierge_exchange_duration_seconds_bucket{le="0.005"} 2',
    'lanyard_concierge_exchange_duration_seconds_bucket{le="10"} 3',
    'lanyard_concierge_exchange_duration_seconds_bucket{le="+Inf"} 4',
    "lanyard_concierge_exchange_duration_seconds_count 4",
    "lanyard_concierge_exchange_duration_seconds_sum 11.035",
    'lanyard_concierge_exchange_phase_duration_seconds_bucket{le="0.0005",phase="sign"} 1',
    'lanyard_concierge_exchange_phase_duration_seconds_count{phase="sign"} 2',
    'lanyard_concierge_exchange_phase_duration_seconds_count{phase="validate"} 0',
    'lanyard_concierge_credential_lifetime_seconds_bucket{le="300",signer="impersonation-proxy-signing-cert"} 1',
    'lanyard_concierge_credential_lifetime_seconds_count{signer="impersonation-proxy-signing-cert"} 2',
    'lanyard_concierge_credential_lifetime_seconds_count{signer="other"} 1',
  ]);
  assert.doesNotMatch(body, /okta.*token_rejected/, "what did not happen has no series");
  metrics.close();
});

test("proxied requests count by closed sets, streams apart from the times of the others", async () => {
  const metrics = createMetrics({ clock: createManualClock(), version });
  metrics.proxiedRequestFinished({ verb: "get", resource: "pods", code: 200 }, 0.01);
  metrics.proxiedRequestFinished({ verb: "watch", resource: "pods", code: undefined }, undefined);
  metrics.proxiedRequestFinished({ verb: "create", resource: "pods/exec", code: 101 }, undefined);
  metrics.proxiedRequestFinished({ verb: "get", resource: "path", code: 999 }, 0.01);
  metrics.proxiedRequestFinished({ verb: "get", resource: "path", code: 418 }, 90);
  metrics.proxiedStreams(1);
  metrics.proxiedStreams(1);
  metrics.proxiedStreams(-1);
  metrics.proxiedStreamCut("deny_list");
  metrics.denyListRead(3, 1);
  assertLines((await metrics.render()).body, [
    'lanyard_concierge_proxied_requests_total{verb="get",resource="pods",code="200"} 1',
    'lanyard_concierge_proxied_requests_total{verb="watch",resource="pods",code="none"} 1',
    'lanyard_concierge_proxied_requests_total{verb="create",resource="pods/exec",code="101"} 1',
    'lanyard_concierge_proxied_requests_total{verb="get",resource="path",code="none"} 1',
    'lanyard_concierge_proxied_requests_total{verb="get",resource="path",code="4xx"} 1',
    'lanyard_concierge_proxied_request_duration_seconds_count{verb="get"} 3',
    'lanyard_concierge_proxied_request_duration_seconds_bucket{le="60",verb="get"} 2',
    "lanyard_concierge_proxied_streams 1",
    'lanyard_concierge_proxied_stream_cuts_total{reason="deny_list"} 1',
    'lanyard_concierge_proxied_stream_cuts_total{reason="access"} 0',
    "lanyard_concierge_deny_list_entries 3",
    "lanyard_concierge_deny_list_problems 1",
  ]);
  metrics.close();
});

test("state is looked at when somebody scrapes", async () => {
  const metrics = createMetrics({ clock: createManualClock(), version });
  let status = "Error";
  let upstreamWaiting = 4;
  assert.doesNotMatch((await metrics.render()).body, /strategy="/);
  metrics.observe({
    strategies: () => [{ type: "ImpersonationProxy", status }],
    authenticators: () => [
      { kind: "JWTAuthenticator", name: "okta", ready: true },
      { kind: "WebhookAuthenticator", name: "hook", ready: false },
    ],
    proxy: () => ({
      connections: 5,
      http2Sessions: 2,
      requests: 3,
      upstreamConnections: 6,
      upstreamWaiting,
    }),
  });
  assertLines((await metrics.render()).body, [
    'lanyard_concierge_strategy_ready{strategy="ImpersonationProxy"} 0',
    'lanyard_concierge_authenticator_ready{kind="JWTAuthenticator",authenticator="okta"} 1',
    'lanyard_concierge_authenticator_ready{kind="WebhookAuthenticator",authenticator="hook"} 0',
    "lanyard_concierge_proxy_connections 5",
    "lanyard_concierge_proxy_upstream_waiting 4",
  ]);
  status = "Success";
  upstreamWaiting = 0;
  assertLines((await metrics.render()).body, [
    'lanyard_concierge_strategy_ready{strategy="ImpersonationProxy"} 1',
    "lanyard_concierge_proxy_upstream_waiting 0",
  ]);
  metrics.close();
});

test("however many authenticators come and go, the number of series is bounded", async () => {
  const metrics = createMetrics({ clock: createManualClock(), version });
  for (let turn = 0; turn < 5000; turn++) {
    for (const reason of Object.keys(exchangeReasons) as ExchangeReason[]) {
      metrics.exchangeFinished({ kind: "JWTAuthenticator", name: `made-${turn}` }, reason, 0.001);
    }
    metrics.credentialIssued(`signer-${turn}`, turn);
    metrics.proxiedRequestFinished({ verb: `verb-${turn}`, resource: "pods", code: turn }, 0.001);
    for (const phase of exchangePhases) {
      metrics.exchangePhase(phase, turn);
    }
  }
  const lines = (await metrics.render()).body.split("\n").filter((line) => line.startsWith("lanyard_"));
  const exchanges = lines.filter((line) => line.startsWith("lanyard_concierge_exchanges_total{"));
  // 200 names, what is beyond them, and what names nobody.
  assert.equal(exchanges.length, 202 * Object.keys(exchangeReasons).length);
  assertLines(lines.join("\n"), [
    'lanyard_concierge_exchanges_total{kind="other",authenticator="other",result="issued",reason="issued"} 4800',
  ]);
  assert.ok(lines.length - exchanges.length < 600, `${lines.length - exchanges.length} other series`);
  metrics.close();
});
