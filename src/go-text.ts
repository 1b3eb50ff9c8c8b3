/*
 * Condition messages quote addresses the way Go prints them (contract 4.3–4.6), and Go works on bytes. A "byte string" here
 * holds one UTF-8 byte per character (latin1).
 */

/** The UTF-8 bytes of a text, one character each. */
export function toByteString(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** The text of a byte string; bytes that are not UTF-8 become U+FFFD. */
export function fromByteString(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
  ["\\", "\\\\"],
  ['"', '\\"'],
]);

/**
 * Letters, marks, numbers, punctuation, symbols and the ASCII space: what Go's `strconv.IsPrint` lets through. The expression stands
 * inside, as making it takes a millisecond: a start that quotes nothing must not pay for it.
 */
function isPrintable(rune: string): boolean {
  return /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(rune);
}

/** How Go's `%q` shows a string given as bytes. */
export function goQuoteBytes(bytes: string): string {
  let quoted = '"';
  let position = 0;
  while (position < bytes.length) {
    const rune = runeAt(bytes, position);
    if (rune === undefined) {
      quoted += `\\x${hexadecimal(bytes.charCodeAt(position), 2)}`;
      position += 1;
      continue;
    }
    position += rune.length;
    quoted += shortEscapes.get(rune.text) ?? (isPrintable(rune.text) ? rune.text : escapeRune(rune.text));
  }
  return `${quoted}"`;
}

/** How Go's `%q` shows a string. */
export function goQuote(text: string): string {
  return goQuoteBytes(toByteString(text));
}

function escapeRune(text: string): string {
  const codePoint = text.codePointAt(0) ?? 0;
  if (codePoint < 0x20 || codePoint === 0x7f) {
    return `\\x${hexadecimal(codePoint, 2)}`;
  }
  return codePoint > 0xffff ? `\\U${hexadecimal(codePoint, 8)}` : `\\u${hexadecimal(codePoint, 4)}`;
}

function hexadecimal(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** One UTF-8 sequence, or nothing when the bytes there are not one. */
function runeAt(bytes: string, position: number): { text: string; length: number } | undefined {
  const first = bytes.charCodeAt(position);
  const length =
    first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  const sequence = Buffer.from(bytes.slice(position, position + length), "latin1");
  if (length === 0 || sequence.length !== length) {
    return undefined;
  }
  const text = sequence.toString("utf8");
  return Buffer.from(text, "utf8").equals(sequence) ? { text, length } : undefined;
}

/**
 * The number of the input byte at which Go's standard base64 decoder stops, or nothing when the text is sound.
 * CR and LF count as input bytes but are skipped (contract 4.3).
 */
export function base64ErrorOffset(text: string): number | undefined {
  const bytes = toByteString(text);
  let inQuantum = 0;
  let position = 0;
  while (position < bytes.length) {
    const character = bytes.charAt(position);
    if (character === "\r" || character === "\n") {
      position += 1;
      continue;
    }
    if (character === "=") {
      return paddingErrorOffset(bytes, position, inQuantum);
    }
    if (!/^[A-Za-z0-9+/]$/.test(character)) {
      return position;
    }
    inQuantum = (inQuantum + 1) % 4;
    position += 1;
  }
  // An unfinished group of four is reported at its first character, line breaks not counted.
  return inQuantum === 0 ? undefined : position - inQuantum;
}

function paddingErrorOffset(bytes: string, padding: number, inQuantum: number): number | undefined {
  if (inQuantum < 2) {
    return padding;
  }
  let position = padding + 1;
  if (inQuantum === 2) {
    position = skipLineBreaks(bytes, position);
    if (position === bytes.length) {
      return bytes.length;
    }
    if (bytes.charAt(position) !== "=") {
      // Go steps back by one here.
      return position - 1;
    }
    position += 1;
  }
  position = skipLineBreaks(bytes, position);
  return position < bytes.length ? position : undefined;
}

function skipLineBreaks(bytes: string, from: number): number {
  let position = from;
  while (bytes.charAt(position) === "\r" || bytes.charAt(position) === "\n") {
    position += 1;
  }
  return position;
}
