import { createHash } from "node:crypto";
import { renameSync, rmSync } from "node:fs";

import { writeTar } from "./tar.ts";
import type { TarEntry } from "./tar.ts";

/** The runtime part of an image (OCI image-spec `config`). */
export interface ImageConfig {
  readonly user?: string;
  readonly environment?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
}

/** An image of one layer. */
export interface ImageOptions {
  readonly output: string;
  /** For example `localhost/lanyard-concierge:dev`; a host that no registry can have. */
  readonly tag: string;
  /** GOARCH. */
  readonly architecture: string;
  readonly entries: readonly TarEntry[];
  readonly config: ImageConfig;
}

/** GOARCH of this machine. */
export function machineArchitecture(): string {
  return process.arch === "x64" ? "amd64" : process.arch;
}

/** Writes what `docker save` would write; the same files give the same bytes. Answers the image's ID. */
export function writeDockerArchive(options: ImageOptions): string {
  const layerPath = `${options.output}.layer`;
  const temporary = `${options.output}.new`;
  try {
    const layer = writeTar(layerPath, withParents(options.entries));
    const config = Buffer.from(
      JSON.stringify({
        architecture: options.architecture,
        os: "linux",
        created: "1970-01-01T00:00:00Z",
        config: {
          User: options.config.user ?? "",
          Env: options.config.environment ?? [],
          Entrypoint: options.config.entrypoint ?? [],
          Labels: options.config.labels ?? {},
          WorkingDir: options.config.workingDirectory ?? "/",
        },
        rootfs: { type: "layers", diff_ids: [`sha256:${layer.sha256}`] },
        history: [{ created: "1970-01-01T00:00:00Z", created_by: "hack/image" }],
      }),
    );
    const id = createHash("sha256").update(config).digest("hex");
    const manifest = Buffer.from(
      JSON.stringify([
        { Config: `${id}.json`, RepoTags: [options.tag], Layers: [`${layer.sha256}/layer.tar`] },
      ]),
    );
    writeTar(temporary, [
      { type: "file", path: "manifest.json", mode: 0o644, content: manifest },
      { type: "file", path: `${id}.json`, mode: 0o644, content: config },
      { type: "directory", path: layer.sha256, mode: 0o755 },
      { type: "file", path: `${layer.sha256}/layer.tar`, mode: 0o644, source: layerPath },
    ]);
    renameSync(temporary, options.output);
    return `sha256:${id}`;
  } finally {
    rmSync(layerPath, { force: true });
    rmSync(temporary, { force: true });
  }
}

/** Adds the folders that entries are in, so that a layer never depends on what an unpacker makes up. */
function withParents(entries: readonly TarEntry[]): TarEntry[] {
  const paths = new Set(entries.map((entry) => entry.path));
  const parents = new Map<string, TarEntry>();
  for (const { path } of entries) {
    for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1)) {
      const parent = path.slice(0, slash);
      if (!paths.has(parent)) parents.set(parent, { type: "directory", path: parent, mode: 0o755 });
    }
  }
  return [...entries, ...parents.values()];
}
