import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";

/** When to come again without a trigger; nothing means only on the next trigger or resync. */
export interface ReconcileResult {
  readonly requeueAfterMilliseconds?: number;
}

/**
 * One reconcile loop with one worker and one queue key (contract 6.1). `reconcile` reads the desired and observed state
 * afresh each time and may be called at any moment; throwing means retry with back-off.
 */
export interface Controller {
  /** The name in logs and metrics (contract 6.1), e.g. `jwtcachefiller-controller`. */
  readonly name: string;
  reconcile(signal: AbortSignal): Promise<ReconcileResult | void>;
  /** Connects the triggers; each call of `enqueue` asks for one more reconcile. Answers how to disconnect. */
  watch(enqueue: () => void): () => void;
}

export interface ControllerRuntime {
  readonly clock: Clock;
  readonly log: Logger;
}
