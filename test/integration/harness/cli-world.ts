import { type Cluster, startCluster } from "../../../hack/cluster/cluster.ts";
import { startIssuer, type TestIssuer } from "../../oidc/issuer.ts";
import type { SupervisorUser } from "../../oidc/supervisor-sessions.ts";
import { startSupervisor, type SupervisorOptions, type TestSupervisor } from "../../oidc/supervisor.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./authenticators.ts";
import {
  clockEnvironment,
  createPerson,
  type Person,
  type PersonOptions,
  type ProgramResult,
} from "./cli.ts";
import {
  freePort,
  type Installation,
  installConcierge,
  kubectl,
  type Replica,
  tail,
  waitUntilReachable,
  waitUntilServing,
} from "./concierge.ts";
import { eventually } from "./eventually.ts";
import type { AuthenticatorName } from "./exchange.ts";
import { proxyAt } from "./proxy.ts";
import { grant, readConfigMaps } from "./proxy-world.ts";

export type Mode = "TokenCredentialRequestAPI" | "ImpersonationProxy";
export const modes: readonly Mode[] = ["TokenCredentialRequestAPI", "ImpersonationProxy"];

const user = (username: string): SupervisorUser => ({
  username,
  password: "correct horse",
  groups: ["developers"],
});
export const ada = user("ada");
/** One for each test that counts. */
export const others = ["ben", "cleo", "dora", "emil", "fay", "gus", "hana", "ivo", "jill", "karl"].map(user);
/** Audience of the authenticator that trusts the Supervisor. */
export const audience = "test-cluster";
export const plainClientId = "lanyard-cli";

/** Authenticators of the world: credentials of the `short` ones live a minute. */
export const authenticators = {
  plain: { kind: "JWTAuthenticator", name: "plain" },
  supervisor: { kind: "JWTAuthenticator", name: "supervisor" },
  short: { kind: "JWTAuthenticator", name: "short" },
} as const satisfies Record<string, AuthenticatorName>;

/** A cluster that people log in to with the CLI: through its API and through the impersonation proxy. */
export interface CliWorld {
  readonly cluster: Cluster;
  readonly installation: Installation;
  /** A certified OIDC provider; `ada` needs no password there. */
  readonly issuer: TestIssuer;
  readonly supervisor: TestSupervisor;
  readonly proxyServer: string;
  /** Somebody who has used nothing yet; removed with the world. With a user: whose name and password are in the environment. */
  person(options?: PersonOptions & { readonly user?: SupervisorUser }): Promise<Person>;
  /** `lanyard get kubeconfig` from the administrator's; answers the path of the file. */
  getKubeconfig(
    person: Person,
    mode: Mode,
    authenticator: AuthenticatorName,
    more?: readonly string[],
  ): Promise<string>;
  /** Exchanges that were answered with a credential for this user since the last time this was asked of them. */
  newExchanges(username: string): number;
  /** Ends the server and waits; a new one starts on the same ports. */
  stopConcierge(): Promise<void>;
  startConcierge(): Promise<void>;
  /** Waits until the API server passes requests on to the Concierge again. */
  noticedByApiServer(): Promise<void>;
  stop(): Promise<void>;
}

export interface CliWorldOptions {
  /** What libfaketime understands, such as `+5s`: the clock of the Concierge alone. */
  readonly serverClock?: string;
  readonly supervisor?: Partial<SupervisorOptions>;
}

