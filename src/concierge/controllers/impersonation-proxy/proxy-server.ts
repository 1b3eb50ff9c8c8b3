import type { Clock } from "../../../clock.ts";
import type { Holder, ReadonlyHolder } from "../../state/holder.ts";
import type { ProxySettings, ProxyState } from "../../state/proxy.ts";
import { LanyardError } from "../../../errors.ts";

/** How the server is doing that is supposed to run. */
export type ProxyServerFinding =
  | { readonly phase: "starting" | "listening" }
  /** It is asked again after `retryInMilliseconds`. */
  | { readonly phase: "failed"; readonly message: string; readonly retryInMilliseconds: number };

/** Starts and stops the proxy's server through the holders; it never touches a socket itself (clarification 21). */
export interface ProxyServerControl {
  /** Asks for a server that does not run, and once more for one that failed when its time has come. */
  run(port: number): ProxyServerFinding;
  /** Ends the server and waits for that (contract 6.6); refusal `impersonationProxy.stop` after 30 s. */
  stop(signal: AbortSignal): Promise<void>;
  /** Tells of every change of the server's state. */
  watch(onChange: () => void): () => void;
}

const FIRST_RETRY_MILLISECONDS = 1_000;
const LARGEST_RETRY_MILLISECONDS = 30_000;
const STOP_LIMIT_MILLISECONDS = 30_000;

export function createProxyServerControl(options: {
  readonly clock: Clock;
  readonly settings: Holder<ProxySettings | undefined>;
  readonly state: ReadonlyHolder<ProxyState>;
}): ProxyServerControl {
  const { clock, settings, state } = options;
  let failures = 0;
  let retryAt: number | undefined;
  /** Whether the server took notice of the last time it was asked: only then `stopped` means that it died. */
  let noticed = false;

  const ask = (port: number): void => {
    noticed = false;
    retryAt = undefined;
    // A new object even with the same port: its announcement is what asks a failed server to try again.
    settings.set({ port });
  };
  const observe = ({ phase }: ProxyState): void => {
    if (phase === "listening") {
      failures = 0;
      retryAt = undefined;
    }
    noticed ||= phase !== "stopped";
  };
  const fail = (port: number, message: string): ProxyServerFinding => {
    const now = clock.now();
    retryAt ??=
      now + Math.min(FIRST_RETRY_MILLISECONDS * 2 ** Math.min(failures++, 10), LARGEST_RETRY_MILLISECONDS);
    if (now < retryAt) {
      return { phase: "failed", message, retryInMilliseconds: retryAt - now };
    }
    ask(port);
    return { phase: "starting" };
  };
  return {
    run: (port) => {
      if (settings.current?.port !== port) {
        failures = 0;
        ask(port);
      }
      const current = state.current;
      observe(current);
      if (current.phase === "failed") {
        return fail(port, current.message);
      }
      if (current.phase === "stopped") {
        return noticed ? fail(port, "unexpected shutdown of proxy server") : { phase: "starting" };
      }
      return { phase: current.phase };
    },
    stop: async (signal) => {
      settings.set(undefined);
      const ended = (): boolean => ["stopped", "failed"].includes(state.current.phase);
      if (!ended()) {
        await waitFor(state, ended, clock, signal);
      }
      if (!ended() && !signal.aborted) {
        throw new LanyardError({
          code: "impersonationProxy.stop",
          message: `the impersonation proxy's server did not end within ${STOP_LIMIT_MILLISECONDS / 1000} seconds`,
        });
      }
    },
    watch: (onChange) =>
      state.subscribe((current) => {
        observe(current);
        onChange();
      }),
  };
}

async function waitFor(
  state: ReadonlyHolder<ProxyState>,
  condition: () => boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const finish = (): void => done.abort();
  const unsubscribe = state.subscribe(() => condition() && finish());
  signal.addEventListener("abort", finish, { once: true });
  try {
    await clock.sleep(signal.aborted ? 0 : STOP_LIMIT_MILLISECONDS, done.signal);
  } finally {
    unsubscribe();
    signal.removeEventListener("abort", finish);
  }
}
