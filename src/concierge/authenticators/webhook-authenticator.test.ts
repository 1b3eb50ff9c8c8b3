import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { sendJson } from "../../../test/oidc/tls-server.ts";
import { startWebhook } from "../../../test/oidc/webhook.ts";
import type { TestWebhook, WebhookOptions } from "../../../test/oidc/webhook.ts";
import type { Clock } from "../../clock.ts";
import { systemClock } from "../../clock.ts";
import { createOutboundHttp } from "./outbound-http.ts";
import { createProxyForUrl, withoutProxy } from "./outbound-proxy.ts";
import { createWebhookAuthenticator } from "./webhook-authenticator.ts";
import { checkEndpointUrl, probeTlsServer } from "./webhook-endpoint.ts";

const certificate = await createLoopbackCertificate();
const jane = { username: "jane", groups: ["ops"] };

interface Bench {
  readonly webhook: TestWebhook;
  readonly slept: number[];
  login(token: string, signal?: AbortSignal): Promise<unknown>;
}

async function withWebhook(
  options: Partial<WebhookOptions>,
  work: (bench: Bench) => Promise<void>,
  path = "/authenticate",
): Promise<void> {
  const webhook = await startWebhook({ tokens: { good: jane }, certificate, ...options });
  const slept: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: (milliseconds) => {
      slept.push(milliseconds);
      return Promise.resolve();
    },
  };
  const { endpoint } = checkEndpointUrl(new URL(path, webhook.endpoint).href, withoutProxy);
  assert.ok(endpoint !== undefined);
  const http = createOutboundHttp({ caPem: certificate.caPem, proxyForUrl: withoutProxy, clock });
  const authenticator = createWebhookAuthenticator({ url: endpoint.url, http, clock, random: () => 0.5 });
  const { signal: never } = new AbortController();
  try {
    await work({
      webhook,
      slept,
      login: (token, signal = never) => authenticator.authenticate(token, signal),
    });
  } finally {
    authenticator.close();
    await webhook.stop();
  }
}

const answering = (
  status: unknown,
  apiVersion = "authentication.k8s.io/v1beta1",
): Partial<WebhookOptions> => ({
  intercept: (_seen, response) => {
    sendJson(response, 200, { kind: "TokenReview", apiVersion, status });
    return true;
  },
});

test("a known token becomes an identity, an unknown one is rejected", async () => {
  await withWebhook({}, async ({ login, webhook }) => {
    assert.deepEqual(await login("good"), { username: "jane", groups: ["ops"], extra: {} });
    assert.equal(await login("bad"), undefined);
    const [review] = webhook.seen;
    assert.equal(review?.method, "POST");
    assert.equal(review?.url, "/authenticate?timeout=30s");
    assert.equal(review?.headers["content-type"], "application/json");
    assert.equal(review?.headers.accept, "application/json");
    assert.deepEqual(review?.body, {
      kind: "TokenReview",
      apiVersion: "authentication.k8s.io/v1beta1",
      spec: { token: "good" },
    });
  });
});

test("a trailing slash and the query of the endpoint are lost", async () => {
  for (const [path, url] of [
    ["/", "/?timeout=30s"],
    ["/a/b/?x=1", "/a/b?timeout=30s"],
    ["/a//b/%C3%A9", "/a/b/%C3%A9?timeout=30s"],
  ] as const) {
    await withWebhook(
      {},
      async ({ login, webhook }) => {
        await login("good");
        assert.equal(webhook.seen[0]?.url, url);
      },
      path,
    );
  }
});

test("only authenticated: true logs in", async () => {
  for (const authenticated of [undefined, null, "true", 1, {}, false]) {
    await withWebhook(answering({ authenticated, user: jane }), async ({ login }) => {
      assert.equal(await login("good"), undefined, JSON.stringify(authenticated));
    });
  }
  await withWebhook(answering({ authenticated: true }), async ({ login }) => {
    assert.equal(await login("good"), undefined);
  });
  await withWebhook(
    answering({ authenticated: true, user: { ...jane, uid: "1", extra: { a: ["b"] } } }),
    async ({ login }) => {
      assert.deepEqual(await login("good"), {
        username: "jane",
        uid: "1",
        groups: ["ops"],
        extra: { a: ["b"] },
      });
    },
  );
});

