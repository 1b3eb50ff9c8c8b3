import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startIssuer } from "../../../test/oidc/issuer.ts";
import { startWebhook } from "../../../test/oidc/webhook.ts";
import type { WebhookUser } from "../../../test/oidc/webhook.ts";
import { systemClock } from "../../clock.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { describeAuthenticator } from "./authenticator-conformance.ts";
import { createJwksSource } from "./jwks-source.ts";
import { createJwtAuthenticator } from "./jwt-authenticator.ts";
import { createOutboundHttp } from "./outbound-http.ts";
import { withoutProxy } from "./outbound-proxy.ts";
import { createWebhookAuthenticator } from "./webhook-authenticator.ts";

const clock = systemClock;
const certificate = await createLoopbackCertificate();
const outbound = () => createOutboundHttp({ caPem: certificate.caPem, proxyForUrl: withoutProxy, clock });

describeAuthenticator("JWTAuthenticator", async () => {
  const issuer = await startIssuer({ users: [], certificate });
  const http = outbound();
  const jwks = createJwksSource({ url: new URL("/jwks", issuer.issuerUrl), http, clock, log: silentLogger });
  await jwks.start(new AbortController().signal);
  const authenticator = createJwtAuthenticator({
    issuer: issuer.issuerUrl,
    audience: issuer.clientId,
    jwks,
    http,
    clock,
    log: silentLogger,
  });
  return {
    authenticator,
    tokenFor: (user) => issuer.signToken({ ...user }),
    foreignToken: () => issuer.signToken({ username: "jane", aud: "another" }),
    asked: () => issuer.hits("/jwks"),
    withoutServer: "accepted",
    stopServer: () => issuer.stop(),
    startServer: () => issuer.start(),
    close: async () => {
      authenticator.close();
      await issuer.stop();
    },
  };
});

describeAuthenticator("WebhookAuthenticator", async () => {
  const tokens: Record<string, WebhookUser> = {};
  const webhook = await startWebhook({ tokens, certificate });
  const authenticator = createWebhookAuthenticator({
    url: new URL(`${webhook.endpoint}?timeout=30s`),
    http: outbound(),
    clock,
  });
  let count = 0;
  return {
    authenticator,
    tokenFor: (user) => {
      const token = `token-${count++}`;
      tokens[token] = user;
      return Promise.resolve(token);
    },
    foreignToken: () => Promise.resolve("token-of-nobody"),
    asked: () => webhook.seen.length,
    withoutServer: "refused",
    stopServer: () => webhook.stop(),
    startServer: () => webhook.start(),
    close: async () => {
      authenticator.close();
      await webhook.stop();
    },
  };
});
