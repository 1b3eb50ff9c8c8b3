import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { machineArchitecture, writeDockerArchive } from "../image/docker-archive.ts";
import { clusterError } from "./errors.ts";
import { insideNode } from "./network.ts";
import { controllerManagerImage, pauseImage } from "./node-config.ts";
import { runCommand } from "./run-command.ts";

/** Puts the images of a docker-save tar on the node; answers their names. */
export async function loadImage(
  cluster: { readonly name: string; readonly tier: string; readonly folder: string },
  path: string,
): Promise<string[]> {
  if (cluster.tier !== "node") {
    throw clusterError("tier", `cluster "${cluster.name}" has no node: load-image needs one of --tier node`);
  }
  if (!existsSync(path)) throw clusterError("image", `there is no file ${path}`);
  return importImage(cluster.folder, path);
}

async function importImage(folder: string, path: string): Promise<string[]> {
  // From standard input, as the node sees other folders than we do.
  const done = await runCommand(insideNode(folder, ["ctr", "-n", "k8s.io", "images", "import", "-"]), {
    input: { file: path },
  });
  if (done.code !== 0) {
    throw clusterError("image", `${path} could not be loaded: ${done.stderr.trim().split("\n").at(-1)}`);
  }
  return [...done.stdout.matchAll(/^unpacking (\S+)/gm)].map((match) => match[1] ?? "");
}

/** Makes and loads the images that the node itself needs: the Pods' sandbox and the static Pod. */
export async function loadNodeImages(
  folder: string,
  programs: { readonly pause: string; readonly kubernetes: string },
): Promise<void> {
  const images = join(folder, "images");
  mkdirSync(images);
  const load = async (tag: string, path: string, source: string): Promise<void> => {
    const output = join(images, "image.tar");
    writeDockerArchive({
      output,
      tag,
      architecture: machineArchitecture(),
      entries: [{ type: "file", path, mode: 0o755, source }],
      config: { entrypoint: [`/${path}`] },
    });
    await importImage(folder, output);
    rmSync(output);
  };
  await load(pauseImage, "pause", programs.pause);
  await load(controllerManagerImage, "usr/local/bin/kube-controller-manager", programs.kubernetes);
  rmSync(images, { recursive: true });
}
