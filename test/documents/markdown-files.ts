import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const notOurs = ["node_modules", "dist", "dist-cli", ".cache", ".git"];

/** The text of every Markdown file below a folder, by its path relative to it, in order. */
export function markdownFiles(root: string): ReadonlyMap<string, string> {
  const files = globSync("**/*.md", { cwd: root, exclude: (name) => notOurs.includes(name) });
  return new Map(files.toSorted().map((file) => [file, readFileSync(join(root, file), "utf8")]));
}
