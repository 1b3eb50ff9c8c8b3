const simpleEscapes: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 0x5c,
  "'": 0x27,
  '"': 0x22,
  "`": 0x60,
  "?": 0x3f,
};

const escape = /\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([^]))/gu;

interface Quoted {
  readonly body: string;
  readonly raw: boolean;
}

function unquote(token: string): Quoted {
  // All line ends are `\n`, whatever the file had.
  const text = token.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  const raw = text.startsWith("r") || text.startsWith("R");
  const quoted = raw ? text.slice(1) : text;
  const width = quoted.length >= 6 && (quoted.startsWith('"""') || quoted.startsWith("'''")) ? 3 : 1;
  return { body: quoted.slice(width, -width), raw };
}

function isSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdfff;
}

/** The text of a string literal, quotes and prefix included. Returns the reason when an escape has no meaning. */
export function parseStringLiteral(token: string): { readonly value: string } | { readonly reason: string } {
  const { body, raw } = unquote(token);
  if (raw || !body.includes("\\")) return { value: body };
  let reason: string | undefined;
  const value = body.replace(
    escape,
    (_match, hex?: string, short?: string, long?: string, octal?: string, simple?: string) => {
      const digits = hex ?? short ?? long;
      const code =
        digits !== undefined
          ? Number.parseInt(digits, 16)
          : octal !== undefined
            ? Number.parseInt(octal, 8)
            : simpleEscapes[simple ?? ""];
      if (code === undefined) reason ??= "unable to unescape string";
      else if (code > 0x10ffff || isSurrogate(code)) reason ??= "invalid unicode code point";
      return reason === undefined ? String.fromCodePoint(code ?? 0) : "";
    },
  );
  return reason === undefined ? { value } : { reason };
}

/** The bytes of a bytes literal: text is UTF-8, `\x` and octal escapes are single bytes, `\u` has no meaning. */
export function parseBytesLiteral(
  token: string,
): { readonly value: Uint8Array } | { readonly reason: string } {
  const { body, raw } = unquote(token.slice(1));
  if (raw || !body.includes("\\")) return { value: Buffer.from(body, "utf8") };
  const parts: Buffer[] = [];
  let last = 0;
  for (const match of body.matchAll(escape)) {
    const [whole, hex, short, long, octal, simple] = match;
    parts.push(Buffer.from(body.slice(last, match.index), "utf8"));
    last = match.index + whole.length;
    if (short !== undefined || long !== undefined) return { reason: "unable to unescape string" };
    const byte =
      hex !== undefined
        ? Number.parseInt(hex, 16)
        : octal !== undefined
          ? Number.parseInt(octal, 8)
          : simpleEscapes[simple ?? ""];
    if (byte === undefined) return { reason: "unable to unescape string" };
    parts.push(Buffer.from([byte]));
  }
  parts.push(Buffer.from(body.slice(last), "utf8"));
  return { value: Buffer.concat(parts) };
}

/** A whole number with its sign, as the grammar allows it: decimal or `0x`. */
export function parseInteger(text: string): bigint {
  const negative = text.startsWith("-");
  const digits = negative ? text.slice(1) : text;
  const value = BigInt(digits);
  return negative ? -value : value;
}
