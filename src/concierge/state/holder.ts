/** The last value somebody published, and a way to hear of the next one (contract 6.4, design.md section 3). */
export interface Holder<T> {
  readonly current: T;
  /** Publishes a value; listeners hear of it before `set` returns. A value identical to the last one (`===`) is not announced. */
  set(value: T): void;
  /** Calls back on every change until the answer is called. */
  subscribe(listener: (value: T) => void): () => void;
}

/** The reader's side of a holder: servers get this one. */
export type ReadonlyHolder<T> = Pick<Holder<T>, "current" | "subscribe">;

export function createHolder<T>(initial: T): Holder<T> {
  let current = initial;
  const listeners = new Set<(value: T) => void>();
  return {
    get current() {
      return current;
    },
    set: (value) => {
      if (value === current) {
        return;
      }
      current = value;
      for (const listener of [...listeners]) {
        listener(value);
      }
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}
