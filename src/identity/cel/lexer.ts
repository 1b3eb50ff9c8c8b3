import { tokenNames, type Token, type TokenName } from "./tokens.ts";

const punctuation = new Set<string>(tokenNames.filter((name) => name.startsWith("'")));

const skipped = /(?:[\t \r\n\f]+|\/\/[^\n]*)/uy;
const number =
  /(?<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)|(?<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])|(?<int>0x[0-9a-fA-F]+|[0-9]+)/uy;
const identifier = /[A-Za-z_][A-Za-z0-9_]*/uy;
const escapedIdentifier = /`[A-Za-z0-9_.\-/ ]+`/uy;
const operator = /==|!=|<=|>=|&&|\|\||[<>[\]{}().,\-!?:+*/%]/uy;
const prefix = /(?<bytes>[bB])?(?<raw>[rR])?(?<quote>"""|'''|"|')/uy;

function matchAt(pattern: RegExp, text: string, offset: number): RegExpExecArray | null {
  pattern.lastIndex = offset;
  return pattern.exec(text);
}

/** The length of an escape sequence at `offset`, or the negative number of characters that were still possible. */
function escapeLength(text: string, offset: number): number {
  const kind = text[offset + 1] ?? "";
  const digits = (count: number, start: number, allowed: RegExp): number => {
    for (let i = 0; i < count; i++) if (!allowed.test(text[offset + start + i] ?? "")) return -(start + i);
    return start + count;
  };
  if (kind === "") return -1;
  if ("abfnrtv\"'\\?`".includes(kind)) return 2;
  if (kind === "x" || kind === "X") return digits(2, 2, /^[0-9a-fA-F]$/u);
  if (kind === "u") return digits(4, 2, /^[0-9a-fA-F]$/u);
  if (kind === "U") return digits(8, 2, /^[0-9a-fA-F]$/u);
  if (/^[0-3]$/u.test(kind)) return digits(2, 2, /^[0-7]$/u);
  return -1;
}

/** Where a quoted text ends, or the place of the character that cannot continue it. */
function scanString(
  text: string,
  start: number,
  quote: string,
  raw: boolean,
): { end: number } | { failed: number } {
  const multiline = quote.length === 3;
  let at = start;
  while (at < text.length) {
    if (text.startsWith(quote, at)) return { end: at + quote.length };
    const character = text[at];
    if (!multiline && (character === "\n" || character === "\r")) return { failed: at };
    if (character === "\\" && !raw) {
      const length = escapeLength(text, at);
      if (length < 0) return { failed: at - length };
      at += length;
    } else at++;
  }
  return { failed: text.length };
}

type Lexed = { readonly token: Token } | { readonly failed: number };

function lexString(text: string, offset: number): Lexed | undefined {
  const found = matchAt(prefix, text, offset);
  const groups = found?.groups;
  const quote = groups?.["quote"];
  if (found === null || groups === undefined || quote === undefined) return undefined;
  const name: TokenName = groups["bytes"] === undefined ? "STRING" : "BYTES";
  const raw = groups["raw"] !== undefined;
  const token = (end: number): Lexed => ({ token: { name, text: text.slice(offset, end), offset } });
  const scanned = scanString(text, offset + found[0].length, quote, raw);
  if ("end" in scanned) return token(scanned.end);
  // `"""` that is never closed is still the empty text `""` followed by something else.
  if (quote.length === 3) return token(offset + found[0].length - 1);
  return groups["bytes"] !== undefined || raw ? undefined : scanned;
}

function lexToken(text: string, offset: number): Lexed {
  const quoted = lexString(text, offset);
  if (quoted !== undefined) return quoted;
  const numeral = matchAt(number, text, offset);
  if (numeral !== null) {
    const groups = numeral.groups ?? {};
    const name =
      groups["float"] !== undefined ? "NUM_FLOAT" : groups["uint"] !== undefined ? "NUM_UINT" : "NUM_INT";
    return { token: { name, text: numeral[0], offset } };
  }
  const word = matchAt(identifier, text, offset)?.[0];
  if (word !== undefined) {
    const name = punctuation.has(`'${word}'`) ? (`'${word}'` as TokenName) : "IDENTIFIER";
    return { token: { name, text: word, offset } };
  }
  const escaped = matchAt(escapedIdentifier, text, offset)?.[0];
  if (escaped !== undefined) return { token: { name: "ESC_IDENTIFIER", text: escaped, offset } };
  const symbol = matchAt(operator, text, offset)?.[0];
  if (symbol !== undefined) return { token: { name: `'${symbol}'` as TokenName, text: symbol, offset } };
  const first = text[offset] ?? "";
  if (first === "`")
    return { failed: offset + 1 + (/^[A-Za-z0-9_.\-/ ]*/u.exec(text.slice(offset + 1))?.[0].length ?? 0) };
  return { failed: "=&|".includes(first) ? offset + 1 : offset };
}

/**
 * Splits an expression into tokens, the last of which is `<EOF>`. What fits no token is reported and left out, together with the
 * character that showed it, as ANTLR does.
 */
export function tokenize(text: string, report: (offset: number, message: string) => void): readonly Token[] {
  const tokens: Token[] = [];
  let offset = 0;
  while (offset < text.length) {
    const blank = matchAt(skipped, text, offset);
    if (blank !== null) {
      offset += blank[0].length;
      continue;
    }
    const lexed = lexToken(text, offset);
    if ("token" in lexed) {
      tokens.push(lexed.token);
      offset += lexed.token.text.length;
      continue;
    }
    const offending = String.fromCodePoint(
      ...[text.codePointAt(lexed.failed)].filter((code) => code !== undefined),
    );
    const end = lexed.failed + offending.length;
    report(offset, `Syntax error: token recognition error at: '${text.slice(offset, end)}'`);
    offset = Math.max(end, offset + 1);
  }
  tokens.push({ name: "<EOF>", text: "<EOF>", offset: text.length });
  return tokens;
}
