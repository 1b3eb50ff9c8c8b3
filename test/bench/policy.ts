import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { LOGIN, startHarness, testAuthority } from "../../src/concierge/api/testing/harness.ts";
import { AUTHENTICATION_GROUP } from "../../src/concierge/authenticators/authenticator.ts";
import { createJwtBench, makeKey } from "../../src/concierge/authenticators/testing/jwt-bench.ts";
import { createTransformingAuthenticator } from "../../src/concierge/authenticators/transforming-authenticator.ts";
import { createCertificateSigner } from "../../src/concierge/credentials/certificate-signer.ts";
import { createCredentialIssuing } from "../../src/concierge/credentials/issue-credential.ts";
import { MAXIMUM_LIFETIME_SECONDS } from "../../src/concierge/credentials/lifetime.ts";
import { defaultCredentialSettings } from "../../src/concierge/state/credential-settings.ts";
import { createHolder } from "../../src/concierge/state/holder.ts";
import { compileTransforms } from "../../src/identity/transformations.ts";
import type { Transformation, TransformExpression } from "../../src/identity/transformations.ts";
import type { KeyPairPem } from "../../src/pki/key-pair.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import type { ExchangeOrder } from "./exchange-client.ts";

const LOGINS = 10_000;
/** Taken in turns, so that what else happens on the machine meets all alike. */
const BATCH = 500;
const CONNECTIONS = 16;
/** Of one exchange (clarification 24). */
const LIMIT = 0.25;

const policy = (expression: string): TransformExpression => ({ type: "policy/v1", expression });

/** Twelve rules as a company would have them: over every group, over constants, with a regular expression. */
const expressions: readonly TransformExpression[] = [
  { type: "username/v1", expression: "username.lowerAscii().trim()" },
  { type: "groups/v1", expression: 'groups.filter(g, !g.startsWith("system:"))' },
  { type: "groups/v1", expression: "groups.map(g, strConst.prefix + g)" },
  policy("groups.exists(g, g in strListConst.allowed)"),
  policy("!groups.exists(g, g in strListConst.banned)"),
  policy('groups.all(g, g.startsWith("corp:"))'),
  policy('username.matches("^[a-z0-9._-]+@example[.]com$")'),
  policy("!(username in strListConst.banned)"),
  policy("size(groups) > 0 && size(groups) <= 200"),
  policy('!groups.exists(g, g.endsWith(":suspended"))'),
  { type: "groups/v1", expression: 'groups.map(g, g.replace(" ", "-"))' },
  { type: "username/v1", expression: 'strConst.prefix + username.split("@")[0]' },
];

function compilePolicy(): Transformation {
  const { transformation, problems } = compileTransforms({
    constants: [
      { name: "prefix", type: "string", stringValue: "corp:" },
      { name: "allowed", type: "stringList", stringListValue: ["corp:ops", "corp:team number 9"] },
      { name: "banned", type: "stringList", stringListValue: ["corp:guests", "mallory", "corp:interns"] },
    ],
    expressions,
  });
  if (transformation === undefined) {
    throw new Error(`the policy does not compile: ${JSON.stringify(problems)}`);
  }
  return transformation;
}

/**
 * What a policy of 12 rules over 10 groups costs at each of 10,000 logins, beside the same exchange without it: RS256 token in,
 * P-256 certificate out, TLS keep-alive, 16 connections (design.md section 9). Throws above the limit.
 */
export async function run(): Promise<void> {
  const key = await makeKey("RS256", "rsa");
  const { authenticator, sign } = await createJwtBench([key], { clock: systemClock });
  const groups = Array.from({ length: 10 }, (_, index) => `team number ${index}`);
  const exp = Math.floor(systemClock.now() / 1000) + 3600;
  const token = await sign({ username: "Jane.Doe@example.com", groups, exp }, key);
  const signer = createCertificateSigner({
    name: "bench",
    keyPair: createHolder<KeyPairPem | undefined>(await testAuthority("bench")),
    maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
  });
  const harness = await startHarness({
    credentials: createCredentialIssuing({
      signers: [signer],
      settings: createHolder(defaultCredentialSettings),
      clock: systemClock,
    }),
  });
  const kind = "JWTAuthenticator";
  const put = (name: string, entry: typeof authenticator): unknown =>
    harness.authenticators.set(JSON.stringify([AUTHENTICATION_GROUP, kind, name]), entry);
  put("plain", authenticator);
  const transformation = compilePolicy();
  const log = silentLogger;
  put(
    "guarded",
    createTransformingAuthenticator(authenticator, { transformation, settings: {}, log, name: "guarded" }),
  );
  const client = fork(join(import.meta.dirname, "exchange-client.ts"));
  try {
    /** CPU of this process in milliseconds, per login. */
    const cpuPerLogin = async (name: string): Promise<number> => {
      const spec = { token, authenticator: { apiGroup: AUTHENTICATION_GROUP, kind, name } };
      const apiVersion = "login.concierge.pinniped.dev/v1alpha1";
      const order: ExchangeOrder = {
        port: harness.port,
        caPem: harness.servingAuthority.certificatePem,
        path: LOGIN,
        body: JSON.stringify({ kind: "TokenCredentialRequest", apiVersion, spec }),
        count: BATCH,
        connections: CONNECTIONS,
      };
      const before = process.cpuUsage();
      client.send(order);
      const [credentials] = (await once(client, "message")) as [unknown];
      const { user, system } = process.cpuUsage(before);
      if (credentials !== BATCH) {
        throw new Error(`not every login succeeded: ${String(credentials)} of ${BATCH}`);
      }
      return (user + system) / 1000 / BATCH;
    };
    const plain: number[] = [];
    const guarded: number[] = [];
    // The first rounds are for warming up.
    for (let round = -2; round < LOGINS / BATCH; round++) {
      const costs = [await cpuPerLogin("plain"), await cpuPerLogin("guarded")] as const;
      if (round >= 0) {
        plain.push(costs[0]);
        guarded.push(costs[1]);
      }
    }
    const exchange = median(plain);
    const rules = median(guarded.map((cost, index) => cost - (plain[index] ?? 0)));
    const share = rules / exchange;
    console.log(`exchange                   ${exchange.toFixed(3)} ms CPU`);
    console.log(`12 rules over 10 groups    ${rules.toFixed(3)} ms CPU more`);
    console.log(`share of an exchange       ${(share * 100).toFixed(1)} % (limit ${LIMIT * 100} %)`);
    if (share > LIMIT) {
      throw new Error(
        `the rules cost ${(share * 100).toFixed(1)} % of an exchange, more than ${LIMIT * 100} %`,
      );
    }
  } finally {
    client.kill();
    authenticator.close();
    await harness.close();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
