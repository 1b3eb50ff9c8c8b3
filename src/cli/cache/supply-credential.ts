import { messageOf } from "../../errors.ts";
import { CommandError } from "../command-error.ts";
import { flightLockPath } from "./cache-transaction.ts";
import { cacheStoreName } from "./cache-store.ts";
import { reported, timesForLog } from "./cached-credential.ts";
import type { CredentialRequest } from "./credential-request.ts";
import type { ClusterCredential, IssuedCredential, RenewCredential } from "./credential.ts";
import { isOver, issueReport, staleReport } from "./decision.ts";
import type { Decision } from "./decision.ts";
import { lookUp, readClient } from "./look-up.ts";
import type { LookUp } from "./look-up.ts";
import { MINIMUM_REPORT, overlapFromEnvironment, renewalTimes } from "./renewal-times.ts";
import type { RenewalTimes } from "./renewal-times.ts";
import { fingerprintOf } from "./side-file.ts";
import { enterSingleFlight } from "./single-flight.ts";
import type { SingleFlight } from "./single-flight.ts";
import { recordFailure, recordHandOut, storeIssued } from "./store-credential.ts";

/** How long an early renewal may hold up the client (contract cli.md 13.3 rule 4), milliseconds. */
const EARLY_RENEWAL_LIMIT = 10_000;
/** How long a whole login may take (contract cli.md 4.2), milliseconds. */
const LOGIN_LIMIT = 90 * 60_000;

export interface SupplyRequest extends CredentialRequest {
  readonly renew: RenewCredential;
}

interface Asked extends SupplyRequest {
  readonly askedAt: number;
}

type Usable = Extract<Decision, { readonly report: number }>;

/**
 * A credential that works, with the end to report: from the cache, by an early renewal, or by a login (contract cli.md 13.3). At most
 * one process renews one credential at a time. Rejects with what `renew` throws when there was nothing to fall back on.
 */
export async function supplyCredential(options: SupplyRequest): Promise<ClusterCredential> {
  const { context, file } = options;
  if (file === "" || cacheStoreName(context.environment) === "none") {
    return issueUncached(options);
  }
  const request: Asked = { ...options, askedAt: context.clock.now() };
  const found = await lookUp(request);
  const { decision, credential } = found;
  if (credential === undefined || decision.state === "dead") {
    return logIn(request);
  }
  return decision.state === "fresh" || decision.state === "stale"
    ? handOut(request, credential, decision)
    : renewEarly(request, credential, decision);
}

async function issueUncached(request: SupplyRequest): Promise<ClusterCredential> {
  const { context, renew, fromConcierge } = request;
  const issued = await renew({ interactive: true, signal: context.signal });
  const times = renewalTimes({
    credential: issued.credential,
    fromConcierge,
    issuedAt: issued.issuedAt,
    clockOffset: issued.clockOffset,
    storedAt: context.clock.now(),
    overlap: overlapFromEnvironment(context.environment),
  });
  return withReport(issued.credential, issueReport(times, context.clock.now()));
}

async function handOut(
  request: Asked,
  credential: ClusterCredential,
  decision: Usable,
): Promise<ClusterCredential> {
  const { context } = request;
  context.log.debug("using cached cluster credential.", {
    decision: decision.state,
    ...timesForLog(decision.times, context.clock.now()),
  });
  const client = decision.state === "fresh" ? await readClient(request) : undefined;
  if (client !== undefined) {
    await recordHandOut(request, credential, client, decision.report);
  }
  return reported(credential, decision.report);
}

/** Rules 4 to 7: nobody is asked, and the old credential is still there if it fails. */
async function renewEarly(
  request: Asked,
  credential: ClusterCredential,
  decision: Usable,
): Promise<ClusterCredential> {
  const { context } = request;
  const suspected = decision.state === "suspected";
  const replaced = async (): Promise<boolean> =>
    wasReplaced(await lookUp(request, request.askedAt), credential);
  const flight = await enterSingleFlight({
    ...flightOptions(request),
    // Who was refused gains nothing from the same credential once more; everybody else need not wait.
    limit: suspected ? EARLY_RENEWAL_LIMIT : 0,
    done: suspected ? replaced : undefined,
  });
  if (flight === "busy") {
    const now = await lookUp(request, request.askedAt);
    if (now.credential === undefined || now.decision.state === "dead") {
      return logIn(request);
    }
    if (isServing(now.decision)) {
      return handOut(request, now.credential, now.decision);
    }
    context.log.debug("another process renews the cluster credential, using the cached one", {
      decision: "stale-if-error",
      ...timesForLog(now.decision.times, context.clock.now()),
    });
    return reported(now.credential, now.decision.report);
  }
  try {
    const now = await lookUp(request, request.askedAt);
    if (now.credential === undefined || now.decision.state === "dead") {
      return await logInAlone(request);
    }
    return isServing(now.decision) || (suspected && wasReplaced(now, credential))
      ? await handOut(request, now.credential, now.decision)
      : await renewAlone(request, now.credential, now.decision);
  } finally {
    flight.leave();
  }
}

