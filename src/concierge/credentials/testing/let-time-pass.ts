import type { ManualClock } from "../../../clock.ts";

/** Lets up to 12 seconds pass, until `running` has ended, and answers what it does. */
export async function letTimePass<T>(clock: ManualClock, running: Promise<T>): Promise<T> {
  const state = { settled: false };
  const settle = (): void => {
    state.settled = true;
  };
  running.then(settle, settle);
  for (let step = 0; step < 120 && !state.settled; step++) {
    await clock.advance(100);
  }
  return running;
}
