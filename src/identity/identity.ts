/** Who somebody is, in the terms of Kubernetes' `authentication/v1 UserInfo`. All strings are used as bytes, never parsed. */
export interface Identity {
  readonly username: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
  /** Keys in the order in which they were found. */
  readonly extra: Readonly<Record<string, readonly string[]>>;
}
