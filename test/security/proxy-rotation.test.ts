// Field tests 24 and 25: no session, no connection and no rotation lets anybody in who would be refused now.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../src/clock.ts";
import {
  testAuthority,
  testClientCertificate,
  testServingCertificate,
} from "../../src/concierge/api/testing/harness.ts";
import { certificateOf } from "../../src/concierge/impersonator/testing/pipeline-harness.ts";
import { startIdentityProxy } from "./harness/identity-proxy.ts";
import { GET, HOST, useIdentityProxy } from "./harness/identity-suite.ts";

const suite = useIdentityProxy();

describe("field 24: every request is judged anew", () => {
  test("a rotated signer counts at the next request of an open connection", async () => {
    const { proxySignerTrust } = suite.proxy.world.state;
    const socket = await suite.proxy.connect(suite.alice);
    try {
      assert.equal((await suite.proxy.raw([GET, HOST], { socket })).status, 200);
      const next = await testAuthority("next");
      proxySignerTrust.set(suite.proxy.world.authorities.signer.certificatePem + next.certificatePem);
      assert.equal((await suite.proxy.raw([GET, HOST], { socket })).status, 200, "an overlap fails nobody");
      proxySignerTrust.set(next.certificatePem);
      suite.proxy.seen.length = 0;
      assert.equal((await suite.proxy.raw([GET, HOST], { socket })).status, 401);
      assert.deepEqual(suite.proxy.seen, []);
    } finally {
      proxySignerTrust.set(suite.proxy.world.authorities.signer.certificatePem);
      socket.destroy();
    }
  });

  test("a certificate that expires on an open connection is refused from then on", async () => {
    const soon = new Date(Math.floor(suite.proxy.world.clock.now() / 1000) * 1000 + 30_000);
    const short = await certificateOf(suite.proxy.world, "short", [], soon);
    const socket = await suite.proxy.connect(short);
    try {
      assert.equal((await suite.proxy.raw([GET, HOST], { socket })).status, 200);
      await suite.proxy.world.clock.advance(31_000);
      suite.proxy.seen.length = 0;
      assert.equal((await suite.proxy.raw([GET, HOST], { socket })).status, 401);
      assert.deepEqual(suite.proxy.seen, []);
    } finally {
      socket.destroy();
    }
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`a ticket opens nothing on ${version}: after a rotation, an expiry, for another name, at another replica`, async () => {
      const { world } = suite.proxy;
      const { proxySignerTrust } = world.state;
      const other = await startIdentityProxy();
      const trusted = proxySignerTrust.current;
      const next = await testAuthority("next");
      const only = { ALPNProtocols: ["http/1.1"], minVersion: version, maxVersion: version } as const;
      const first = await suite.proxy.connect(suite.alice, only);
      const tickets: Buffer[] = [];
      first.on("session", (session: Buffer) => tickets.push(session));
      assert.equal((await suite.proxy.raw([GET, HOST], { socket: first })).status, 200);
      const session = tickets.at(-1) ?? first.getSession();
      assert.ok(session !== undefined);
      first.destroy();
      try {
        for (const { to, more, change } of [
          { to: suite.proxy, more: {}, change: () => {} },
          {
            to: suite.proxy,
            more: { servername: "other.example", checkServerIdentity: () => undefined },
            change: () => {},
          },
          { to: other, more: { rejectUnauthorized: false }, change: () => {} },
          {
            to: suite.proxy,
            more: {},
            change: () => proxySignerTrust.set(next.certificatePem),
          },
        ]) {
          change();
          // Without a certificate of its own the ticket would be all that says who this is.
          const socket = await to.connect(undefined, { ...only, ...more, session });
          assert.equal(socket.isSessionReused(), false);
          to.seen.length = 0;
          const { status } = await to.raw([GET, HOST], { socket });
          assert.equal(status, 200);
          assert.deepEqual(to.valuesSeen("impersonate-user"), [], "nobody but anonymous");
          socket.destroy();
        }
        const again = await suite.proxy.connect(suite.alice, { ...only, session });
        assert.equal(again.isSessionReused(), false);
        assert.equal((await suite.proxy.raw([GET, HOST], { socket: again })).status, 401);
        again.destroy();
      } finally {
        proxySignerTrust.set(trusted);
        await other.close();
      }
    });
  }
});

