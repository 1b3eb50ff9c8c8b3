/** An exchange that can be ended from outside. */
export interface Closable {
  /** Ends it as properly as its protocol allows. */
  close(): void;
}

/** What runs at the moment; long-running ones can be ended together. */
export interface RunningExchanges {
  enter(longRunning: boolean, exchange: Closable): void;
  leave(longRunning: boolean, exchange: Closable): void;
  closeStreams(): void;
  readonly requests: number;
  readonly streams: number;
}

export function createRunningExchanges(): RunningExchanges {
  const streams = new Set<Closable>();
  let requests = 0;
  return {
    enter: (longRunning, exchange) => {
      if (longRunning) {
        streams.add(exchange);
      } else {
        requests += 1;
      }
    },
    leave: (longRunning, exchange) => {
      if (longRunning) {
        streams.delete(exchange);
      } else {
        requests -= 1;
      }
    },
    closeStreams: () => {
      for (const exchange of [...streams]) {
        exchange.close();
      }
    },
    get requests() {
      return requests;
    },
    get streams() {
      return streams.size;
    },
  };
}
