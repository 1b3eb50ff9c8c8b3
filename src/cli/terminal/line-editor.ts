/** How a line ended: with Enter, Ctrl-D on an empty line, or Ctrl-C. */
export type LineResult =
  { readonly end: "line"; readonly line: string } | { readonly end: "input" } | { readonly end: "interrupt" };

/** Longer lines are a mistake or an attack. */
const MAXIMUM_LENGTH = 65_536;

/** One line as it is typed in raw mode: Backspace, Ctrl-U, and terminal sequences such as arrow keys and paste brackets, which count for nothing. */
export function createLineEditor(show: (text: string) => void): {
  type(character: string): LineResult | undefined;
} {
  const line: string[] = [];
  let sequence: "" | "start" | "parameters" = "";
  const erase = (): void => {
    if (line.pop() !== undefined) {
      show("\b \b");
    }
  };
  return {
    type: (character) => {
      if (sequence !== "") {
        sequence = isSequenceOver(sequence, character) ? "" : "parameters";
        return undefined;
      }
      switch (character) {
        case "\r":
        case "\n":
          return { end: "line", line: line.join("") };
        case "\u0003":
          return { end: "interrupt" };
        case "\u0004":
          return line.length === 0 ? { end: "input" } : undefined;
        case "\b":
        case "\u007f":
          erase();
          return undefined;
        case "\u0015":
          while (line.length > 0) {
            erase();
          }
          return undefined;
        case "\u001b":
          sequence = "start";
          return undefined;
        default:
          if (character >= " " && line.length < MAXIMUM_LENGTH) {
            line.push(character);
            show(character);
          }
          return undefined;
      }
    },
  };
}

/** `ESC [ … final` and `ESC O final`; any other sequence is two characters. */
function isSequenceOver(sequence: "start" | "parameters", character: string): boolean {
  return sequence === "start" ? character !== "[" && character !== "O" : character >= "@" && character <= "~";
}
