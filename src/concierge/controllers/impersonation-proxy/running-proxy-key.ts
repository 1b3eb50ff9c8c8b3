import type { ConciergeState, KeyPair } from "../../state/concierge-state.ts";
import type { ReadonlyHolder } from "../../state/holder.ts";

/**
 * The proxy's signing key as its signer may see it: present only while the proxy is supposed to run (contract 2.4, 6.6
 * step 9). Without a proxy nobody would accept what it signs.
 */
export function whileProxyRuns(
  state: Pick<ConciergeState, "proxySettings" | "proxySigningKey">,
): ReadonlyHolder<KeyPair | undefined> {
  const read = (): KeyPair | undefined =>
    state.proxySettings.current === undefined ? undefined : state.proxySigningKey.current;
  return {
    get current() {
      return read();
    },
    subscribe: (listener) => {
      let last = read();
      const look = (): void => {
        const next = read();
        if (next !== last) {
          last = next;
          listener(next);
        }
      };
      const stops = [state.proxySettings.subscribe(look), state.proxySigningKey.subscribe(look)];
      return () => stops.forEach((stop) => stop());
    },
  };
}
