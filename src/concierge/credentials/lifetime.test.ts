import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultLifetimePolicy } from "../state/credential-settings.ts";
import type { LifetimePolicy } from "../state/credential-settings.ts";
import {
  grantedSeconds,
  lifetimeBounds,
  lifetimeWithin,
  MAXIMUM_CLUSTER_LIFETIME_SECONDS,
  MAXIMUM_LIFETIME_SECONDS,
  MINIMUM_LIFETIME_SECONDS,
  reportedExpiry,
} from "./lifetime.ts";

const now = Date.UTC(2026, 5, 1, 12, 0, 0, 700);
const cluster = {
  minimumLifetimeSeconds: MINIMUM_LIFETIME_SECONDS,
  maximumLifetimeSeconds: MAXIMUM_CLUSTER_LIFETIME_SECONDS,
};
const proxy = { ...cluster, maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS };
const csrApi = { minimumLifetimeSeconds: 600, maximumLifetimeSeconds: MAXIMUM_CLUSTER_LIFETIME_SECONDS };

interface Row {
  readonly policy?: Partial<LifetimePolicy>;
  /** `spec.expirationSeconds`. */
  readonly asked?: number;
  /** `spec.credential.maximumLifetimeSeconds` of the authenticator. */
  readonly source?: number;
  /** From now to the token's `exp`. */
  readonly token?: number;
  /** Granted by the cluster's key, by the proxy's signer and by the CSR API; undefined: skipped. */
  readonly granted: readonly [number, number, number | undefined];
}

const hours = { lifetimeSeconds: 900, maximumLifetimeSeconds: 43_200 };
const days = { lifetimeSeconds: 200_000, maximumLifetimeSeconds: 200_000 };

const rows: readonly Row[] = [
  // Nothing configured: contract 2.4.
  { granted: [300, 300, undefined] },
  { token: 1, granted: [300, 300, undefined] },
  { asked: 60, granted: [60, 60, undefined] },
  { asked: 299, granted: [299, 299, undefined] },
  { asked: 301, granted: [300, 300, undefined] },
  { asked: 2 ** 31 - 1, granted: [300, 300, undefined] },
  { source: 120, granted: [120, 120, undefined] },
  { source: 1, granted: [60, 60, undefined] },
  { source: 86_400, granted: [300, 300, undefined] },
  // The cluster's own bounds.
  { policy: hours, granted: [900, 900, 900] },
  { policy: hours, asked: 43_200, granted: [3600, 43_200, 3600] },
  { policy: hours, asked: 86_400, granted: [3600, 43_200, 3600] },
  { policy: hours, asked: 599, granted: [599, 599, undefined] },
  { policy: days, granted: [3600, 86_400, 3600] },
  { policy: { maximumLifetimeSeconds: 600 }, granted: [300, 300, 600] },
  { policy: { maximumLifetimeSeconds: 599 }, granted: [300, 300, undefined] },
  // A maximum below the lifetime wins.
  { policy: { lifetimeSeconds: 900, maximumLifetimeSeconds: 120 }, granted: [120, 120, undefined] },
  { policy: { lifetimeSeconds: 60, maximumLifetimeSeconds: 60 }, granted: [60, 60, undefined] },
  // The authenticator's.
  { policy: hours, source: 700, granted: [700, 700, 700] },
  { policy: hours, source: 700, asked: 3600, granted: [700, 700, 700] },
  { policy: hours, source: 700, asked: 650, granted: [650, 650, 650] },
  { policy: hours, source: 500, granted: [500, 500, undefined] },
  // The token's end, above 300 s only.
  { policy: hours, token: 100, granted: [300, 300, undefined] },
  { policy: hours, token: 100, asked: 120, granted: [120, 120, undefined] },
  { policy: hours, token: 800, granted: [800, 800, 800] },
  { policy: hours, token: 1000, granted: [900, 900, 900] },
  { policy: hours, token: 1000, asked: 5000, granted: [1000, 1000, 1000] },
  { policy: hours, token: 5000, asked: 5000, source: 4000, granted: [3600, 4000, 3600] },
  { policy: { ...hours, boundToToken: true }, token: 400, granted: [400, 400, undefined] },
  { policy: { ...hours, boundToToken: false }, token: 400, granted: [900, 900, 900] },
  { policy: { ...hours, boundToToken: false }, token: 400, asked: 5000, granted: [3600, 5000, 3600] },
  { policy: hours, token: Number.POSITIVE_INFINITY, asked: 5000, granted: [3600, 5000, 3600] },
];

describe("S7: the smallest bound wins", () => {
  for (const { policy: changes, asked, source, token, granted } of rows) {
    test(JSON.stringify({ ...changes, asked, source, token }), () => {
      const policy = { ...defaultLifetimePolicy, ...changes };
      const bounds = lifetimeBounds({
        now,
        policy,
        requestedSeconds: asked,
        authenticatorMaximumSeconds: source,
        tokenExpiresAt: token === undefined ? undefined : (Math.floor(now / 1000) + token) * 1000,
      });
      const seconds = [cluster, proxy, csrApi].map((signer) => {
        const lifetime = lifetimeWithin(bounds, signer, { now, policy });
        return lifetime === undefined ? undefined : grantedSeconds(lifetime.notAfter, now);
      });
      assert.deepEqual(seconds, granted);
    });
  }
});

test("validity begins before now, in whole seconds", () => {
  const begins = (backdateSeconds: number): string | undefined => {
    const policy = { ...defaultLifetimePolicy, backdateSeconds };
    return lifetimeWithin(lifetimeBounds({ now, policy }), cluster, { now, policy })?.notBefore.toISOString();
  };
  assert.equal(begins(300), "2026-06-01T11:55:00.000Z");
  assert.equal(begins(0), "2026-06-01T12:00:00.000Z");
});

test("the reported expiry is before NotAfter, by 15 percent of the lifetime at most", () => {
  const lead = (granted: number, refreshLeadSeconds = 45): number => {
    const notAfter = new Date((Math.floor(now / 1000) + granted) * 1000);
    const policy = { ...defaultLifetimePolicy, refreshLeadSeconds };
    const reported = reportedExpiry(notAfter, now, policy);
    assert.equal(reported.getTime() % 1000, 0);
    return (notAfter.getTime() - reported.getTime()) / 1000;
  };
  assert.equal(lead(300), 45);
  assert.equal(lead(299), 44);
  assert.equal(lead(60), 9);
  assert.equal(lead(3600), 45);
  assert.equal(lead(3600, 3600), 540);
  assert.equal(lead(3600, 0), 0);
});
