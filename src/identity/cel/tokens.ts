/** The tokens of CEL in the order of the grammar, which is the order in which messages list what was expected. */
export const tokenNames = [
  "<EOF>",
  "'=='",
  "'!='",
  "'in'",
  "'<'",
  "'<='",
  "'>='",
  "'>'",
  "'&&'",
  "'||'",
  "'['",
  "']'",
  "'{'",
  "'}'",
  "'('",
  "')'",
  "'.'",
  "','",
  "'-'",
  "'!'",
  "'?'",
  "':'",
  "'+'",
  "'*'",
  "'/'",
  "'%'",
  "'true'",
  "'false'",
  "'null'",
  "NUM_FLOAT",
  "NUM_INT",
  "NUM_UINT",
  "STRING",
  "BYTES",
  "IDENTIFIER",
  "ESC_IDENTIFIER",
] as const;

export type TokenName = (typeof tokenNames)[number];

export interface Token {
  readonly name: TokenName;
  readonly text: string;
  /** UTF-16 index in the source. */
  readonly offset: number;
}

const order = new Map<string, number>(tokenNames.map((name, index) => [name, index]));

/** A set of tokens as messages print it: `'('`, or `{'(', ')'}`. */
export function formatTokenSet(names: Iterable<TokenName>): string {
  const sorted = [...new Set(names)].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
  return sorted.length === 1 ? String(sorted[0]) : `{${sorted.join(", ")}}`;
}

/** The text of a token inside a message, with white space made visible. */
export function quoteTokenText(text: string): string {
  return `'${text.replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t")}'`;
}
