import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  authenticators,
  type CliWorld,
  others,
  startCliWorld,
  succeeded,
} from "../integration/harness/cli-world.ts";

const minutes = Number(process.env["LANYARD_TEST_MINUTES"] ?? "5");
const ask = ["get", "configmaps", "--output=name"];

// Each kubectl is a process of its own and starts the plugin anew. Only the plugin's clock is off: libfaketime does not reach kubectl,
// a static Go program, and time namespaces do not cover the wall clock. It is the plugin's clock that decides what is renewed when;
// kubectl compares what it is told with its own clock only while it runs.
describe(
  `one kubectl get a second for ${minutes} minutes, with credentials that live a minute`,
  { concurrency: 2 },
  () => {
    let world: CliWorld;

    before(async () => {
      world = await startCliWorld("cli-every-second", { supervisor: { accessTokenSeconds: 30 } });
    });
    after(() => world?.stop());

    for (const [index, clock] of ["+6s", "-6s"].entries()) {
      it(`client clock ${clock}: no failure, one login, renewals only when they are due`, async () => {
        const user = others[index];
        assert.ok(user !== undefined);
        const person = await world.person({ user, clock });
        const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.short);
        succeeded(await person.kubectl(kubeconfig, ask));
        const end = Date.now() + minutes * 60_000;
        const calls: Promise<void>[] = [];
        const failures: string[] = [];
        while (Date.now() < end) {
          const at = new Date().toISOString();
          calls.push(
            person.kubectl(kubeconfig, ask).then(({ code, stderr }) => {
              if (code !== 0 || stderr !== "") {
                failures.push(`${at} exit ${code}: ${stderr}`);
              }
            }),
          );
          await new Promise((resolve) => setTimeout(resolve, 1000));
        }
        await Promise.all(calls);
        assert.deepEqual(failures, []);
        assert.ok(calls.length >= minutes * 55, `${calls.length} calls`);
        const { login, refresh } = world.supervisor.newCalls(user.username);
        const exchanges = world.newExchanges(user.username);
        assert.equal(login, 1);
        // Due after 32 s of each; nobody is told to hurry.
        const due = Math.ceil((minutes * 60) / 32);
        assert.ok(
          exchanges > due / 2 && exchanges <= due + 2,
          `${exchanges} exchanges, ${refresh} refreshes`,
        );
      });
    }
  },
);