test("an error or an odd answer is a refusal, and never names the token", async () => {
  const secret = "top-secret-token";
  const answers: readonly Partial<WebhookOptions>[] = [
    answering({ authenticated: true, user: jane, error: `bad ${secret}` }),
    answering({ error: ["x"] }),
    answering("x"),
    answering({ authenticated: true, user: { username: 1 } }),
    answering({ authenticated: true, user: { username: "a", groups: "ops" } }),
    answering({ authenticated: true, user: { username: "a", groups: [1] } }),
    answering({ authenticated: true, user: { username: "a", extra: { k: "v" } } }),
    answering({ authenticated: true, user: "jane" }),
    answering({ authenticated: true, user: jane }, "authentication.k8s.io/v2"),
    {
      intercept: (_seen, response) => {
        sendJson(response, 200, { kind: "Status" });
        return true;
      },
    },
    {
      intercept: (_seen, response) => {
        response.end("{");
        return true;
      },
    },
    {
      intercept: (_seen, response) => {
        response.end(Buffer.alloc(4_000_000, 0x20));
        return true;
      },
    },
    {
      intercept: (_seen, response) => {
        response.writeHead(307, { location: "/elsewhere" }).end();
        return true;
      },
    },
    {
      intercept: (_seen, response) => {
        response.writeHead(403).end(secret);
        return true;
      },
    },
  ];
  for (const answer of answers) {
    await withWebhook(answer, async ({ login, webhook, slept }) => {
      await assert.rejects(login(secret), (error: Error) => {
        assert.equal(error.name, "WebhookRefusal", error.message);
        assert.ok(!error.message.includes(secret), error.message);
        return true;
      });
      assert.equal(webhook.seen.length, 1);
      assert.deepEqual(slept, []);
    });
  }
});

test("busy servers are asked up to five times", async () => {
  const failing: readonly ((response: ServerResponse) => void)[] = [
    (response) => response.writeHead(429).end(),
    (response) => response.writeHead(500).end(),
    (response) => response.writeHead(504).end(),
    (response) => response.destroy(),
  ];
  for (const fail of failing) {
    await withWebhook(
      {
        intercept: (_seen, response) => {
          fail(response);
          return true;
        },
      },
      async ({ login, webhook, slept }) => {
        await assert.rejects(login("good"), /^WebhookRefusal: /);
        assert.equal(webhook.seen.length, 5);
        assert.deepEqual(
          slept.map((delay) => Math.round(delay)),
          [550, 825, 1238, 1856],
        );
      },
    );
  }
  let answers = 0;
  await withWebhook(
    {
      intercept: (_seen, response) => {
        answers += 1;
        if (answers < 3) {
          response.writeHead(503, { "retry-after": answers === 1 ? "2" : "3600" }).end();
        }
        return answers < 3;
      },
    },
    async ({ login, slept }) => {
      assert.deepEqual(await login("good"), { username: "jane", groups: ["ops"], extra: {} });
      assert.deepEqual(slept, [2000, 5000]);
    },
  );
});

test("a webhook of TokenReview v1 is asked again in v1, once, and that is remembered", async () => {
  const versions = ({ seen }: TestWebhook): unknown[] =>
    seen.map(({ body }) => (body as { apiVersion: string }).apiVersion.split("/")[1]);
  await withWebhook({ versions: ["v1"] }, async ({ login, webhook }) => {
    assert.ok(await login("good"));
    assert.ok(await login("good"));
    assert.deepEqual(versions(webhook), ["v1beta1", "v1", "v1"]);
  });
  await withWebhook(
    answering({ authenticated: true, user: jane }, "authentication.k8s.io/v1"),
    async ({ login, webhook }) => {
      assert.ok(await login("good"));
      assert.ok(await login("good"));
      assert.deepEqual(versions(webhook), ["v1beta1", "v1", "v1"]);
    },
  );
  await withWebhook({ versions: [] }, async ({ login, webhook }) => {
    await assert.rejects(login("good"), /^WebhookRefusal: /);
    assert.deepEqual(versions(webhook), ["v1beta1", "v1"]);
  });
});

