import type { KeyObject } from "node:crypto";

/** The keys of bearer credentials (S9, S10). */
export interface BearerKeys {
  /** What signs now; undefined: nothing for the moment, as just after a start in the midst of a rotation. */
  readonly signing: { readonly kid: string; readonly privateKey: KeyObject } | undefined;
  /** Public keys that are trusted now, by `kid`; the signing one among them. */
  readonly trusted: ReadonlyMap<string, KeyObject>;
}

/** What the impersonation proxy is told; absent: it is not supposed to run (contract 6.6). */
export interface ProxySettings {
  readonly port: number;
}

/** What became of the impersonation proxy's server, written by the server for its controller (clarification 21). */
export type ProxyState =
  | { readonly phase: "stopped" }
  | { readonly phase: "starting" }
  | { readonly phase: "listening" }
  /** It did not start or it died; tried again when its controller asks. */
  | { readonly phase: "failed"; readonly message: string };

/** One entry of the deny list (S15); at least one of the first three is there. */
export interface DenyListEntry {
  readonly user?: string;
  /** `X509SHA256=...` or `JTI=...`. */
  readonly credentialID?: string;
  /** Hex SHA-256 of the token that a credential was bought with. */
  readonly tokenID?: string;
  /** Milliseconds since the epoch; the entry means nothing from then on. */
  readonly until: number;
}

/** The deny list in force (S15). */
export interface DenyList {
  readonly entries: readonly DenyListEntry[];
  /** What could not be parsed, one sentence each, without quoting it. */
  readonly problems: readonly string[];
}
