import type { RequestHeaderConfiguration } from "../../state/concierge-state.ts";
import { refuseForm } from "../request-form.ts";
import type { InboundRequest, Outcome, ProxyPipeline, Verdict } from "../proxied-request.ts";

export const IDENTITY = [
  "Authorization",
  "Bearer proxy-token",
  "Impersonate-User",
  "alice",
  "Impersonate-Group",
  "developers",
  "Impersonate-Group",
  "system:authenticated",
];

/** The first step of all, and then everybody is let in as `IDENTITY`; it remembers who passed that step. */
export interface RecordingPipeline extends ProxyPipeline {
  readonly began: InboundRequest[];
  readonly outcomes: Outcome[];
  readonly streams: number[];
  /** Resolves with the next outcome, or the `count`th from the start. */
  outcome(count: number): Promise<Outcome>;
  /** Whose header names count. */
  follow(headers: () => RequestHeaderConfiguration | undefined): void;
  /** Cuts what runs. */
  cutAll(): void;
}

export function createRecordingPipeline(
  decide: (request: InboundRequest) => Verdict | Promise<Verdict> = (request) => forwardVerdict(request),
): RecordingPipeline {
  let frontProxy = (): RequestHeaderConfiguration | undefined => undefined;
  const began: InboundRequest[] = [];
  const outcomes: Outcome[] = [];
  const streams: number[] = [];
  const cuts = new Set<AbortController>();
  const waiting = new Set<() => void>();
  return {
    began,
    outcomes,
    streams,
    outcome: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          const outcome = outcomes[count - 1];
          if (outcome !== undefined) {
            waiting.delete(check);
            resolve(outcome);
          }
        };
        waiting.add(check);
        check();
      }),
    follow: (headers) => {
      frontProxy = headers;
    },
    cutAll: () => cuts.forEach((cut) => cut.abort()),
    begin: (request) => {
      const refusal = refuseForm(request, frontProxy());
      if (refusal === undefined) {
        began.push(request);
      }
      const cut = new AbortController();
      cuts.add(cut);
      let finished = false;
      return {
        auditID: `audit-${began.length}`,
        verdict: Promise.resolve(refusal === undefined ? decide(request) : { kind: "refuse", refusal }),
        cut: cut.signal,
        streamStarted: (status) => streams.push(status),
        finished: (outcome) => {
          if (finished) {
            throw new TypeError("finished twice");
          }
          finished = true;
          outcomes.push(outcome);
          cuts.delete(cut);
          [...waiting].forEach((check) => check());
        },
      };
    },
  };
}

export function forwardVerdict(
  request: InboundRequest,
  overrides: Partial<Extract<Verdict, { kind: "forward" }>["forward"]> = {},
): Verdict {
  return {
    kind: "forward",
    forward: {
      identityHeaders: IDENTITY,
      auditID: "11111111-2222-3333-4444-555555555555",
      longRunning: request.upgrade || /[?&]watch=(?:true|1)|\/log\?|\/proxy\//.test(request.target),
      deadlineMilliseconds: 60_000,
      marksExchange: false,
      ...overrides,
    },
  };
}
