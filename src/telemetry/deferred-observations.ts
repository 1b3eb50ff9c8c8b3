/** Observations of one histogram and its counter, kept until there are many or somebody wants to read. */
export interface DeferredObservations<L> {
  add(labels: L, seconds: number): void;
  /** Applies what is kept, in order. */
  flush(): void;
}

const MAXIMUM_KEPT = 256;

/** Counting one thing now and then costs ten times as much as counting many in a row, when code and tables are in the caches. */
export function deferObservations<L>(apply: (labels: L, seconds: number) => void): DeferredObservations<L> {
  let kept: { readonly labels: L; readonly seconds: number }[] = [];
  const flush = (): void => {
    const due = kept;
    kept = [];
    for (const { labels, seconds } of due) {
      apply(labels, seconds);
    }
  };
  return {
    add: (labels, seconds) => {
      kept.push({ labels, seconds });
      if (kept.length >= MAXIMUM_KEPT) {
        flush();
      }
    },
    flush,
  };
}
