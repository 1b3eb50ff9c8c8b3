import { type Clock, systemClock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { isAlreadyExists, isConflict, isNotFound } from "./api-error.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import { createLeaderTerm } from "./leader-election-term.ts";
import {
  type CallLimits,
  createLeaseAccess,
  formatMicroTime,
  type Lease,
  type LeaseSpec,
} from "./leader-election-lease.ts";
import type { OwnerReference } from "./objects.ts";

/** Milliseconds. `lease` > `renewDeadline` > `retryPeriod`. */
export interface LeaderElectionDurations {
  /** How long others wait for a holder that is silent. */
  readonly lease: number;
  /** How long after the start of its last successful renewal a holder stops by itself. */
  readonly renewDeadline: number;
  /** The longest pause between two tries. */
  readonly retryPeriod: number;
}

/** Contract 6.8. */
export const defaultDurations: LeaderElectionDurations = {
  lease: 137_000,
  renewDeadline: 107_000,
  retryPeriod: 26_000,
};

export interface LeaderElectionMetrics {
  setLeader(isLeader: boolean): void;
  /** A call about the Lease failed; conflicts are not failures. */
  callFailed(): void;
}

export interface LeaderElectionOptions {
  readonly client: KubernetesClient;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Unique among all replicas, e.g. the Pod's name. */
  readonly identity: string;
  readonly durations?: LeaderElectionDurations;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: LeaderElectionMetrics;
  /** Put on the Lease when it is created here. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Asked when the Lease is created here. */
  readonly ownerReferences?: () => readonly OwnerReference[];
  /** Milliseconds of a clock that never jumps; default `performance.now` beside the system clock, else `clock.now`. */
  readonly monotonicNow?: () => number;
  /** Answers 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
}

export interface LeaderElection {
  /** Whether this replica may write, right now. */
  isLeader(): boolean;
  /** Aborts when the present term ends; already aborted while this replica does not lead. One signal per term. */
  signal(): AbortSignal;
  /** Tells every change; a listener that throws is logged and stops nothing. Answers how to unsubscribe. */
  subscribe(listener: (isLeader: boolean) => void): () => void;
  /**
   * Competes until the signal aborts or `release` is called, then clears the flag, releases the Lease and resolves. Once
   * only. Writers must have stopped before: a write under way is not called back by the release.
   */
  run(signal: AbortSignal): Promise<void>;
  /** Ends `run` and waits for it. Without `run` it does nothing. */
  release(): Promise<void>;
}

const releaseMilliseconds = 5000;

/**
 * Leader election on a Lease (contract 6.8), understood by client-go's `LeaseLock`. Only locally measured time counts: the
 * times in the Lease are for readers. A term ends at the start of its last successful renewal + `renewDeadline`, even if no
 * timer fired, and so before anyone else may take the Lease. A lost Lease is competed for again; nothing exits.
 */
export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { clock, identity, log } = options;
  const durations = options.durations ?? defaultDurations;
  assertOptions(identity, durations);
  const monotonicNow =
    options.monotonicNow ?? (clock === systemClock ? () => performance.now() : () => clock.now());
  const random = options.random ?? Math.random;
  const access = createLeaseAccess({ client: options.client, clock, ...options.lease });
  const stopping = new AbortController();
  const term = createLeaderTerm({
    clock,
    log,
    monotonicNow,
    renewDeadlineMilliseconds: durations.renewDeadline,
    onChange: (isLeader) => options.metrics?.setLeader(isLeader),
  });
  const callLimits: CallLimits = {
    timeoutMilliseconds: Math.max(1000, durations.renewDeadline / 2),
    signal: stopping.signal,
  };
  let running: Promise<void> | undefined;
  let held: Lease | undefined;
  let observed: { readonly spec: string; readonly holder: string; readonly until: number } | undefined;
  let mayHoldLease = false;
  let failures = 0;

  /** One try to get or to keep the Lease. */
  const compete = async (): Promise<void> => {
    if (term.isLeader() && held !== undefined) {
      try {
        await write(held);
        return;
      } catch (error) {
        if (!isConflict(error) && !isNotFound(error)) {
          throw error;
        }
      }
    }
    held = undefined;
    const lease = await read();
    if (lease === undefined) {
      // Deleted under a living holder: it still believes in its term, so that is waited out.
      if (!isHeldByOther()) {
        await create();
      }
      return;
    }
    observe(lease);
    if (!isHeldByOther()) {
      await write(lease);
    } else {
      term.end(`the lease is held by ${observed?.holder ?? "another replica"}`);
    }
  };

  const read = async (): Promise<Lease | undefined> => {
    try {
      return await access.get(callLimits);
    } catch (error) {
      if (isNotFound(error)) {
        return undefined;
      }
      throw error;
    }
  };

  const isHeldByOther = (): boolean =>
    observed !== undefined &&
    observed.holder !== "" &&
    observed.holder !== identity &&
    monotonicNow() < observed.until;

  /** The holder's silence is counted from when its last sign of life was seen here, never from the times it wrote. */
  const observe = (lease: Lease): void => {
    const spec = JSON.stringify(lease.spec ?? {});
    if (observed?.spec === spec) {
      return;
    }
    const holder = lease.spec?.holderIdentity ?? "";
    if (holder !== observed?.holder && holder !== "" && holder !== identity) {
      log.info("another replica leads", { lease: options.lease.name, holder });
    }
    const seconds = lease.spec?.leaseDurationSeconds ?? 0;
    observed = { spec, holder, until: monotonicNow() + (seconds > 0 ? seconds * 1000 : durations.lease) };
  };

  const write = async (lease: Lease): Promise<void> => {
    const spec = nextSpec(lease.spec, identity, durations, clock.now());
    mayHoldLease = true;
    const started = term.mark();
    const stored = await access.update({ ...lease, spec }, callLimits);
    won(stored, started);
  };

  const create = async (): Promise<void> => {
    mayHoldLease = true;
    const started = term.mark();
    const stored = await access.create(newLease(), callLimits);
    won(stored, started);
  };

  const won = (stored: Lease, started: ReturnType<typeof term.mark>): void => {
    observe(stored);
    held = stored;
    if (!stopping.signal.aborted) {
      term.extend(started);
    }
  };

  const newLease = (): Lease => {
    const owners = options.ownerReferences?.() ?? [];
    return {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: {
        ...options.lease,
        ...(options.labels === undefined ? {} : { labels: options.labels }),
        ...(owners.length === 0 ? {} : { ownerReferences: owners }),
      },
      spec: nextSpec(undefined, identity, durations, clock.now()),
    };
  };

  const competeAndLog = async (): Promise<void> => {
    try {
      await compete();
      failures = 0;
    } catch (error) {
      if (stopping.signal.aborted) {
        return;
      }
      if (isConflict(error) || isAlreadyExists(error)) {
        log.debug("another replica was faster at the lease", { lease: options.lease.name });
        return;
      }
      failures++;
      options.metrics?.callFailed();
      const fields = { lease: options.lease.name, failures, error: messageOf(error) };
      if (failures === 1 || term.isLeader()) {
        log.warning("could not get or renew the lease, trying again", fields);
      } else {
        log.debug("could not get or renew the lease, trying again", fields);
      }
    }
  };

  /** Jitter only ever shortens a pause, so that a takeover takes at most `lease` + `retryPeriod` and a little. */
  const pause = (tryMilliseconds: number): number => {
    const period = durations.retryPeriod * (0.8 + 0.2 * random());
    if (term.isLeader() || !isHeldByOther()) {
      return Math.max(period - tryMilliseconds, Math.min(1000, durations.retryPeriod / 4));
    }
    const untilFree = (observed?.until ?? 0) - monotonicNow();
    return Math.min(period, untilFree + random() * Math.min(500, durations.lease / 50));
  };

  const releaseLease = async (): Promise<void> => {
    const deadline = monotonicNow() + releaseMilliseconds;
    for (;;) {
      const timeoutMilliseconds = deadline - monotonicNow();
      if (timeoutMilliseconds <= 0) {
        return;
      }
      try {
        const lease = await access.get({ timeoutMilliseconds });
        if (lease.spec?.holderIdentity !== identity) {
          return;
        }
        await access.update(
          { ...lease, spec: releasedSpec(lease.spec, clock.now()) },
          { timeoutMilliseconds: Math.max(1, deadline - monotonicNow()) },
        );
        log.info("lease released", { lease: options.lease.name });
        return;
      } catch (error) {
        if (isNotFound(error)) {
          return;
        }
        // A renewal that was given up can still arrive, and then the Lease must be read again.
        if (!isConflict(error)) {
          log.warning("could not release the lease, others wait until it expires", {
            lease: options.lease.name,
            error: messageOf(error),
          });
          return;
        }
      }
    }
  };

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const started = monotonicNow();
      await competeAndLog();
      if (!stopping.signal.aborted) {
        await clock.sleep(pause(monotonicNow() - started), stopping.signal);
      }
    }
    term.end("stopping");
    if (mayHoldLease) {
      await releaseLease();
    }
  };

  const stop = (): void => {
    // The flag goes first: from here on nothing is written that the next holder could collide with.
    term.end("stopping");
    stopping.abort();
  };

  return {
    isLeader: () => term.isLeader(),
    signal: () => term.signal(),
    subscribe: (listener) => term.subscribe(listener),
    run: async (signal) => {
      if (running !== undefined) {
        throw new TypeError("a leader election runs once");
      }
      if (signal.aborted) {
        stop();
      }
      signal.addEventListener("abort", stop, { once: true });
      running = loop();
      try {
        await running;
      } finally {
        signal.removeEventListener("abort", stop);
      }
    },
    release: async () => {
      stop();
      await running;
    },
  };
}

