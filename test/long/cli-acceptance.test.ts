import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import { askSteadily } from "../integration/harness/cli-steady.ts";
import {
  authenticators,
  type CliWorld,
  type Mode,
  others,
  startCliWorld,
  succeeded,
} from "../integration/harness/cli-world.ts";
import type { AuthenticatorName } from "../integration/harness/exchange.ts";

/** Of the longest case; the others are shortened in proportion. */
const minutes = Number(process.env["LANYARD_TEST_MINUTES"] ?? "15");
const ask = ["get", "configmaps", "--output=name"];

describe(
  "contract cli.md 13.6 in full length, with a server whose clock is ahead by 5 s",
  { concurrency: 3 },
  () => {
    let world: CliWorld;

    before(async () => {
      world = await startCliWorld("cli-acceptance", {
        serverClock: "+5s",
        supervisor: { accessTokenSeconds: 30 },
      });
    });
    after(() => world?.stop());

    const somebody = async (index: number, mode: Mode, authenticator: AuthenticatorName) => {
      const user = others[index];
      assert.ok(user !== undefined);
      const person = await world.person({ user });
      const kubeconfig = await world.getKubeconfig(person, mode, authenticator);
      succeeded(await person.kubectl(kubeconfig, ask));
      return { person, kubeconfig, user };
    };

    it("case 1: verifier clock +5 s, one request per second through client-go: zero 401", async () => {
      const { person, kubeconfig, user } = await somebody(0, "ImpersonationProxy", authenticators.short);
      const seconds = minutes * 60;
      const { failures, requests, stderr } = await askSteadily(person, kubeconfig, seconds);
      assert.deepEqual([failures, stderr], [[], ""]);
      assert.ok(requests > seconds * 0.5, `${requests} requests`);
      assert.equal(world.supervisor.newCalls(user.username).login, 1);
    });

    it("case 5: no more than 2 plugin runs per certificate, at a lifetime of 60 s", async () => {
      const { person, kubeconfig, user } = await somebody(
        1,
        "TokenCredentialRequestAPI",
        authenticators.short,
      );
      const { failures } = await askSteadily(person, kubeconfig, minutes * 48);
      assert.deepEqual(failures, []);
      const certificates = world.newExchanges(user.username);
      assert.ok(certificates >= (minutes * 48) / 60, `${certificates} certificates`);
      assert.ok(
        person.runs().length <= 2 * certificates,
        `${person.runs().length} runs, ${certificates} certificates`,
      );
    });
  },
);

describe("contract cli.md 13.6 in full length, with certificates of five minutes", () => {
  let world: CliWorld;

  before(async () => {
    world = await startCliWorld("cli-outage");
  });
  after(() => world?.stop());

  it("case 3: Concierge down for 60 s from renewAt on: no failed request, no prompt, at most one plugin run in 5 s", async () => {
    const user = others[2];
    assert.ok(user !== undefined);
    const person = await world.person({ user });
    const kubeconfig = await world.getKubeconfig(
      person,
      "TokenCredentialRequestAPI",
      authenticators.supervisor,
    );
    succeeded(await person.kubectl(kubeconfig, ask));
    const issued = Date.now();
    const steady = askSteadily(person, kubeconfig, 300);
    const { credentials } = parse(readFileSync(person.credentials, "utf8")) as {
      readonly credentials: readonly { readonly credential: { readonly expirationTimestamp: string } }[];
    };
    // Reported 45 s early; renewal is due 100 s before the end, and 10 s before it the certificate is dead.
    const renewAt = Date.parse(credentials[0]?.credential.expirationTimestamp ?? "") - 55_000;
    assert.ok(
      Math.abs(renewAt - issued - 200_000) < 5_000,
      `renewAt is ${renewAt - issued} ms after the issue`,
    );
    await new Promise((resolve) => setTimeout(resolve, renewAt - Date.now() - 2_000));
    const before = person.runs().length;
    await world.stopConcierge();
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    await world.startConcierge();
    const { failures, stderr } = await steady;
    assert.deepEqual([failures, stderr], [[], ""]);
    const runs = person.runs().slice(before);
    assert.ok(runs.length >= 3, "it was tried");
    for (const [index, at] of runs.slice(1).entries()) {
      assert.ok(at - (runs[index] ?? 0) > 4_000, `runs at ${runs.join(", ")}`);
    }
    assert.equal(world.newExchanges(user.username), 2, "renewed when it was back");
    assert.equal(world.supervisor.newCalls(user.username).login, 1);
  });
});
