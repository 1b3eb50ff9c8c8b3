import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Plugin } from "esbuild";
import type { VersionStamp } from "../../src/cli/commands/version-stamp.ts";
import { readVersion } from "../../src/telemetry/version.ts";

/** What this build is, from package.json and the repository. */
export function readStamp(root: string): VersionStamp {
  const { version, gitCommit } = readVersion({ packageFolder: root, buildFolder: join(root, "dist-cli") });
  const changes = git(root, "status", "--porcelain");
  const tags = git(root, "tag", "--points-at", "HEAD")?.split("\n") ?? [];
  const gitTreeState = changes === undefined ? "unknown" : changes === "" ? "clean" : "dirty";
  return {
    version,
    gitCommit,
    gitTreeState,
    buildDate: buildDate()
      .toISOString()
      .replace(/\.\d+Z$/, "Z"),
    released: gitTreeState === "clean" && tags.includes(`v${version}`),
  };
}

/** A bundle has neither package.json nor a repository to ask: what they say is written into it. */
export function stampVersion(root: string, stamp: VersionStamp): Plugin {
  const { version, gitCommit } = stamp;
  const answers: Readonly<Record<string, string>> = {
    [join(root, "src/telemetry/version.ts")]: answer("readVersion", { version, gitCommit }),
    [join(root, "src/cli/commands/version-stamp.ts")]: answer("readVersionStamp", stamp),
  };
  return {
    name: "stamp-version",
    setup: (build) => {
      build.onLoad({ filter: /version(?:-stamp)?\.ts$/ }, ({ path }) => {
        const contents = answers[path];
        return contents === undefined ? undefined : { contents, loader: "js" };
      });
    },
  };
}

function answer(name: string, value: object): string {
  return `export const ${name} = () => (${JSON.stringify(value)});`;
}

/** That of reproducible builds when it is asked for. */
function buildDate(): Date {
  const seconds = process.env["SOURCE_DATE_EPOCH"];
  return seconds === undefined ? new Date() : new Date(Number(seconds) * 1000);
}

function git(root: string, ...args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}
