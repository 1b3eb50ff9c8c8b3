import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { authenticatorStatuses } from "./authenticator-statuses.ts";
import { describeCertificate, whoAmI } from "./exchange.ts";
import { DemoFailure } from "./failure.ts";
import {
  AUTHENTICATOR,
  exchangeForCertificate,
  jwtAuthenticator,
  logIn,
  showRefusals,
  startDemoIssuer,
} from "./issuer.ts";
import type { Run } from "./run-to-the-end.ts";
import { startStandaloneServer, type StandaloneServer } from "./standalone-server.ts";
import { createStory } from "./story.ts";

const AUTHENTICATOR_LIMIT_MILLISECONDS = 15_000;

/** The main job without a cluster: one server process, one manifest, one user. */
export async function demonstrateStandalone(run: Run): Promise<void> {
  const story = createStory();
  story.say("Lanyard turns a token that you trust into a certificate that lives five minutes.");
  // S22: the state holds the signing key, so nobody else may read it, and it goes with the demo.
  const folder = await run.start(
    () => mkdtemp(join(tmpdir(), "lanyard-demo-")),
    (path) => rm(path, { recursive: true, force: true }),
  );

  const issuer = await startDemoIssuer(run);
  story.step("An OpenID Connect issuer runs on this machine, in the part of your company's.", {
    issuer: issuer.issuerUrl,
  });

  const manifests = join(folder, "manifests");
  mkdirSync(manifests, { mode: 0o700 });
  writeFileSync(join(manifests, "jwt-authenticator.yaml"), stringify(jwtAuthenticator(issuer)), {
    mode: 0o600,
  });
  const configFile = join(folder, "concierge.yaml");
  const stateFolder = join(folder, "state");
  writeFileSync(
    configFile,
    stringify({ log: { level: "info" }, standalone: { stateFolder, listenAddress: "127.0.0.1:0" } }),
  );
  const server = await run.start(
    () =>
      startStandaloneServer({
        manifestsFolder: manifests,
        configFile,
        workingFolder: folder,
        logFile: join(folder, "server.log"),
        signal: run.signal,
      }),
    (started) => started.stop(),
  );
  const { address, caPem } = server;
  try {
    await waitForAuthenticator(stateFolder);
    story.step("Lanyard runs as one process. All it was told is one YAML file: trust that issuer.", {
      address,
      manifest: `JWTAuthenticator "${AUTHENTICATOR}", Ready`,
    });
    const token = await logIn(issuer, story);
    const certificate = await exchangeForCertificate({ server: address, caPem }, token);
    story.step(
      "Lanyard checked the token and answered with a client certificate.",
      describeCertificate(certificate),
    );
    const user = await whoAmI({ server: address, caPem }, certificate);
    story.step("The certificate was used for mutual TLS, and Lanyard was asked: who am I?", {
      username: user.username,
      groups: (user.groups ?? []).join(", "),
    });
    await showRefusals({ server: address, caPem }, issuer, story);
  } catch (error) {
    throw withLog(error, server);
  }
  story.say(`\nAll as it should be, in ${story.elapsed()}. Nothing of it stays on this machine.`);
  story.say("Next: npm run demo -- --cluster does the same with a real Kubernetes (needs Go).");
}

async function waitForAuthenticator(stateFolder: string): Promise<void> {
  const limit = performance.now() + AUTHENTICATOR_LIMIT_MILLISECONDS;
  for (;;) {
    const status = authenticatorStatuses(stateFolder).find(({ name }) => name === AUTHENTICATOR);
    if (status?.phase === "Ready") {
      return;
    }
    if (performance.now() > limit) {
      throw new DemoFailure(`the authenticator was not ready within 15 s: ${status?.problem ?? "no status"}`);
    }
    await delay(20);
  }
}

function withLog(error: unknown, server: StandaloneServer): unknown {
  return error instanceof Error
    ? new DemoFailure(error.message, { log: server.lastLines(), cause: error })
    : error;
}
