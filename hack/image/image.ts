import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

import { ensureLauncher } from "../cluster/binaries.ts";
import { clusterError } from "../cluster/errors.ts";
import { machineArchitecture, writeDockerArchive } from "./docker-archive.ts";
import { imageFiles } from "./file-tree.ts";
import { readImageManifest } from "./manifest.ts";

/** The name that the chart's tests use; no registry can hold it. */
export const developmentTag = "localhost/lanyard-concierge:dev";

/** What to build. */
export interface BuildImageOptions {
  /** Path of the tar to write. */
  readonly output: string;
  /** Default `localhost/lanyard-concierge:dev`. */
  readonly tag?: string;
  /** The checkout; default this one. */
  readonly root?: string;
  /** The version that the image and the server in it say they are; default that of package.json. */
  readonly version?: string;
}

/** Builds the server image without a container engine, as `docker save` would write it; answers the image's ID. */
export async function buildImage(options: BuildImageOptions): Promise<string> {
  const root = resolve(options.root ?? join(import.meta.dirname, "..", ".."));
  ensureBuilt(root);
  const manifest = readImageManifest();
  const node = join(root, "node_modules", "node", "bin", "node");
  if (!existsSync(node)) throw clusterError("image", `${node} is missing: run npm ci`);
  return writeDockerArchive({
    output: resolve(options.output),
    tag: options.tag ?? developmentTag,
    architecture: machineArchitecture(),
    entries: imageFiles(manifest, {
      root,
      node,
      launcher: await ensureLauncher(),
      version: options.version,
    }),
    config: {
      user: `${manifest.user}:${manifest.user}`,
      environment: Object.entries(manifest.environment).map(([name, value]) => `${name}=${value}`),
      entrypoint: manifest.entrypoint,
      labels: imageLabels(manifest.labels, root, options.version),
    },
  });
}

/** The labels with what this checkout is. */
function imageLabels(
  labels: Readonly<Record<string, string>>,
  root: string,
  chosen: string | undefined,
): Record<string, string> {
  const description = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const version = chosen ?? description.version;
  const commit = join(root, "dist", "git-commit");
  const revision = existsSync(commit) ? readFileSync(commit, "utf8").trim() : "unknown";
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [
      name,
      value.replace("$VERSION", version).replace("$REVISION", revision),
    ]),
  );
}

/** Runs the build when dist/ is missing or older than a source file. */
function ensureBuilt(root: string): void {
  const main = join(root, "dist", "concierge", "main.js");
  const source = join(root, "src");
  if (existsSync(main) && (!existsSync(source) || statSync(main).mtimeMs >= newest(source))) return;
  const done = spawnSync(process.execPath, [join(root, "hack", "build.ts")], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (done.status !== 0) throw clusterError("build", "npm run build failed, so there is no image");
}

function newest(folder: string): number {
  return Math.max(
    0,
    ...readdirSync(folder, { withFileTypes: true }).map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
    }),
  );
}