test("an oversized token is not sent anywhere, a cancelled login ends at once", async () => {
  const arrived = Promise.withResolvers<void>();
  await withWebhook(
    {
      intercept: () => {
        arrived.resolve();
        return true;
      },
    },
    async ({ login, webhook }) => {
      assert.equal(await login("x".repeat(65_537)), undefined);
      assert.equal(webhook.seen.length, 0);
      const caller = new AbortController();
      const call = login("good", caller.signal);
      await arrived.promise;
      caller.abort(new Error("gone"));
      await assert.rejects(call, /gone/);
    },
  );
});

test("no verdict is remembered", async () => {
  await withWebhook({}, async ({ login, webhook }) => {
    assert.ok(await login("good"));
    await webhook.stop();
    await assert.rejects(login("good"), /^WebhookRefusal: /);
  });
});

const endpointRows: readonly (readonly [string, string, string])[] = [
  [
    "https://a:x/",
    "InvalidEndpointURL",
    'spec.endpoint URL cannot be parsed: parse "https://a:x/": invalid port ":x" after host',
  ],
  [
    "http://a/",
    "InvalidEndpointURLScheme",
    "spec.endpoint URL http://a/ has invalid scheme, require 'https'",
  ],
  ["https://a:0/", "InvalidEndpointURL", 'spec.endpoint URL is not valid: invalid port "0"'],
  [
    "https:///x",
    "InvalidEndpointURL",
    'spec.endpoint URL is not valid: host "" is not a valid hostname or IP address',
  ],
  [
    "https://a_b",
    "InvalidEndpointURL",
    'spec.endpoint URL is not valid: host "a_b" is not a valid hostname or IP address',
  ],
];

test("every invalid endpoint has its reason and message (contract 4.6)", () => {
  for (const [endpoint, reason, message] of endpointRows) {
    assert.deepEqual(checkEndpointUrl(endpoint, withoutProxy), {
      finding: { type: "EndpointURLValid", status: "False", reason, message },
      endpoint: undefined,
    });
  }
  const { finding } = checkEndpointUrl(
    "https://hook.example",
    createProxyForUrl({ httpsProxy: "http://a b" }),
  );
  assert.equal(finding.reason, "InvalidEndpointCannotDetermineProxy");
  assert.match(
    finding.message,
    /^spec\.endpoint URL error: could not determine if requests will be proxied for host "hook\.example": invalid proxy/,
  );
  const { endpoint } = checkEndpointUrl("https://[::1]/x", withoutProxy);
  assert.deepEqual(
    [endpoint?.host, endpoint?.port, endpoint?.url.href],
    ["::1", 443, "https://[::1]/x?timeout=30s"],
  );
});

test("the connection probe is a whole handshake", async () => {
  const webhook = await startWebhook({ tokens: {}, certificate });
  const other = await createLoopbackCertificate({ dnsNames: ["elsewhere.example"], ipAddresses: [] });
  const { signal } = new AbortController();
  const probe = (caPem: string, host = "127.0.0.1", { port } = webhook) =>
    probeTlsServer({ host, port, caPem, clock: systemClock, signal });
  await probe(certificate.caPem);
  await probe(certificate.caPem, "localhost");
  assert.equal(webhook.seen.length, 0);
  await assert.rejects(probe(other.caPem), {
    message: "tls: failed to verify certificate: x509: certificate signed by unknown authority",
  });
  const named = await startWebhook({ tokens: {}, certificate: other });
  await assert.rejects(
    probe(other.caPem, "127.0.0.1", named),
    /x509: cannot validate certificate for 127\.0\.0\.1/,
  );
  await named.stop();
  await webhook.stop();
  await assert.rejects(probe(certificate.caPem), {
    message: `dial tcp 127.0.0.1:${webhook.port}: connect: connection refused`,
  });
});
