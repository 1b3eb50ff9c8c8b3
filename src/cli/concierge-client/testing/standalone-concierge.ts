import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { authenticatorStatuses } from "../../../../hack/demo/authenticator-statuses.ts";
import { AUTHENTICATOR, jwtAuthenticator } from "../../../../hack/demo/issuer.ts";
import { startStandaloneServer } from "../../../../hack/demo/standalone-server.ts";
import { systemClock } from "../../../clock.ts";
import { startIssuer, type TestIssuer } from "../../../../test/oidc/issuer.ts";

/** The real Concierge as a process of its own, trusting an issuer. */
export interface StandaloneConcierge {
  /** `https://127.0.0.1:PORT`. */
  readonly endpoint: string;
  readonly caPem: string;
  readonly authenticator: string;
  readonly issuer: TestIssuer;
  /** An ID token of user `ann` that lives for an hour. */
  token(): Promise<string>;
  stop(): Promise<void>;
}

export async function startStandaloneConcierge(): Promise<StandaloneConcierge> {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-cli-concierge-"));
  const issuer = await startIssuer({ users: [{ username: "ann" }], forPrograms: true });
  const manifestsFolder = join(folder, "manifests");
  mkdirSync(manifestsFolder, { mode: 0o700 });
  writeFileSync(join(manifestsFolder, "authenticator.yaml"), stringify(jwtAuthenticator(issuer)), {
    mode: 0o600,
  });
  const stateFolder = join(folder, "state");
  const configFile = join(folder, "concierge.yaml");
  const standalone = { stateFolder, listenAddress: "127.0.0.1:0" };
  writeFileSync(configFile, stringify({ log: { level: "info" }, standalone }));
  const server = await startStandaloneServer({
    manifestsFolder,
    configFile,
    workingFolder: folder,
    logFile: join(folder, "server.log"),
  });
  const deadline = performance.now() + 15_000;
  while (!authenticatorStatuses(stateFolder).some(({ phase }) => phase === "Ready")) {
    if (performance.now() > deadline) {
      throw new Error(`the authenticator is not ready:\n${server.lastLines()}`);
    }
    await delay(50);
  }
  return {
    endpoint: server.address,
    caPem: server.caPem,
    authenticator: AUTHENTICATOR,
    issuer,
    token: () =>
      issuer.signToken({ sub: "ann", username: "ann", exp: Math.floor(systemClock.now() / 1000) + 3600 }),
    stop: async () => {
      await server.stop();
      await issuer.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
