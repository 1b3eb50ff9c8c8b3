import assert from "node:assert/strict";
import { it } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { createJwksSource } from "../../src/concierge/authenticators/jwks-source.ts";
import { createJwtAuthenticator } from "../../src/concierge/authenticators/jwt-authenticator.ts";
import { createOutboundHttp } from "../../src/concierge/authenticators/outbound-http.ts";
import { withoutProxy } from "../../src/concierge/authenticators/outbound-proxy.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createLoopbackCertificate } from "../oidc/certificates.ts";
import { startIssuer } from "../oidc/issuer.ts";

const OUTAGE_MILLISECONDS = 60_000;
/** Instead of the 5 minutes of S5, so that scheduled fetches fall into the outage. */
const REFRESH_MILLISECONDS = 10_000;

it("an issuer that is away for a minute of real time: logins go on, and its new key works at once", async () => {
  const clock = systemClock;
  const certificate = await createLoopbackCertificate();
  const issuer = await startIssuer({ users: [], certificate });
  const http = createOutboundHttp({ caPem: certificate.caPem, proxyForUrl: withoutProxy, clock });
  const fetched: boolean[] = [];
  const jwks = createJwksSource({
    url: new URL("/jwks", issuer.issuerUrl),
    http,
    clock,
    log: silentLogger,
    refreshMilliseconds: REFRESH_MILLISECONDS,
    onFetched: (succeeded) => fetched.push(succeeded),
  });
  const { signal } = new AbortController();
  await jwks.start(signal);
  const authenticator = createJwtAuthenticator({
    issuer: issuer.issuerUrl,
    audience: issuer.clientId,
    jwks,
    http,
    clock,
    log: silentLogger,
  });
  const login = (token: string) => authenticator.authenticate(token, signal);
  // The schedule does not keep the process alive, and neither does a sleep.
  const alive = setInterval(() => {}, 1_000);
  try {
    await issuer.stop();
    const end = clock.now() + OUTAGE_MILLISECONDS;
    let logins = 0;
    while (clock.now() < end) {
      assert.equal((await login(await issuer.signToken({ username: "jane" })))?.username, "jane");
      logins += 1;
      await clock.sleep(1_000);
    }
    assert.ok(logins >= 50, `${logins} logins`);
    assert.deepEqual([fetched[0], new Set(fetched.slice(1))], [true, new Set([false])]);
    assert.ok(fetched.length >= 5, `${fetched.length} fetches`);
    const old = await issuer.signToken({ username: "jane" });
    await issuer.rotateKeys();
    await issuer.start();
    assert.equal((await login(await issuer.signToken({ username: "jane" })))?.username, "jane");
    await assert.rejects(login(old), /oidc: verify token: /);
  } finally {
    clearInterval(alive);
    authenticator.close();
    await issuer.stop();
  }
});