describe("field 25: rotations", () => {
  test("signer and serving certificate rotate under load, and nobody's request fails", async () => {
    const { world } = suite.proxy;
    const { proxySignerTrust, proxyServingCertificate } = world.state;
    const old = proxySignerTrust.current ?? "";
    const serving = proxyServingCertificate.current;
    const next = await testAuthority("next");
    const servingAuthority = await testAuthority("next-serving");
    const bob = await certificateOf({ authorities: { ...world.authorities, signer: next } }, "bob");
    const state = { rotated: false, stop: false, requests: 0 };
    const load = async (number: number): Promise<void> => {
      const kept = await suite.proxy.connect(suite.alice);
      while (!state.stop) {
        // Half of them keep their connection, half open a new one each time.
        const certificate = state.rotated && number % 2 === 0 ? bob : suite.alice;
        const socket =
          number % 2 === 0
            ? await suite.proxy.connect(certificate, {
                ALPNProtocols: ["http/1.1"],
                rejectUnauthorized: false,
              })
            : kept;
        const { status } = await suite.proxy.raw([GET, HOST], { socket });
        assert.equal(status, 200);
        state.requests += 1;
        if (socket !== kept) {
          socket.destroy();
        }
      }
      kept.destroy();
    };
    const more = async (count: number): Promise<void> => {
      const goal = state.requests + count;
      while (state.requests < goal) {
        await new Promise((done) => setImmediate(done));
      }
    };
    const running = Promise.all([0, 1, 2, 3].map(load));
    running.catch(() => {
      state.requests = Infinity;
    });
    try {
      await more(40);
      proxySignerTrust.set(old + next.certificatePem);
      await more(20);
      state.rotated = true;
      proxyServingCertificate.set(await testServingCertificate(servingAuthority));
      await more(40);
      state.stop = true;
      await running;
      proxySignerTrust.set(next.certificatePem);
      suite.proxy.seen.length = 0;
      const socket = await suite.proxy.connect(suite.alice, { rejectUnauthorized: false });
      assert.equal((await suite.proxy.raw([GET, HOST], { socket })).status, 401);
      assert.deepEqual(suite.proxy.seen, []);
      socket.destroy();
    } finally {
      state.stop = true;
      proxySignerTrust.set(old);
      proxyServingCertificate.set(serving);
    }
  });

  test("replicas that disagree each decide by what they know", async () => {
    const behind = await startIdentityProxy();
    const ahead = await startIdentityProxy();
    const next = await testAuthority("next");
    const { signer } = behind.world.authorities;
    ahead.world.state.proxySignerTrust.set(signer.certificatePem + next.certificatePem);
    const old = await certificateOf(behind.world, "alice");
    const fresh = await certificateOf(
      { authorities: { ...behind.world.authorities, signer: next } },
      "alice",
    );
    const ask = async (proxy: typeof ahead, certificate: typeof old): Promise<readonly [number, number]> => {
      proxy.seen.length = 0;
      const { status } = await proxy.raw([GET, HOST], { certificate });
      return [status, proxy.seen.length];
    };
    assert.deepEqual(await ask(ahead, old), [200, 1]);
    assert.deepEqual(await ask(ahead, fresh), [200, 1]);
    assert.deepEqual(await ask(behind, old), [200, 1]);
    assert.deepEqual(await ask(behind, fresh), [401, 0]);
    behind.world.state.proxySignerTrust.set(next.certificatePem);
    assert.deepEqual(await ask(behind, old), [401, 0]);
    assert.deepEqual(await ask(behind, fresh), [200, 1]);
    await Promise.all([behind.close(), ahead.close()]);
  });

  test("a clock that is 4 minutes behind believes what is dated back by 5, one that is 6 behind does not", async () => {
    const { world } = suite.proxy;
    const issued = world.clock.now();
    const { signer } = world.authorities;
    const certificate = await testClientCertificate(signer, "alice", [], {
      notBefore: new Date(issued - 300_000),
      notAfter: new Date(issued + 300_000),
    });
    for (const [minutes, expected] of [
      [-4, "forward"],
      [4, "forward"],
      [-6, 401],
      [6, 401],
    ] as const) {
      const clock = createManualClock(issued + minutes * 60_000);
      const skewed = await startIdentityProxy({ clock });
      const { status } = await skewed.raw([GET, HOST], { certificate });
      assert.equal(status, expected === "forward" ? 200 : expected, `${minutes} minutes`);
      assert.equal(skewed.seen.length, expected === "forward" ? 1 : 0);
      await skewed.close();
    }
  });
});
