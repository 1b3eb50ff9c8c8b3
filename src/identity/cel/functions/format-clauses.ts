/** `%s`, `%.3f` and so on inside a format text. */
export interface Clause {
  readonly letter: "s" | "d" | "f" | "e" | "b" | "x" | "X" | "o";
  readonly precision: number;
  /** The start of the message for a value that the clause does not take. */
  readonly refusal: string;
}

const refusals: Readonly<Record<Clause["letter"], string>> = {
  s: "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
  d: "decimal clause can only be used on ints, uints, and doubles",
  f: "fixed-point clause can only be used on ints, uints, and doubles",
  e: "scientific clause can only be used on ints, uints, and doubles",
  b: "only ints, uints, and bools can be formatted as binary",
  x: "only ints, uints, bytes, and strings can be formatted as hex",
  X: "only ints, uints, bytes, and strings can be formatted as hex",
  o: "octal clause can only be used on ints and uints",
};

const defaultPrecision = 6;
const maximumPrecision = 100;

export interface FormatVisitor {
  /** Text between clauses. */
  literal(text: string): string;
  /** A clause for the value at `index`. */
  clause(clause: Clause, index: number): string;
  readonly size: number;
  fail(message: string): Error;
}

function isLetter(text: string): text is Clause["letter"] {
  return Object.hasOwn(refusals, text);
}

/** Reads one clause after its percent sign; returns how long it is. */
function readClause(
  pattern: string,
  start: number,
  fail: (message: string) => Error,
): { readonly clause: Clause; readonly end: number } {
  const refuse = (reason: string): Error => fail(`could not parse formatting clause: ${reason}`);
  let at = start;
  let precision = defaultPrecision;
  if (pattern[at] === ".") {
    const digits = /^[0-9]*/u.exec(pattern.slice(at + 1))?.[0] ?? "";
    at += 1 + digits.length;
    if (at >= pattern.length)
      throw refuse("error while parsing precision: could not find end of precision specifier");
    if (digits === "") {
      throw refuse(
        'error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax',
      );
    }
    precision = Number(digits);
    if (precision > maximumPrecision) {
      throw refuse(
        `error while parsing precision: precision ${digits} exceeds maximum allowed precision ${maximumPrecision}`,
      );
    }
  }
  const letter = pattern[at] ?? "";
  // cel-go reads one byte here, which is not always a character.
  if (!isLetter(letter)) {
    const shown =
      letter.charCodeAt(0) > 0x7f ? String.fromCharCode(Buffer.from(pattern.slice(at))[0] ?? 0) : letter;
    throw refuse(`unrecognized formatting clause "${shown}"`);
  }
  return { clause: { letter, precision, refusal: refusals[letter] }, end: at + 1 };
}

/** Walks over a format text of ext.Strings and joins what the visitor makes of its parts. */
export function parseFormat(pattern: string, visitor: FormatVisitor): string {
  let result = "";
  let at = 0;
  let index = 0;
  while (at < pattern.length) {
    const percent = pattern.indexOf("%", at);
    if (percent < 0) return result + visitor.literal(pattern.slice(at));
    if (percent > at) result += visitor.literal(pattern.slice(at, percent));
    if (pattern[percent + 1] === "%") {
      result += visitor.literal("%");
      at = percent + 2;
      continue;
    }
    if (percent + 1 >= pattern.length) throw visitor.fail("unexpected end of string");
    if (index >= visitor.size) throw visitor.fail(`index ${index} out of range`);
    const { clause, end } = readClause(pattern, percent + 1, visitor.fail);
    result += visitor.clause(clause, index);
    index++;
    at = end;
  }
  return result;
}
