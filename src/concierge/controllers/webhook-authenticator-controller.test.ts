import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { createMemoryStore } from "../../../test/oidc/memory-store.ts";
import { startWebhook } from "../../../test/oidc/webhook.ts";
import { systemClock } from "../../clock.ts";
import { webhookAuthenticators } from "../../resources/webhook-authenticator.ts";
import type { WebhookAuthenticatorSpec } from "../../resources/webhook-authenticator.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createAuthenticatorCache } from "../authenticators/authenticator-cache.ts";
import { AUTHENTICATION_GROUP } from "../authenticators/authenticator.ts";
import { createProxyForUrl, withoutProxy } from "../authenticators/outbound-proxy.ts";
import type { ProxyForUrl } from "../authenticators/outbound-proxy.ts";
import { createWebhookAuthenticatorController } from "./webhook-authenticator-controller.ts";

const certificate = await createLoopbackCertificate();
const webhook = await startWebhook({ tokens: { good: { username: "jane" } }, certificate });
after(() => webhook.stop());
const { signal } = new AbortController();
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const UNKNOWN = "Unknown UnableToValidate unable to validate; see other conditions for details";
const NOT_READY = "False NotReady the WebhookAuthenticator is not ready: see other conditions for details";
const good = {
  AuthenticatorValid: "True Success authenticator initialized",
  EndpointURLValid: "True Success spec.endpoint is a valid URL",
  Ready: "True Success the WebhookAuthenticator is ready",
  TLSConfigurationValid: "True Success spec.tls is valid: using configured CA bundle",
  WebhookConnectionValid: "True Success successfully dialed webhook server",
};

async function judge(spec: Partial<WebhookAuthenticatorSpec>, proxyForUrl: ProxyForUrl = withoutProxy) {
  const store = createMemoryStore();
  const cache = createAuthenticatorCache();
  const options = {
    store,
    cache,
    namespace: "concierge",
    clock: systemClock,
    log: silentLogger,
    proxyForUrl,
  };
  const controller = createWebhookAuthenticatorController(options);
  store.put(webhookAuthenticators, {
    apiVersion: `${AUTHENTICATION_GROUP}/v1alpha1`,
    kind: "WebhookAuthenticator",
    metadata: { name: "hook", uid: "u", generation: 1 },
    spec: {
      endpoint: webhook.endpoint,
      tls: { certificateAuthorityData: base64(certificate.caPem) },
      ...spec,
    },
  });
  let error: unknown;
  try {
    await controller.reconcile(signal);
  } catch (thrown) {
    error = thrown;
  }
  const status = store.view(webhookAuthenticators).get({ name: "hook" })?.status;
  return {
    controller,
    store,
    error: error instanceof Error ? error.message : error,
    phase: status?.phase,
    conditions: Object.fromEntries(
      (status?.conditions ?? []).map(({ type, status: value, reason, message }) => [
        type,
        `${value} ${reason} ${message}`,
      ]),
    ),
    authenticator: cache.get({ apiGroup: AUTHENTICATION_GROUP, kind: "WebhookAuthenticator", name: "hook" }),
  };
}

test("a good one is ready and in force, and is not dialled again", async () => {
  const { controller, phase, conditions, authenticator, error, store } = await judge({});
  assert.equal(error, undefined);
  assert.equal(phase, "Ready");
  assert.deepEqual(conditions, good);
  assert.equal((await authenticator?.authenticate("good", signal))?.username, "jane");
  assert.equal(await authenticator?.authenticate("bad", signal), undefined);
  const before = webhook.connections();
  await controller.reconcile(signal);
  assert.equal(webhook.connections(), before);
  assert.equal(store.statusWrites.length, 1);
});

test("a bad endpoint waits for a change", async () => {
  const { phase, conditions, authenticator, error } = await judge({ endpoint: "https://a_b" });
  assert.equal(error, undefined);
  assert.equal(phase, "Error");
  assert.deepEqual(conditions, {
    ...good,
    AuthenticatorValid: UNKNOWN,
    EndpointURLValid:
      'False InvalidEndpointURL spec.endpoint URL is not valid: host "a_b" is not a valid hostname or IP address',
    Ready: NOT_READY,
    WebhookConnectionValid: UNKNOWN,
  });
  assert.equal(authenticator, undefined);
});

test("a bad TLS configuration waits for a change", async () => {
  const { conditions, error } = await judge({ tls: { certificateAuthorityData: "%" } });
  assert.equal(error, undefined);
  assert.deepEqual(conditions, {
    ...good,
    AuthenticatorValid: UNKNOWN,
    Ready: NOT_READY,
    TLSConfigurationValid:
      "False InvalidTLSConfig spec.tls.certificateAuthorityData is invalid: illegal base64 data at input byte 0",
    WebhookConnectionValid: UNKNOWN,
  });
});

test("a server that cannot be dialled is tried again", async () => {
  const other = await createLoopbackCertificate();
  const gone = await startWebhook({ tokens: {}, certificate });
  await gone.stop();
  const rows: readonly (readonly [Partial<WebhookAuthenticatorSpec>, string])[] = [
    [
      { tls: { certificateAuthorityData: base64(other.caPem) } },
      "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ],
    [{ endpoint: gone.endpoint }, `dial tcp 127.0.0.1:${gone.port}: connect: connection refused`],
  ];
  for (const [spec, text] of rows) {
    const { conditions, authenticator, error } = await judge(spec);
    assert.deepEqual(conditions, {
      ...good,
      AuthenticatorValid: UNKNOWN,
      Ready: NOT_READY,
      WebhookConnectionValid: `False UnableToDialServer cannot dial server: ${text}`,
    });
    assert.equal(error, `error for WebhookAuthenticator hook: cannot dial server: ${text}`);
    assert.equal(authenticator, undefined);
  }
});

test("behind a proxy the server is not dialled", async () => {
  const { conditions, authenticator } = await judge(
    { endpoint: "https://hook.example/x" },
    createProxyForUrl({ httpsProxy: "http://proxy.example" }),
  );
  assert.deepEqual(conditions, {
    ...good,
    WebhookConnectionValid:
      "True Success skipped dialing connection probe because HTTPS_PROXY is configured for use with the specified host",
  });
  assert.ok(authenticator !== undefined);
});
