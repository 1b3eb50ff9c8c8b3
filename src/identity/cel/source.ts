import type { CelIssue } from "./errors.ts";

/** The text of an expression and the places in it. Offsets are UTF-16 indexes; lines and columns count code points. */
export interface CelSource {
  readonly text: string;
  /** Adds a problem at an offset; a negative offset has no place. */
  report(offset: number, message: string): void;
  /** Problems in the order of their places. */
  issues(): readonly CelIssue[];
  /** cel-go's report, one block of three lines for each problem. */
  display(): string;
}

/** As cel-go: past these many, problems are counted only. */
const maximumIssues = 100;

interface Line {
  readonly start: number;
  readonly text: string;
}

function splitLines(text: string): readonly Line[] {
  let start = 0;
  return text.split("\n").map((line) => {
    const found = { start, text: line };
    start += line.length + 1;
    return found;
  });
}

/** One block as contract/supervisor.md 3.2 shows it; wide characters get wide dots so that the caret stays below its character. */
function displayIssue(issue: CelIssue, lines: readonly Line[]): string {
  const head = `ERROR: <input>:${issue.line === 0 ? -1 : issue.line}:${issue.column}: ${issue.text}`;
  const line = lines[issue.line - 1];
  if (line === undefined) return head;
  const snippet = line.text.replaceAll("\t", " ");
  const characters = Array.from(snippet);
  const dots = characters
    .slice(0, issue.column - 1)
    .map((character) => ((character.codePointAt(0) ?? 0) > 0x7f ? "．" : "."))
    .join("");
  const at = characters[issue.column - 1];
  const caret = at !== undefined && (at.codePointAt(0) ?? 0) > 0x7f ? "＾" : "^";
  return `${head}\n | ${snippet}\n | ${dots}${caret}`;
}

export function createSource(text: string): CelSource {
  const lines = splitLines(text);
  const found: CelIssue[] = [];
  let count = 0;

  const place = (offset: number): { line: number; column: number } => {
    if (offset < 0) return { line: 0, column: 0 };
    let number = lines.findLastIndex((line) => line.start <= offset);
    if (number < 0) number = 0;
    const line = lines[number];
    const column = line === undefined ? 0 : Array.from(line.text.slice(0, offset - line.start)).length;
    return { line: number + 1, column: column + 1 };
  };
  const issues = (): readonly CelIssue[] =>
    found.toSorted((a, b) => (a.line === b.line ? a.column - b.column : a.line - b.line));

  return {
    text,
    report(offset, message) {
      count++;
      if (count <= maximumIssues) found.push({ ...place(offset), text: message });
    },
    issues,
    display() {
      const blocks = issues().map((issue) => displayIssue(issue, lines));
      if (count > maximumIssues) blocks.push(`${count - maximumIssues} more errors were truncated`);
      return blocks.join("\n");
    },
  };
}
