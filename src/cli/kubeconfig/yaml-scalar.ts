/** Where a scalar stands: lines that follow its first are indented by `indent`, its first character is at `column`. */
interface Place {
  readonly indent: number;
  readonly column: number;
  readonly isKey: boolean;
}

/** Lines longer than this are folded at their next single space. */
const BEST_WIDTH = 80;

/** A string as a plain, single-quoted or double-quoted scalar, folded as Go's emitter does it. */
export function scalarText(text: string, place: Place): string {
  const forms = possibleForms(text);
  if (forms.plain && !isOtherType(text)) {
    return fold(text, place, 0);
  }
  // An empty or ambiguous text asks for double quotes; one that only looks like syntax gets single ones.
  if (isOtherType(text) || !forms.single) {
    return doubleQuoted(text, place);
  }
  return `'${fold(text.replaceAll("'", "''"), place, 1)}'`;
}

/** A string of several lines as a literal block, or nothing where that form cannot hold it. */
export function literalBlock(text: string, indent: number): string | undefined {
  if (
    !text.includes("\n") ||
    /[^\n\P{C}]|[ \t]\n|[ \t]$|[\u2028\u2029\r]/u.test(text) ||
    text.includes("\t")
  ) {
    return undefined;
  }
  const hint = /^[ \n]/.test(text) ? "2" : "";
  const body = text.replace(/\n+$/, "");
  const ends = text.length - body.length;
  const chomping = ends === 0 ? "-" : ends > 1 || body === "" ? "+" : "";
  const lines = (ends > 1 ? text.slice(0, -1) : body)
    .split("\n")
    .map((line) => (line === "" ? "" : " ".repeat(indent) + line));
  return [`|${hint}${chomping}`, ...lines].join("\n");
}

/** What YAML 1.1 would read as something else than a string. */
function isOtherType(text: string): boolean {
  return (
    text === "" ||
    /^(?:~|null|Null|NULL)$/.test(text) ||
    /^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|false|False|FALSE)$/.test(text) ||
    /^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$/.test(text) ||
    /^[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$/.test(text) ||
    /^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/.test(text) ||
    /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/.test(text) ||
    /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:[Zz]|[-+][0-9:]+)?)?$/.test(
      text,
    )
  );
}

/**
 * Which forms can hold the text unharmed. Everything outside the Basic Multilingual Plane is escaped, as Go's emitter does
 * it; so are characters that a terminal obeys (S23), which that emitter writes as they are.
 */
function possibleForms(text: string): { readonly plain: boolean; readonly single: boolean } {
  const special = /[\p{C}\u{10000}-\u{10ffff}\u2028\u2029]/u.test(text) || / \n/.test(text);
  if (special) {
    return { plain: false, single: false };
  }
  const plain =
    !/^[ ]|[ ]$/.test(text) &&
    !/^(?:---|\.\.\.)/.test(text) &&
    !/^[#,[\]{}&*!|>'"%@`]/.test(text) &&
    !/^[-?:](?:\s|$)/.test(text) &&
    !/:(?:\s|$)/.test(text) &&
    !/\s#/.test(text);
  return { plain, single: true };
}

/** Breaks at the first single space behind the width, never at either end. */
function fold(text: string, { indent, column, isKey }: Place, quote: number): string {
  if (isKey) {
    return text;
  }
  let folded = "";
  let position = column + quote;
  for (const [index, character] of Array.from(text).entries()) {
    const isBreak =
      character === " " &&
      position > BEST_WIDTH &&
      index > 0 &&
      index < text.length - 1 &&
      text[index - 1] !== " " &&
      text[index + 1] !== " ";
    folded += isBreak ? `\n${" ".repeat(indent)}` : character;
    position = isBreak ? indent : position + 1;
  }
  return folded;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  "\0": "\\0",
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  "\x1b": "\\e",
  '"': '\\"',
  "\\": "\\\\",
  "\x85": "\\N",
  "\u2028": "\\L",
  "\u2029": "\\P",
};

function escaped(character: string): string {
  const short = SHORT_ESCAPES[character];
  const code = character.codePointAt(0) ?? 0;
  if (short !== undefined || !(/\p{C}/u.test(character) || code > 0xffff)) {
    return short ?? character;
  }
  const digits = code <= 0xff ? 2 : code <= 0xffff ? 4 : 8;
  const letter = { 2: "x", 4: "u", 8: "U" }[digits];
  return `\\${letter}${code.toString(16).toUpperCase().padStart(digits, "0")}`;
}

function doubleQuoted(text: string, { indent, column, isKey }: Place): string {
  let quoted = '"';
  let position = column + 1;
  let afterSpace = false;
  const characters = Array.from(text);
  for (const [index, character] of characters.entries()) {
    const isSpace = character === " ";
    if (
      isSpace &&
      !afterSpace &&
      !isKey &&
      position > BEST_WIDTH &&
      index > 0 &&
      index < characters.length - 1
    ) {
      const escape = characters[index + 1] === " " ? "\\" : "";
      quoted += `\n${" ".repeat(indent)}${escape}`;
      position = indent + escape.length;
    } else {
      const piece = escaped(character);
      quoted += piece;
      position += piece.length;
    }
    afterSpace = isSpace;
  }
  return `${quoted}"`;
}
