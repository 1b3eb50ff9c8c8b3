import { readFileSync } from "node:fs";
import { join } from "node:path";

/** One path that goes into the image; the Dockerfile has a COPY line for each. */
export interface ImageCopy {
  /** What it is; hack/image knows where to find each of these on a machine without a container engine. */
  readonly what: "node" | "libraries" | "certificates" | "launcher" | "etc" | "package" | "modules" | "dist";
  /** The Dockerfile's stage; absent for the build context. */
  readonly stage?: string;
  readonly from: string;
  readonly to: string;
}

/** What the image holds and how it runs: the one list for hack/image and the Dockerfile. */
export interface ImageManifest {
  /** Lowest version of Node.js that the released image may hold. */
  readonly minimumNodeVersion: string;
  readonly user: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  /** OCI image-spec annotations; `$VERSION` and `$REVISION` stand for what is built. */
  readonly labels: Readonly<Record<string, string>>;
  readonly launcher: string;
  /** Symbolic links to the launcher, which acts by the name it is called by. */
  readonly launcherNames: readonly string[];
  readonly copies: readonly ImageCopy[];
}

/** Reads hack/image/manifest.json. */
export function readImageManifest(): ImageManifest {
  return JSON.parse(readFileSync(join(import.meta.dirname, "manifest.json"), "utf8")) as ImageManifest;
}
