import { createRequire } from "node:module";
import { failure, noSuchOverload } from "../errors.ts";
import type { Frame } from "../frame.ts";
import type { Value } from "../values.ts";

type Engine = typeof import("re2js");

let engine: Engine | undefined;

/** The engine is large, and most expressions have no pattern. */
function loadEngine(): Engine {
  engine ??= createRequire(import.meta.url)("re2js") as Engine;
  return engine;
}

/** A pattern in the syntax of RE2, found in time linear in the text. */
export interface Pattern {
  test(frame: Frame, text: Value): boolean;
  /** The first text that fits, or the empty text. */
  find(frame: Frame, text: Value): string;
  /** Texts that fit, at most `limit` unless it is negative. */
  findAll(frame: Frame, text: Value, limit: Value | undefined): readonly string[];
}

const maximumPattern = 1024;

/** Throws the error of RE2's parser (`error parsing regexp: …`). */
export function compilePattern(pattern: string): Pattern {
  if (pattern.length > maximumPattern) throw failure(`error parsing regexp: expression too large`);
  const { RE2JS } = loadEngine();
  let compiled: InstanceType<Engine["RE2JS"]>;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw failure(message.endsWith("trailing backslash at end of expression") ? `${message}: \`\`` : message);
  }
  // The machine has about as many states as the program has instructions, and each may be live at each character.
  const states = Math.max(1, compiled.programSize());
  const charged = (frame: Frame, text: Value): string => {
    if (typeof text !== "string") throw noSuchOverload();
    frame.spend(Math.ceil((text.length * states) / 32));
    return text;
  };
  return {
    test: (frame, text) => compiled.matcher(charged(frame, text)).find(),
    find(frame, text) {
      const matcher = compiled.matcher(charged(frame, text));
      return matcher.find() ? (matcher.group() ?? "") : "";
    },
    findAll(frame, text, limit) {
      if (limit !== undefined && typeof limit !== "bigint") throw noSuchOverload();
      const most = limit === undefined || limit < 0n ? Number.POSITIVE_INFINITY : Number(limit);
      const matcher = compiled.matcher(charged(frame, text));
      const found: string[] = [];
      let end = -1;
      while (found.length < most && matcher.find()) {
        frame.tick();
        // As in Go: nothing is not found again right after something.
        if (matcher.end() === matcher.start() && matcher.start() === end) continue;
        end = matcher.end();
        found.push(matcher.group() ?? "");
      }
      return found;
    },
  };
}
