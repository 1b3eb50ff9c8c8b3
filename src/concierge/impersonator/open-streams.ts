import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics, StreamCutReason } from "../../telemetry/metrics.ts";
import type { Authorizer } from "../request/authorizer.ts";
import type { ConciergeState } from "../state/concierge-state.ts";
import type { ProxyAuthentication } from "./authentication.ts";
import { isCallerDenied } from "./denied-caller.ts";
import type { RequestAudit } from "./request-audit.ts";
import type { RequestContext } from "./request-context.ts";

/** S16: how often an open stream's right to go on is asked for again. */
const RECHECK_MILLISECONDS = 60_000;
const JITTER = 0.2;
/** How long a due check or an end may be late; well within the 5 s of S10 and S15, which do not wait for it anyway. */
const TICK_MILLISECONDS = 1_000;

export interface OpenStreamsOptions {
  readonly state: Pick<ConciergeState, "denyList" | "credentialSettings" | "proxySignerTrust" | "bearerKeys">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly authorizer: Authorizer;
  readonly authentication: Pick<ProxyAuthentication, "signerKnows">;
  readonly audit: Pick<RequestAudit, "streamCut">;
  readonly metrics: Pick<Metrics, "proxiedStreams" | "proxiedStreamCut">;
  /** 0 to 1, exclusive; `Math.random` when absent. */
  readonly random?: (() => number) | undefined;
}

interface OpenStream {
  readonly context: RequestContext;
  readonly cut: AbortController;
  nextCheckAt: number;
  checking: boolean;
}

/** Watches over requests that outlive their authentication (S10, S15, S16). */
export interface OpenStreams {
  /** Begins to watch over a stream that the kube-apiserver has taken; it may be cut at once. Answers how to stop. */
  add(context: RequestContext, cut: AbortController): () => void;
  /** Stops following the holders. */
  close(): void;
}

export function createOpenStreams(options: OpenStreamsOptions): OpenStreams {
  const { state, clock, log, audit, metrics, random = Math.random } = options;
  const streams = new Set<OpenStream>();
  let cancelTick: (() => void) | undefined;

  const cut = (stream: OpenStream, reason: StreamCutReason): void => {
    if (stream.cut.signal.aborted || !streams.has(stream)) {
      return;
    }
    metrics.proxiedStreamCut(reason);
    audit.streamCut(stream.context, reason, clock.now());
    stream.cut.abort();
  };
  const cutIf = (isOver: (context: RequestContext) => boolean, reason: StreamCutReason): void => {
    for (const stream of [...streams]) {
      if (isOver(stream.context)) {
        cut(stream, reason);
      }
    }
  };

  const isDeniedNow = (context: RequestContext): boolean =>
    // A list that was read once is never taken back (S15), so this is the start alone.
    state.denyList.current === undefined || isCallerDenied(state.denyList.current, context, clock.now());

  const isTooOld = ({ startedAt }: RequestContext): boolean => {
    const limit = state.credentialSettings.current.maximumStreamSeconds;
    return limit > 0 && clock.now() >= startedAt + limit * 1000;
  };

  const review = async (stream: OpenStream): Promise<void> => {
    stream.checking = true;
    try {
      for (const { user, attributes } of stream.context.reviews) {
        const decision = await options.authorizer.authorize(user, attributes);
        if (!decision.allowed) {
          cut(stream, "access");
          return;
        }
      }
    } catch (error) {
      // No answer ends nothing that runs; the next check asks again (S16).
      log.debug("an open stream could not be checked", {
        auditID: stream.context.auditID,
        reason: messageOf(error),
      });
    } finally {
      stream.checking = false;
    }
  };

  const schedule = (stream: OpenStream): void => {
    stream.nextCheckAt = clock.now() + RECHECK_MILLISECONDS * (1 - JITTER / 2 + JITTER * random());
  };

  const tick = (): void => {
    const now = clock.now();
    for (const stream of [...streams]) {
      if (isTooOld(stream.context)) {
        cut(stream, "maximum_duration");
      } else if (now >= stream.nextCheckAt && !stream.checking) {
        schedule(stream);
        if (isDeniedNow(stream.context)) {
          cut(stream, "deny_list");
        } else {
          void review(stream);
        }
      }
    }
    cancelTick = streams.size === 0 ? undefined : clock.schedule(TICK_MILLISECONDS, tick);
  };

  /** What the proxy's own keys let in, as long as they are there. */
  const isTrusted = ({ caller }: RequestContext): boolean => {
    const trust = caller?.trust;
    if (trust === undefined) {
      return true;
    }
    // Expiry alone ends nothing: the question is who signed it (S16).
    return trust.kind === "proxy-signer"
      ? options.authentication.signerKnows(trust.certificate, Math.min(clock.now(), trust.notAfter))
      : trust.kid !== undefined && state.bearerKeys.current?.trusted.has(trust.kid) === true;
  };

  const stops = [
    state.denyList.subscribe(() => cutIf(isDeniedNow, "deny_list")),
    state.credentialSettings.subscribe(() => cutIf(isTooOld, "maximum_duration")),
    onTrustChange(state.proxySignerTrust, fingerprints, (all) =>
      cutIf((context) => isWithoutTrust(context, "proxy-signer", all), "trust"),
    ),
    onTrustChange(
      state.bearerKeys,
      (keys) => new Set(keys?.trusted.keys()),
      (all) => cutIf((context) => isWithoutTrust(context, "bearer-key", all), "trust"),
    ),
  ];

  /**
   * The emergency brake (S10) ends everything that this kind of trust ever let in. The end of a scheduled rotation's overlap
   * comes after the last credential of the old key has expired, and ends only what should not be there.
   */
  function isWithoutTrust(
    context: RequestContext,
    kind: "proxy-signer" | "bearer-key",
    all: boolean,
  ): boolean {
    const trust = context.caller?.trust;
    return trust?.kind === kind && (all || (clock.now() <= trust.notAfter && !isTrusted(context)));
  }

  return {
    add: (context, controller) => {
      const stream: OpenStream = { context, cut: controller, nextCheckAt: 0, checking: false };
      schedule(stream);
      streams.add(stream);
      metrics.proxiedStreams(1);
      // Anything may have changed between the request's own checks and now.
      if (isDeniedNow(context)) {
        cut(stream, "deny_list");
      } else if (!isTrusted(context)) {
        cut(stream, "trust");
      }
      cancelTick ??= clock.schedule(TICK_MILLISECONDS, tick);
      return () => {
        if (streams.delete(stream)) {
          metrics.proxiedStreams(-1);
        }
      };
    },
    close: () => {
      cancelTick?.();
      stops.forEach((stop) => stop());
    },
  };
}

function fingerprints(bundlePem: string | undefined): ReadonlySet<string> {
  return new Set(parseCertificateBundle(bundlePem ?? "").map(({ sha256Hex }) => sha256Hex));
}

/** Tells of every loss of trust; `all` when nothing of what was trusted before is left. */
function onTrustChange<T>(
  holder: { readonly current: T; subscribe(listener: (value: T) => void): () => void },
  members: (value: T) => ReadonlySet<string>,
  lost: (all: boolean) => void,
): () => void {
  let before = members(holder.current);
  return holder.subscribe((value) => {
    const now = members(value);
    const kept = [...before].filter((member) => now.has(member)).length;
    const had = before.size;
    before = now;
    if (kept < had) {
      lost(kept === 0);
    }
  });
}