export async function startCliWorld(name: string, options: CliWorldOptions = {}): Promise<CliWorld> {
  const undo: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) {
      await step();
    }
  };
  try {
    return await start(name, options, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  name: string,
  options: CliWorldOptions,
  undo: (() => unknown)[],
  stop: () => Promise<void>,
): Promise<CliWorld> {
  const issuer = await startIssuer({
    clientId: plainClientId,
    users: [ada, ...others].map(({ username, groups }) => ({ username, groups })),
    forPrograms: true,
  });
  undo.push(() => issuer.stop());
  const supervisor = await startSupervisor({ users: [ada, ...others], ...options.supervisor });
  undo.push(() => supervisor.stop());
  const cluster = await startCluster({ name: `${name}-${process.pid}`, progress: () => {} });
  undo.push(() => cluster.stop());
  const proxyPort = await freePort();
  const installation = await installConcierge(cluster, {
    environment: clockEnvironment(options.serverClock),
    values: [
      `impersonationProxy.externalEndpoint=localhost:${proxyPort}`,
      // Credentials of more than ten minutes come from the cluster's own signer, all others from the proxy's, which holds the
      // cluster's authority: so one installation shows both modes, and lifetimes of a minute are good in both.
      "kubeCertAgent.enabled=false",
      "certificateSigningRequestAPI.mode=Enabled",
      "clientCertificate.maximumLifetimeSeconds=900",
    ],
    configuration: {
      audit: { logUsernamesAndGroups: "enabled" },
      impersonationProxyServerPort: proxyPort,
      leaderElection: { leaseDurationSeconds: 5, renewDeadlineSeconds: 3, retryPeriodSeconds: 1 },
    },
  });
  undo.push(() => installation.close());
  await waitUntilServing(installation);
  let replica: Replica | undefined = installation.replicas[0];
  const logs: string[] = [];
  for (const [authenticator, spec] of [
    [
      authenticators.plain,
      { issuer: issuer.issuerUrl, audience: plainClientId, tls: inlineBundle(issuer.caPem) },
    ],
    [
      authenticators.supervisor,
      { issuer: supervisor.issuerUrl, audience, tls: inlineBundle(supervisor.caPem) },
    ],
    [
      authenticators.short,
      {
        issuer: supervisor.issuerUrl,
        audience,
        tls: inlineBundle(supervisor.caPem),
        credential: { maximumLifetimeSeconds: 60 },
      },
    ],
  ] as const) {
    await applyAuthenticator(cluster, authenticator, spec);
  }
  for (const authenticator of Object.values(authenticators)) {
    await authenticatorInPhase(cluster, authenticator, "Ready");
  }
  await grant(cluster, "developers-read", { kind: "Group", name: "developers" }, readConfigMaps);
  const world: CliWorld = {
    cluster,
    installation,
    issuer,
    supervisor,
    proxyServer: `https://localhost:${proxyPort}`,
    person: async ({ user, ...options } = {}) => {
      const person = await createPerson({
        ...options,
        environment: {
          ...(user === undefined
            ? {}
            : { PINNIPED_USERNAME: user.username, PINNIPED_PASSWORD: user.password }),
          ...options.environment,
        },
      });
      undo.push(() => person.remove());
      return person;
    },
    getKubeconfig: async (person, mode, authenticator, more = []) => {
      const file = person.path(`${mode}-${authenticator.name}-${kubeconfigs++}.yaml`);
      succeeded(
        await person.run([
          "get",
          "kubeconfig",
          `--kubeconfig=${cluster.kubeconfig}`,
          `--concierge-mode=${mode}`,
          "--concierge-authenticator-type=jwt",
          `--concierge-authenticator-name=${authenticator.name}`,
          `--pinniped-cli-path=${person.lanyard}`,
          `--output=${file}`,
          ...(authenticator.name === authenticators.plain.name ? [`--oidc-client-id=${plainClientId}`] : []),
          ...more,
        ]),
      );
      return file;
    },
    newExchanges: (username) => {
      const all = [...logs, replica?.log() ?? ""]
        .join("")
        .split("\n")
        .filter(
          (line) =>
            line.includes('"TokenCredentialRequest Authenticated User"') &&
            line.includes(`"username":${JSON.stringify(username)}`),
        ).length;
      const fresh = all - (takenOff.get(username) ?? 0);
      takenOff.set(username, all);
      return fresh;
    },
    stopConcierge: async () => {
      if (replica !== undefined) {
        await replica.end();
        logs.push(replica.log());
        replica = undefined;
      }
    },
    startConcierge: async () => {
      replica = await installation.startReplica(0);
      const started = replica;
      await eventually(`readiness\n${tail(started)}`, async () => (await started.readyz()).status === 200);
    },
    noticedByApiServer: () => waitUntilReachable(installation),
    stop,
  };
  const takenOff = new Map<string, number>();
  let kubeconfigs = 0;
  await bothStrategies(installation);
  const [first] = installation.replicas;
  if (first !== undefined) {
    // It listens where the configuration says, not where the harness would have it.
    await proxyAt(installation, { ...first, proxyPort });
  }
  return world;
}

/** Fails with what the program said unless it ended well. */
export function succeeded(result: ProgramResult): ProgramResult {
  if (result.code !== 0) {
    throw new Error(`exit ${result.code}: ${result.stderr}${result.stdout}`);
  }
  return result;
}

async function bothStrategies({ cluster, app }: Installation): Promise<void> {
  await eventually("both modes in the CredentialIssuer", async () => {
    const issuer = JSON.parse(
      await kubectl(cluster, ["get", "credentialissuer", `${app}-config`, "--output=json"]),
    ) as {
      readonly status?: { readonly strategies?: readonly { status: string; frontend?: { type: string } }[] };
    };
    const frontends = issuer.status?.strategies
      ?.filter(({ status }) => status === "Success")
      .map(({ frontend }) => frontend?.type);
    return modes.every((mode) => frontends?.includes(mode));
  });
}