function isServing(decision: Decision): decision is Extract<Decision, { readonly state: "fresh" | "stale" }> {
  return decision.state === "fresh" || decision.state === "stale";
}

function wasReplaced(now: LookUp, credential: ClusterCredential): boolean {
  return (
    now.credential !== undefined &&
    now.decision.state !== "dead" &&
    fingerprintOf(now.credential) !== fingerprintOf(credential)
  );
}

async function renewAlone(
  request: Asked,
  credential: ClusterCredential,
  decision: Usable,
): Promise<ClusterCredential> {
  const { context } = request;
  const suspected = decision.state === "suspected";
  const bypassedAt = suspected ? context.clock.now() : undefined;
  context.log.debug("renewing the cluster credential", {
    decision: suspected ? "bypass" : "renew early",
    ...timesForLog(decision.times, context.clock.now()),
  });
  let issued: IssuedCredential;
  try {
    issued = await renewInTime(request, decision.times);
  } catch (error) {
    context.signal.throwIfAborted();
    const retryAt = await recordFailure(request, credential, bypassedAt);
    const now = context.clock.now();
    if (isOver(decision.times, now)) {
      return logInAlone(request);
    }
    context.log.debug("could not renew the cluster credential, using the cached one", {
      decision: "stale-if-error",
      error: messageOf(error),
      ...timesForLog(decision.times, now),
    });
    return reported(credential, staleReport(decision.times, now, retryAt));
  }
  return keep(request, issued, bypassedAt);
}

/** Ends while the old credential can still be handed out. */
async function renewInTime(
  { context, renew }: SupplyRequest,
  { hardExpiry }: RenewalTimes,
): Promise<IssuedCredential> {
  const rest = hardExpiry - context.clock.now() - MINIMUM_REPORT;
  const limitMilliseconds = Math.max(0, Math.min(EARLY_RENEWAL_LIMIT, rest));
  const limit = new AbortController();
  const finished = new AbortController();
  const signal = AbortSignal.any([context.signal, limit.signal]);
  const timeout = context.clock.sleep(limitMilliseconds, finished.signal).then(() => {
    const error = new CommandError(
      "cli.early-renewal-timeout",
      `the early renewal took more than ${limitMilliseconds / 1000} s`,
    );
    limit.abort(error);
    // After an end that came first nobody hears this.
    throw error;
  });
  try {
    return await Promise.race([renew({ interactive: false, signal }), timeout]);
  } finally {
    finished.abort();
    timeout.catch(() => undefined);
  }
}

/** Nothing in the cache works: whoever comes first logs in, the others wait for what it gets. */
async function logIn(request: Asked): Promise<ClusterCredential> {
  const flight = await enterSingleFlight({
    ...flightOptions(request),
    limit: LOGIN_LIMIT,
    done: async () => isServing((await lookUp(request, request.askedAt)).decision),
  });
  try {
    const { credential, decision } = await lookUp(request, request.askedAt);
    if (credential !== undefined && isServing(decision)) {
      return await handOut(request, credential, decision);
    }
    if (flight === "busy") {
      throw new CommandError(
        "cli.login-busy",
        "another process has been logging in for 90 minutes; end it, then try again",
      );
    }
    return credential === undefined || decision.state === "dead"
      ? await logInAlone(request)
      : await renewAlone(request, credential, decision);
  } finally {
    leave(flight);
  }
}

function leave(flight: SingleFlight | "busy"): void {
  if (flight !== "busy") {
    flight.leave();
  }
}

async function logInAlone(request: Asked): Promise<ClusterCredential> {
  const issued = await request.renew({ interactive: true, signal: request.context.signal });
  return keep(request, issued, undefined);
}

async function keep(
  request: Asked,
  issued: IssuedCredential,
  bypassedAt: number | undefined,
): Promise<ClusterCredential> {
  return withReport(issued.credential, await storeIssued(request, issued, bypassedAt));
}

function withReport(credential: ClusterCredential, report: number | undefined): ClusterCredential {
  return report === undefined ? credential : reported(credential, report);
}

function flightOptions({
  context,
  file,
  key,
}: Asked): Pick<Parameters<typeof enterSingleFlight>[0], "context" | "path" | "signal" | "report"> {
  return {
    context,
    path: flightLockPath(file, key),
    signal: context.signal,
    report: (text) => context.log.debug("no lock for the renewal", { error: text }),
  };
}
