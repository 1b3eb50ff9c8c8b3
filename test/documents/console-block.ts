import type { FencedBlock } from "./markdown.ts";

/** How a `console` block is held to be true. */
export type ConsoleRun =
  /** Here, without a cluster. */
  | { readonly where: "here" }
  /** On a real cluster with a Concierge, by `test/integration/documents.test.ts`. */
  | { readonly where: "cluster" }
  | { readonly where: "nowhere"; readonly reason: string };

export interface ConsoleBlock extends FencedBlock {
  /** Undefined: the info string says none of the three. */
  readonly run: ConsoleRun | undefined;
}

/** The blocks that start with `console`: as they are, `console cluster`, or `console no-test: <reason>`. */
export function consoleBlocks(blocks: readonly FencedBlock[]): ConsoleBlock[] {
  return blocks
    .filter(({ language }) => language === "console")
    .map((block) => Object.assign({}, block, { run: runOf(block.info) }));
}

function runOf(info: string): ConsoleRun | undefined {
  const reason = /^console no-test: (?<reason>\S.*)$/.exec(info)?.groups?.["reason"];
  if (reason !== undefined) {
    return { where: "nowhere", reason };
  }
  if (info === "console") {
    return { where: "here" };
  }
  return info === "console cluster" ? { where: "cluster" } : undefined;
}

/** What a reader would type, and what the page says to expect. */
export interface Transcript {
  /** For bash. */
  readonly script: string;
  /** Lines in the order of their appearance; `...` stands for anything. */
  readonly output: readonly string[];
}

/** With `$ ` in front of commands (a `\` at the end goes on below), other lines are output; without any, all lines are commands. */
export function transcriptOf(content: string): Transcript {
  const lines = content.split("\n");
  if (!lines.some((line) => line.startsWith("$ "))) {
    return { script: content, output: [] };
  }
  const script: string[] = [];
  const output: string[] = [];
  let goesOn = false;
  for (const line of lines) {
    const isCommand: boolean = goesOn || line.startsWith("$ ");
    if (isCommand) {
      script.push(goesOn ? line : line.slice(2));
    } else if (line.trim() !== "") {
      output.push(line);
    }
    goesOn = isCommand && line.endsWith("\\");
  }
  return { script: script.join("\n"), output };
}

/** The first line that the page shows and the commands did not print behind those before it. */
export function missingOutput(shown: readonly string[], printed: string): string | undefined {
  const lines = printed.split("\n").map((line) => line.trimEnd());
  let next = 0;
  return shown.find((line) => {
    const pattern = new RegExp(`^${line.trimEnd().split("...").map(RegExp.escape).join(".*")}$`);
    const found = lines.findIndex((each, index) => index >= next && pattern.test(each));
    next = found + 1;
    return found < 0;
  });
}
