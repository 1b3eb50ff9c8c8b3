// Logs in when its parent asks, in a process of its own, so that the parent's CPU is the server's.
import { createLoad, CREDENTIAL } from "./load.ts";
import type { Load, Target } from "./load.ts";

/** What the parent sends; the answer is the number of credentials. */
export interface ExchangeOrder extends Target {
  readonly count: number;
  readonly connections: number;
}

let load: Load | undefined;

process.on("message", (order: ExchangeOrder) => {
  load ??= createLoad(order.connections);
  load.closedLoop(order, order.count, CREDENTIAL).then(
    (credentials) => process.send?.(credentials),
    (error: unknown) => process.send?.(String(error)),
  );
});
