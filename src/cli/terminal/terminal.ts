import { ReadStream } from "node:tty";
import type { TextOutput } from "../context.ts";
import { CommandError } from "../command-error.ts";
import { createLineEditor } from "./line-editor.ts";

/** What a terminal's keyboard gives; `tty.ReadStream` is one. */
export interface TerminalInput {
  setRawMode(raw: boolean): unknown;
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  on(event: "error" | "end" | "close", listener: (error?: Error) => void): unknown;
  destroy(): unknown;
}

/** A person at a terminal. The caller makes sure that there is one. */
export interface Terminal {
  /**
   * Shows `text` and reads one line, with or without showing what is typed. Rejects when the input ends, when the person presses
   * Ctrl-C (code `cli.interrupted`), or with the signal's reason when it aborts.
   */
  prompt(text: string, options: { readonly echo: boolean; readonly signal: AbortSignal }): Promise<string>;
}

/**
 * The terminal reads key by key for all prompts: a line of the terminal's own editing ends at 1,024 bytes on some systems, and pasted
 * authorization codes can be longer. What is typed ahead is kept for the next prompt.
 */
export function createTerminal(
  output: TextOutput,
  openInput: () => TerminalInput = () => new ReadStream(0),
): Terminal {
  let typedAhead: string[] = [];
  return {
    prompt: async (text, { echo, signal }) => {
      signal.throwIfAborted();
      const editor = createLineEditor(echo ? (shown) => output.write(shown) : () => {});
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      let done = false;
      const feed = (characters: readonly string[]): void => {
        for (const [index, character] of characters.entries()) {
          const result = editor.type(character);
          if (result === undefined) {
            continue;
          }
          done = true;
          // Enter may come as CR LF, which is one line's end.
          typedAhead = characters.slice(
            character === "\r" && characters[index + 1] === "\n" ? index + 2 : index + 1,
          );
          if (result.end === "line") {
            output.write("\n");
            resolve(result.line);
          } else if (result.end === "interrupt") {
            output.write("\n");
            reject(new CommandError("cli.interrupted", "interrupted"));
          } else {
            reject(new CommandError("cli.terminal.end", "the input ended"));
          }
          return;
        }
      };
      const before = typedAhead;
      typedAhead = [];
      const input = openInput();
      const decoder = new TextDecoder();
      const abort = (): void => reject(signal.reason as Error);
      try {
        // Before the question is shown: what is typed at once would be echoed by the terminal otherwise.
        input.setRawMode(true);
        output.write(text);
        feed(before);
        input.on("data", (chunk) => {
          const characters = Array.from(decoder.decode(chunk, { stream: true }));
          if (done) {
            typedAhead.push(...characters);
          } else {
            feed(characters);
          }
        });
        input.on("error", (error) => reject(error ?? new Error("the terminal failed")));
        input.on("end", () => reject(new CommandError("cli.terminal.end", "the input ended")));
        signal.addEventListener("abort", abort, { once: true });
        return await promise;
      } finally {
        signal.removeEventListener("abort", abort);
        input.setRawMode(false);
        input.destroy();
      }
    },
  };
}
