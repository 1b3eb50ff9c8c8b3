import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import { ensureClientGo } from "../client-go/client-go.ts";
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
    // Built first: what asks must not come late to a certificate that is getting older.
    await ensureClientGo();
    world = await startCliWorld("cli-outage");
  });
  after(() => world?.stop());

  it("case 3: Concierge down for 60 s from renewAt on: no failed request, no prompt, at most one plugin run in 5 s", async (context) => {
    const user = others[2];
    assert.ok(user !== undefined);
    const person = await world.person({ user });
    const kubeconfig = await world.getKubeconfig(
      person,
      "TokenCredentialRequestAPI",
      authenticators.supervisor,
    );
    succeeded(await person.kubectl(kubeconfig, ask));
    const { renewAt, dead } = timesOf(person.credentials);
    const seconds = (time: number): number => Math.round((time - renewAt) / 100) / 10;
    const steady = askSteadily(person, kubeconfig, Math.ceil((dead - Date.now()) / 1000) + 20);
    await until(renewAt - 10_000);
    const earlier = person.runs().length;
    // It leaves in order, which takes a moment on a busy machine.
    await world.stopConcierge();
    assert.ok(Date.now() < renewAt, `it was gone only ${seconds(Date.now())} s after renewAt`);
    await until(renewAt + 60_000);
    await world.startConcierge();
    const ready = Date.now();
    await world.noticedByApiServer();
    const back = Date.now();
    context.diagnostic(`ready ${seconds(ready)} s and reachable ${seconds(back)} s after renewAt`);
    const { failures, stderr } = await steady;
    const runs = person.runs().slice(earlier);
    context.diagnostic(`plugin runs ${runs.map(seconds).join(", ")} s after renewAt`);
    // Beyond the end of the certificate nobody promises anything: then the machine was too slow to show what is to be shown.
    assert.ok(back < dead, `the outage lasted ${seconds(back)} s, longer than the certificate`);
    assert.deepEqual([failures, stderr], [[], ""]);
    assert.ok(runs.length >= 3, "it was tried");
    for (const [index, at] of runs.slice(1).entries()) {
      assert.ok(at - (runs[index] ?? 0) >= 4_900, `runs at ${runs.map(seconds).join(", ")}`);
    }
    assert.equal(world.newExchanges(user.username), 2, "renewed when it was back");
    assert.equal(world.supervisor.newCalls(user.username).login, 1);
  });
});

/** Contract cli.md 13.3 for a certificate of five minutes, by the certificate itself: milliseconds since the epoch. */
function timesOf(credentialsFile: string): { readonly renewAt: number; readonly dead: number } {
  const { credentials } = parse(readFileSync(credentialsFile, "utf8")) as {
    readonly credentials: readonly {
      readonly credential: { readonly clientCertificateData: string };
    }[];
  };
  const certificate = new X509Certificate(credentials[0]?.credential.clientCertificateData ?? "");
  const end = certificate.validToDate.getTime();
  // Its beginning lies five minutes before its issue.
  assert.equal(end - certificate.validFromDate.getTime(), 600_000);
  return { renewAt: end - 100_000, dead: end - 10_000 };
}

function until(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time - Date.now()));
}
