import type { TokenName } from "./tokens.ts";

/** What a literal starts with. */
export const literalFirst: readonly TokenName[] = [
  "'-'",
  "'true'",
  "'false'",
  "'null'",
  "NUM_FLOAT",
  "NUM_INT",
  "NUM_UINT",
  "STRING",
  "BYTES",
];
/** What an operand without a prefix operator starts with. */
export const memberFirst: readonly TokenName[] = ["'['", "'{'", "'('", "'.'", ...literalFirst, "IDENTIFIER"];
/** What an expression starts with. */
export const expressionFirst: readonly TokenName[] = [...memberFirst, "'!'"];
/** The same where `?` may stand before it. */
export const optionalFirst: readonly TokenName[] = ["'?'", ...expressionFirst];
export const relations: readonly TokenName[] = ["'<'", "'<='", "'>='", "'>'", "'=='", "'!='", "'in'"];
export const products: readonly TokenName[] = ["'*'", "'/'", "'%'"];
export const sums: readonly TokenName[] = ["'+'", "'-'"];
export const calculations: readonly TokenName[] = [...products, ...sums];
