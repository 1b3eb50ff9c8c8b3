/* A plugin process of the tests: one credential key, one session that several keys share, and a file that counts what it calls. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../clock.ts";
import type { SessionKey } from "../../oidc/session.ts";
import { cachedCredential } from "../cached-credential.ts";
import type { CredentialRequest } from "../credential-request.ts";
import type { RenewCredential } from "../credential.ts";
import { createSessionCache } from "../session-cache.ts";
import { supplyCredential } from "../supply-credential.ts";
import { certificateCredential } from "./credential.ts";

const [folder = "", key = ""] = process.argv.slice(2);
const count = (what: string): void => appendFileSync(join(folder, "calls"), `${what}\n`);
const silent = (): void => undefined;
const show = (message: string, values?: object): void => {
  process.stderr.write(`${message} ${JSON.stringify(values)}\n`);
};
const context: CredentialRequest["context"] = {
  environment: {},
  platform: process.platform,
  clock: systemClock,
  log: { error: show, info: silent, debug: silent, setLevel: silent },
  signal: new AbortController().signal,
  userId: process.getuid?.(),
  parentProcessId: process.ppid,
};
const sessions = createSessionCache({ context, file: join(folder, "sessions.yaml"), debug: true });
const session: SessionKey = {
  issuer: "https://issuer.example.com",
  clientID: "pinniped-cli",
  scopes: ["openid"],
  redirect_uri: "http://localhost:0/callback",
};

/** The Supervisor's rule: a refresh token works once, a second use ends the session. */
const renew: RenewCredential = async ({ interactive, signal }) => {
  if (interactive) {
    count("interactive");
  }
  await sessions.exclusively(session, signal, async () => {
    const tokens = await sessions.get(session);
    if (tokens?.access && Date.parse(tokens.access.expiryTimestamp ?? "") > systemClock.now() + 10_000) {
      return;
    }
    count(`refresh ${tokens?.refresh?.token ?? "nothing"}`);
    await systemClock.sleep(200);
    await sessions.put(session, {
      access: {
        token: "access",
        type: "Bearer",
        expiryTimestamp: new Date(systemClock.now() + 120_000).toISOString(),
      },
      refresh: { token: `refresh-${systemClock.now()}` },
    });
  });
  count(`exchange ${key}`);
  await systemClock.sleep(200);
  const now = systemClock.now();
  return {
    credential: certificateCredential(now - 300_000, now + 300_000),
    fromConcierge: true,
    clockOffset: 0,
    issuedAt: now,
    endpoint: "https://concierge.example.com",
  };
};
const request: CredentialRequest = {
  context,
  file: join(folder, "credentials.yaml"),
  key,
  fromConcierge: true,
  // All these processes have one parent, which no client-go is: rule 7 would take them for one that was refused.
  execInfoGiven: false,
};
const credential = (await cachedCredential(request)) ?? (await supplyCredential({ ...request, renew }));
process.stdout.write(`${JSON.stringify(credential)}\n`);
