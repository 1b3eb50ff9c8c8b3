import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What is running: the package's version and the commit it was built from. */
export interface Version {
  readonly version: string;
  /** The commit's hash; `unknown` when neither the build nor a repository tells it. */
  readonly gitCommit: string;
}

export interface VersionFolders {
  /** Holds package.json, and `.git` in a working copy. */
  readonly packageFolder: string;
  /** Holds `git-commit` when the build wrote it. */
  readonly buildFolder: string;
}

const OWN_FOLDERS: VersionFolders = {
  packageFolder: join(import.meta.dirname, "..", ".."),
  buildFolder: join(import.meta.dirname, ".."),
};

const HASH = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

/** `version` of package.json, and the commit: what the build wrote, else what the repository has checked out. */
export function readVersion(folders: VersionFolders = OWN_FOLDERS): Version {
  const { packageFolder, buildFolder } = folders;
  const description: unknown = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8"));
  const version =
    typeof description === "object" && description !== null && "version" in description
      ? description.version
      : "";
  const gitCommit = readHash(join(buildFolder, "git-commit")) ?? readCheckedOut(join(packageFolder, ".git"));
  return { version: String(version), gitCommit: gitCommit ?? "unknown" };
}

/** `.git/HEAD` is a hash or names a branch, whose hash is in a file of its own or in `packed-refs`. */
function readCheckedOut(repository: string): string | undefined {
  const head = readText(join(repository, "HEAD"))?.trim();
  const branch = head?.startsWith("ref: ") === true ? head.slice("ref: ".length) : undefined;
  if (branch === undefined) {
    return head !== undefined && HASH.test(head) ? head : undefined;
  }
  const packed = readText(join(repository, "packed-refs"))
    ?.split("\n")
    .find((line) => line.endsWith(` ${branch}`))
    ?.split(" ", 1)[0];
  return readHash(join(repository, branch)) ?? packed;
}

function readHash(path: string): string | undefined {
  const text = readText(path)?.trim();
  return text !== undefined && HASH.test(text) ? text : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Whatever keeps it from being read, the stamp is only worth showing.
    return undefined;
  }
}
