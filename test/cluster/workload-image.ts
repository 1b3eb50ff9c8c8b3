import { execFileSync } from "node:child_process";
import { machineArchitecture, writeDockerArchive } from "../../hack/image/docker-archive.ts";
import { findProgram } from "../../hack/cluster/go-program.ts";
import type { TarEntry } from "../../hack/image/tar.ts";

/** An image with a shell, for Pods that kubectl talks to; no registry can hold its name. */
export const workloadImage = "localhost/workload:test";

/** Counts the bytes of a request's body. */
const COUNT = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nwc -c\n";

/** Writes the image as `docker save` would: the static busybox of the Debian package, every applet a link to it. */
export function writeWorkloadImage(output: string): void {
  const busybox = findProgram("busybox");
  if (busybox === undefined) {
    throw new Error("install busybox-static");
  }
  const applets = execFileSync(busybox, ["--list"], { encoding: "utf8" }).trim().split("\n");
  const links = applets.map((applet): TarEntry => ({
    type: "symlink",
    path: `bin/${applet}`,
    mode: 0o777,
    target: "/bin/busybox",
  }));
  writeDockerArchive({
    output,
    tag: workloadImage,
    architecture: machineArchitecture(),
    entries: [
      ...links.filter(({ path }) => path !== "bin/busybox"),
      { type: "file", path: "bin/busybox", mode: 0o755, source: busybox },
      { type: "file", path: "www/index.html", mode: 0o644, content: Buffer.from("hello\n") },
      { type: "file", path: "www/cgi-bin/count", mode: 0o755, content: Buffer.from(COUNT) },
      { type: "file", path: "etc/passwd", mode: 0o644, content: Buffer.from("root:x:0:0::/:/bin/sh\n") },
      { type: "directory", path: "tmp", mode: 0o1777 },
    ],
    config: { environment: ["PATH=/bin"] },
  });
}
