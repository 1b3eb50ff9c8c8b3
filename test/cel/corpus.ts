import { readFileSync } from "node:fs";
import { join } from "node:path";
import { claims, transformations, user, type World } from "./environments.ts";

export interface CorpusCase {
  readonly world: World;
  readonly expression: string;
  /** File and line. */
  readonly origin: string;
}

/** Pure expressions run in the worlds whose checkers see them; each file belongs to one. */
const files: readonly (readonly [string, World])[] = [
  ["operators.txt", transformations],
  ["functions.txt", transformations],
  ["time.txt", transformations],
  ["strings.txt", transformations],
  ["strings-newest.txt", transformations],
  ["refused.txt", transformations],
  ["transformations.txt", transformations],
  ["claims.txt", claims],
  ["user.txt", user],
];

/** One expression a line; a line that starts with `# ` is a heading, `⏎` is a line break inside an expression. */
export const corpus: readonly CorpusCase[] = files.flatMap(([name, world]) =>
  readFileSync(join(import.meta.dirname, "corpus", name), "utf8")
    .split("\n")
    .map((line, index) => ({
      world,
      expression: line.replaceAll("⏎", "\n"),
      origin: `${name}:${index + 1}`,
    }))
    .filter(({ expression }) => expression !== "" && !expression.startsWith("# ")),
);
