import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";

/** Where the command line program is built; names are Go's, as krew wants them. */
export const platforms = [
  { os: "linux", arch: "amd64" },
  { os: "linux", arch: "arm64" },
  { os: "darwin", arch: "amd64" },
  { os: "darwin", arch: "arm64" },
  { os: "windows", arch: "amd64" },
] as const;

export type Platform = (typeof platforms)[number];

/** The archive of a platform in a release: the executable and the licence. */
export function archiveName({ os, arch }: Platform): string {
  return `lanyard-${os}-${arch}.tar.gz`;
}

export interface KrewManifestOptions {
  /** Semantic version with a `v`. */
  readonly version: string;
  /** Where the archives of this release can be fetched. */
  readonly baseUrl: string;
  /** The folder that holds them all. */
  readonly folder: string;
}

/** The manifest for `kubectl krew install`: the plugin is `kubectl lanyard`. Throws when an archive is missing. */
export function krewManifest({ version, baseUrl, folder }: KrewManifestOptions): string {
  if (!/^v\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) {
    throw new Error(`"${version}" is no version: use vMAJOR.MINOR.PATCH`);
  }
  return stringify({
    apiVersion: "krew.googlecontainertools.github.com/v1alpha2",
    kind: "Plugin",
    metadata: { name: "lanyard" },
    spec: {
      version,
      homepage: baseUrl.replace(/\/releases\/.*$/, ""),
      shortDescription: "Log in to clusters with credentials that live for minutes",
      description:
        "Makes kubeconfigs for clusters with a Lanyard or Pinniped Concierge, logs in when kubectl needs a credential, " +
        "and keeps credentials so that none is handed out that is about to end.\n",
      platforms: platforms.map((platform) => {
        const program = platform.os === "windows" ? "lanyard.exe" : "lanyard";
        return {
          selector: { matchLabels: platform },
          uri: `${baseUrl}/${archiveName(platform)}`,
          sha256: createHash("sha256")
            .update(readFileSync(join(folder, archiveName(platform))))
            .digest("hex"),
          bin: program,
          files: [
            { from: program, to: "." },
            { from: "LICENSE", to: "." },
          ],
        };
      }),
    },
  });
}
