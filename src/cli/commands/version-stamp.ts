import { readVersion } from "../../telemetry/version.ts";

/** What the build knows of itself. A bundle holds its own in the place of this file's answer (hack/build-cli). */
export interface VersionStamp {
  /** As in package.json. */
  readonly version: string;
  readonly gitCommit: string;
  /** `unknown` when it runs from source. */
  readonly gitTreeState: "clean" | "dirty" | "unknown";
  /** RFC 3339, or empty when it runs from source. */
  readonly buildDate: string;
  /** Whether the commit carries the version's tag. */
  readonly released: boolean;
}

export function readVersionStamp(): VersionStamp {
  return { ...readVersion(), gitTreeState: "unknown", buildDate: "", released: false };
}
