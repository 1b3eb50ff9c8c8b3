/* A Concierge, a verifier and clients made of nothing but clocks: the rules of contract cli.md 3 and 8 that the cache has to live with. */
import { join } from "node:path";
import { createManualClock } from "../../../clock.ts";
import type { ManualClock } from "../../../clock.ts";
import { CommandError } from "../../command-error.ts";
import type { CommandLog } from "../../log.ts";
import { cachedCredential } from "../cached-credential.ts";
import type { CredentialRequest } from "../credential-request.ts";
import { credentialDates } from "../credential-dates.ts";
import type { ClusterCredential, RenewCredential } from "../credential.ts";
import type { ParentProcess } from "../parent-process.ts";
import { supplyCredential } from "../supply-credential.ts";
import { certificateCredential } from "./credential.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export interface SimulatedCluster {
  /** Milliseconds by which the issuing replica is ahead of the client's machine. */
  issuerOffset: number;
  /** The same of who checks certificates at each request. */
  verifierOffset: number;
  /** Milliseconds that certificates live. */
  lifetime: number;
  /** Milliseconds by which the reported end is earlier than the real one. */
  reportedLead: number;
  /** Which CA signs and is trusted. */
  authority: string;
  /** What an exchange comes to. */
  answers: "credentials" | "errors" | "nothing";
  readonly issues: { readonly at: number; readonly interactive: boolean }[];
  /** Every call, answered or not. */
  readonly calls: { readonly at: number; readonly interactive: boolean }[];
  readonly renew: RenewCredential;
  accepts(credential: ClusterCredential): boolean;
}

const BACKDATE = 5 * 60_000;

export function createSimulatedCluster(clock: ManualClock): SimulatedCluster {
  const signedBy = new Map<string, string>();
  const cluster: SimulatedCluster = {
    issuerOffset: 0,
    verifierOffset: 0,
    lifetime: 5 * 60_000,
    reportedLead: 0,
    authority: "first",
    answers: "credentials",
    issues: [],
    calls: [],
    renew: async ({ interactive, signal }) => {
      cluster.calls.push({ at: clock.now(), interactive });
      if (cluster.answers === "nothing") {
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
        );
      }
      if (cluster.answers !== "credentials") {
        throw new CommandError(
          "cli.test",
          "could not complete Concierge credential exchange: connection refused",
        );
      }
      const now = Math.floor((clock.now() + cluster.issuerOffset) / 1000) * 1000;
      const end = now + cluster.lifetime;
      const credential = certificateCredential(now - BACKDATE, end, end - cluster.reportedLead);
      signedBy.set(credential.clientCertificateData ?? "", cluster.authority);
      cluster.issues.push({ at: clock.now(), interactive });
      return {
        credential,
        fromConcierge: true,
        clockOffset: now - clock.now(),
        issuedAt: now,
        endpoint: "https://concierge.example.com",
      };
    },
    accepts: (credential) => {
      const dates = credentialDates(credential);
      const now = clock.now() + cluster.verifierOffset;
      return (
        dates?.from !== undefined &&
        dates.from <= now &&
        now <= dates.until &&
        signedBy.get(credential.clientCertificateData ?? "") === cluster.authority
      );
    },
  };
  return cluster;
}

export interface SimulatedClient {
  /** One request through client-go; what the application sees. */
  request(): Promise<200 | 401>;
  /** When the plugin ran. */
  readonly runs: number[];
  readonly credential: () => ClusterCredential | undefined;
}

/** How a plugin answers: ours, or a model of another program. */
export type Plugin = (client: ParentProcess) => Promise<ClusterCredential>;

let nextProcess = 5_000;

/**
 * client-go (contract cli.md 3): runs the plugin when it has nothing, when its own clock is behind the reported end, and once after a
 * 401, which the application still sees.
 */
export function createSimulatedClient(
  clock: ManualClock,
  cluster: SimulatedCluster,
  plugin: Plugin,
): SimulatedClient {
  const runs: number[] = [];
  const processId = ++nextProcess;
  const startedAt = clock.now();
  let credential: ClusterCredential | undefined;
  const run = async (): Promise<ClusterCredential> => {
    const before = runs.length > 0;
    runs.push(clock.now());
    return plugin({
      processId,
      start: String(startedAt),
      startedAt,
      ranPlugin: before,
    });
  };
  return {
    runs,
    credential: () => credential,
    request: async () => {
      const end = credential?.expirationTimestamp;
      if (credential === undefined || (end !== undefined && clock.now() > Date.parse(end))) {
        credential = await run();
      }
      if (cluster.accepts(credential)) {
        return 200;
      }
      credential = await run();
      return 401;
    },
  };
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly values: Readonly<Record<string, unknown>> | undefined;
}

export function createMemoryLog(): CommandLog & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (message: string, values?: Readonly<Record<string, unknown>>): void => {
      lines.push({ level, message, values });
    };
  return { lines, error: at("error"), info: at("info"), debug: at("debug"), setLevel: () => undefined };
}

export interface Workstation {
  readonly clock: ManualClock;
  readonly cluster: SimulatedCluster;
  readonly log: ReturnType<typeof createMemoryLog>;
  readonly file: string;
  readonly request: CredentialRequest;
  readonly plugin: Plugin;
  client(plugin?: Plugin): SimulatedClient;
}

/** A machine with a cache of its own and a clock that only moves when told to. */
export function createWorkstation(environment: Readonly<Record<string, string>> = {}): Workstation {
  const clock = createManualClock(Date.UTC(2026, 4, 1, 12, 0, 0, 250));
  const cluster = createSimulatedCluster(clock);
  const log = createMemoryLog();
  const file = join(temporaryFolder(), "pinniped", "credentials.yaml");
  const request: CredentialRequest = {
    context: {
      environment,
      platform: process.platform,
      clock,
      log,
      signal: new AbortController().signal,
      userId: process.getuid?.(),
      parentProcessId: 4_711,
    },
    file,
    key: "00ff",
    fromConcierge: true,
    endpoint: "https://concierge.example.com",
    execInfoGiven: true,
  };
  const plugin: Plugin = async (client) => {
    const own: CredentialRequest = {
      ...request,
      context: { ...request.context, parentProcessId: client.processId },
      readParent: () => client,
    };
    return (await cachedCredential(own)) ?? supplyCredential({ ...own, renew: cluster.renew });
  };
  return {
    clock,
    cluster,
    log,
    file,
    request,
    plugin,
    client: (other = plugin) => createSimulatedClient(clock, cluster, other),
  };
}

/** The existing CLI's cache (contract cli.md 7): an end is an end, and nothing before it matters. */
export function createExistingPlugin({ clock, cluster }: Pick<Workstation, "clock" | "cluster">): Plugin {
  let cached: ClusterCredential | undefined;
  return async () => {
    const end = cached?.expirationTimestamp;
    if (cached === undefined || end === undefined || Date.parse(end) < clock.now()) {
      cached = (await cluster.renew({ interactive: true, signal: new AbortController().signal })).credential;
    }
    return cached;
  };
}

/** Lets time pass until a promise is settled. */
export async function passTimeUntil<T>(clock: ManualClock, promise: Promise<T>, step = 50): Promise<T> {
  const progress = { settled: false };
  const watched = promise.finally(() => (progress.settled = true));
  watched.catch(() => undefined);
  for (;;) {
    for (let turn = 0; turn < 40 && !progress.settled; turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (progress.settled) {
      return watched;
    }
    await clock.advance(step);
  }
}