function assertOptions(identity: string, durations: LeaderElectionDurations): void {
  if (identity === "") {
    throw new TypeError("the identity of a leader election must not be empty");
  }
  const { lease, renewDeadline, retryPeriod } = durations;
  if (!(lease > renewDeadline && renewDeadline > retryPeriod && retryPeriod > 0)) {
    throw new TypeError("leader election needs lease > renewDeadline > retryPeriod > 0");
  }
}

function nextSpec(
  before: LeaseSpec | undefined,
  identity: string,
  durations: LeaderElectionDurations,
  now: number,
): LeaseSpec {
  const keeps = before?.holderIdentity === identity;
  // A renewal that changed nothing would be no sign of life, and a clock can stand still.
  const time = formatMicroTime(before?.renewTime === formatMicroTime(now) ? now + 1 : now);
  const transitions = before?.leaseTransitions ?? 0;
  return {
    ...before,
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(durations.lease / 1000),
    acquireTime: keeps ? (before.acquireTime ?? time) : time,
    renewTime: time,
    leaseTransitions: before === undefined || keeps ? transitions : transitions + 1,
  };
}

/** As client-go leaves a Lease: nobody's, with the shortest duration there is. */
function releasedSpec(before: LeaseSpec, now: number): LeaseSpec {
  const time = formatMicroTime(now);
  return {
    ...before,
    holderIdentity: "",
    leaseDurationSeconds: 1,
    acquireTime: time,
    renewTime: time,
    leaseTransitions: before.leaseTransitions ?? 0,
  };
}
