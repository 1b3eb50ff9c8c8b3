import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";

import { clusterError } from "../cluster/errors.ts";
import type { ImageCopy, ImageManifest } from "./manifest.ts";
import type { TarEntry } from "./tar.ts";

/** Where the parts of the image are on this machine. */
export interface ImageSources {
  /** The checkout: package.json, package-lock.json, node_modules, dist. */
  readonly root: string;
  /** Node's binary. */
  readonly node: string;
  /** The built launcher. */
  readonly launcher: string;
  /** What package.json says instead of its own `version`. */
  readonly version?: string | undefined;
}

const certificates = "/etc/ssl/certs/ca-certificates.crt";

/** Every file of the server image. */
export function imageFiles(manifest: ImageManifest, sources: ImageSources): TarEntry[] {
  const parts = manifest.copies.flatMap((copy) => part(copy, manifest, sources));
  return [...parts, { type: "directory", path: "tmp", mode: 0o1777 }];
}

function part(copy: ImageCopy, manifest: ImageManifest, sources: ImageSources): TarEntry[] {
  const to = copy.to.replace(/^\/|\/$/g, "");
  switch (copy.what) {
    case "node":
      return [{ type: "file", path: to, mode: 0o755, source: realpathSync(sources.node) }];
    case "libraries":
      return sharedLibraries(sources.node).map((path) => ({
        type: "file",
        path: path.slice(1),
        mode: 0o755,
        source: realpathSync(path),
      }));
    case "certificates":
      if (!existsSync(certificates)) {
        throw clusterError(
          "tool.missing",
          `${certificates} is missing: install the Debian package ca-certificates`,
        );
      }
      return [{ type: "file", path: to, mode: 0o644, source: certificates }];
    case "launcher":
      return [
        { type: "file", path: manifest.launcher.slice(1), mode: 0o755, source: sources.launcher },
        ...manifest.launcherNames.map((name): TarEntry => ({
          type: "symlink",
          path: name.slice(1),
          mode: 0o777,
          target: manifest.launcher,
        })),
      ];
    case "etc":
      return filesBelow(join(import.meta.dirname, "etc"), to);
    case "package":
      return [packageDescription(to, sources)];
    case "modules":
      return productionPackages(sources.root).flatMap((name) =>
        filesBelow(join(sources.root, "node_modules", name), `${to}/${name}`),
      );
    case "dist":
      return filesBelow(join(sources.root, "dist"), to);
  }
  throw new TypeError(`manifest.json: unknown part "${String(copy.what)}"`);
}

function packageDescription(path: string, { root, version }: ImageSources): TarEntry {
  const source = join(root, "package.json");
  if (version === undefined) return { type: "file", path, mode: 0o644, source };
  const description = { ...(JSON.parse(readFileSync(source, "utf8")) as object), version };
  return { type: "file", path, mode: 0o644, content: Buffer.from(JSON.stringify(description, null, 2)) };
}

/** The shared libraries of a program with its loader, as ldd(1) names them; none for a static program. */
export function sharedLibraries(program: string): string[] {
  const text = execFileSync("ldd", [program], { encoding: "utf8" });
  const paths = text.split("\n").flatMap((line) => /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1] ?? []);
  return [...new Set(paths)].toSorted();
}

/**
 * The packages that `npm ci --omit=dev --omit=optional` would install, as paths below node_modules (nested ones too),
 * from the lock file (lockfileVersion 3).
 */
export function productionPackages(root: string): string[] {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<
      Record<string, { readonly dev?: boolean; readonly optional?: boolean; readonly devOptional?: boolean }>
    >;
  };
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== "" && !entry.dev && !entry.optional && !entry.devOptional)
    .map(([path]) => path.replace(/^node_modules\//, ""))
    .toSorted();
}

/** All files and links below a folder, without nested node_modules: each package there has an entry of its own. */
function filesBelow(folder: string, to: string): TarEntry[] {
  if (!existsSync(folder)) throw clusterError("image", `${folder} is missing: run npm ci`);
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry): TarEntry[] => {
    const source = join(folder, entry.name);
    const path = `${to}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesBelow(source, path);
    if (entry.isSymbolicLink()) {
      const target = readlinkSync(source);
      const outside = relative(folder, resolve(folder, target)).startsWith("..");
      return outside ? [] : [{ type: "symlink", path, mode: 0o777, target }];
    }
    // Only whether it can be executed: a checkout's umask must not show in the image.
    const mode = (statSync(source).mode & 0o100) === 0 ? 0o644 : 0o755;
    return [{ type: "file", path, mode, source }];
  });
}
