import { formatTokenSet, quoteTokenText, type Token, type TokenName } from "./tokens.ts";

/** What may come next at a place inside a grammar rule; `end` when the rule may end there. */
export interface Next {
  readonly tokens: readonly TokenName[];
  readonly end: boolean;
}

export function next(...tokens: readonly TokenName[]): Next {
  return { tokens, end: false };
}

export function nextOrEnd(...tokens: readonly TokenName[]): Next {
  return { tokens, end: true };
}

/** Leaves a grammar rule after a mismatch; the rule's caller goes on with what follows. */
class Mismatch extends Error {
  readonly token: Token;
  readonly text: string;
  constructor(token: Token, text: string) {
    super(text);
    this.token = token;
    this.text = text;
  }
}

/** Leaves the parser: going on would find nothing new. */
export class Abandoned extends Error {}

/** As cel-go: after these many recoveries the parser gives up. */
const maximumRecoveries = 30;

export interface Recognizer {
  /** The name of the token `distance` places ahead; 1 is the next one. */
  peek(distance?: number): TokenName;
  token(): Token;
  /** Takes the token that was decided for by looking ahead. */
  take(): Token;
  /** Takes the named token, or repairs its absence; `after` is what may follow it. */
  match(name: TokenName, after: Next): Token;
  /** Before a choice: skips one surplus token, or leaves the rule. */
  sync(here: Next): void;
  /** Inside a repetition that must go on with one of `here`. */
  syncLoop(here: Next): void;
  /** Leaves the rule because the next `distance` tokens fit no alternative. */
  noAlternative(distance: number): never;
  /** Runs a grammar rule; `follow` is what its caller expects after it. */
  rule<T>(name: string, follow: Next, body: () => T, broken: () => T): T;
}

/**
 * A recursive descent recogniser with the repairs of ANTLR's default strategy (one token deleted or inserted, resynchronisation
 * with the rules in progress, no second report until a token fits), so that messages are those that cel-go's users know.
 */
export function createRecognizer(
  source: string,
  tokens: readonly Token[],
  report: (offset: number, message: string) => void,
): Recognizer {
  const endToken: Token = tokens.at(-1) ?? { name: "<EOF>", text: "<EOF>", offset: source.length };
  const callers: Next[] = [];
  let position = 0;
  let recovering = false;
  let recoveries = 0;
  let lastErrorPosition = -1;
  let lastErrorRules = new Set<string>();

  const token = (): Token => tokens[position] ?? endToken;
  const peek = (distance = 1): TokenName => (tokens[position + distance - 1] ?? endToken).name;
  const advance = (): Token => {
    const current = token();
    if (position < tokens.length - 1) position++;
    return current;
  };

  const expected = (here: Next): Set<TokenName> => {
    const found = new Set(here.tokens);
    if (!here.end) return found;
    for (const caller of callers.toReversed()) {
      for (const name of caller.tokens) found.add(name);
      if (!caller.end) return found;
    }
    return found.add("<EOF>");
  };
  const resynchronization = (): Set<TokenName> => new Set(callers.flatMap((caller) => caller.tokens));
  const skipUntil = (stop: ReadonlySet<TokenName>): void => {
    while (peek() !== "<EOF>" && !stop.has(peek())) advance();
  };

  /** The text of tokens with the blanks between them; what was no token is left out, and so is the end. */
  const textOf = (some: readonly Token[]): string =>
    some
      .filter((each) => each.name !== "<EOF>")
      .map((each, index) => {
        const before = index === 0 ? undefined : some[index - 1];
        const gap = before === undefined ? "" : source.slice(before.offset + before.text.length, each.offset);
        return (gap.trim() === "" ? gap : "") + each.text;
      })
      .join("");

  const problem = (at: Token, text: string): void => {
    if (recovering) return;
    recovering = true;
    report(at.offset, `Syntax error: ${text}`);
  };
  const unwanted = (wanted: ReadonlySet<TokenName>): void => {
    problem(token(), `extraneous input ${quoteTokenText(token().text)} expecting ${formatTokenSet(wanted)}`);
  };
  const deleteOne = (wanted: ReadonlySet<TokenName>): boolean => {
    if (!wanted.has(peek(2)) || peek() === "<EOF>") return false;
    unwanted(wanted);
    advance();
    recovering = false;
    return true;
  };
  const mismatch = (wanted: ReadonlySet<TokenName>): Mismatch =>
    new Mismatch(
      token(),
      `mismatched input ${quoteTokenText(token().text)} expecting ${formatTokenSet(wanted)}`,
    );

  const take = (): Token => {
    recovering = false;
    return advance();
  };

  const recover = (rule: string): void => {
    if (++recoveries > maximumRecoveries) {
      report(token().offset, `Syntax error: error recovery attempt limit exceeded: ${maximumRecoveries}`);
      throw new Abandoned();
    }
    // Without this a rule that is entered again at the same place would fail for ever.
    if (lastErrorPosition === position && lastErrorRules.has(rule)) advance();
    if (lastErrorPosition !== position) lastErrorRules = new Set();
    lastErrorPosition = position;
    lastErrorRules.add(rule);
    skipUntil(resynchronization());
  };

  return {
    peek,
    token,
    take,
    match(name, after) {
      if (peek() === name) return take();
      const wanted = new Set([name]);
      if (deleteOne(wanted)) return take();
      if (expected(after).has(peek())) {
        problem(token(), `missing ${formatTokenSet(wanted)} at ${quoteTokenText(token().text)}`);
        return { name, text: `<missing ${name}>`, offset: token().offset };
      }
      throw mismatch(wanted);
    },
    sync(here) {
      if (recovering || here.end || here.tokens.includes(peek())) return;
      const wanted = expected(here);
      if (!deleteOne(wanted)) throw mismatch(wanted);
    },
    syncLoop(here) {
      if (recovering || here.end || here.tokens.includes(peek())) return;
      const wanted = expected(here);
      unwanted(wanted);
      skipUntil(wanted.union(resynchronization()));
    },
    noAlternative(distance) {
      const last = tokens[position + distance - 1] ?? endToken;
      const text = peek() === "<EOF>" ? "<EOF>" : textOf(tokens.slice(position, position + distance));
      const reserved = /^.(true|false|null)$/u.exec(text)?.[1];
      throw new Mismatch(
        last,
        reserved === undefined
          ? `no viable alternative at input ${quoteTokenText(text)}`
          : `mismatched input '${reserved}' expecting IDENTIFIER`,
      );
    },
    rule(name, follow, body, broken) {
      callers.push(follow);
      try {
        return body();
      } catch (error) {
        if (!(error instanceof Mismatch)) throw error;
        problem(error.token, error.text);
        recover(name);
        return broken();
      } finally {
        callers.pop();
      }
    },
  };
}
