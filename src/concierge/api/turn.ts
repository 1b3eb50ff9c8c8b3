let end: Promise<void> | undefined;

/**
 * Resolves at the end of this turn of the event loop, for everybody who asked in it. What many requests do one after the other
 * finds the processor's caches filled: with sixteen clients that takes almost half of an exchange's CPU away, and a lone request
 * loses nothing.
 */
export function endOfTurn(): Promise<void> {
  end ??= new Promise((resolve) => {
    setImmediate(() => {
      end = undefined;
      resolve();
    });
  });
  return end;
}
