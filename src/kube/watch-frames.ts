import { LanyardError } from "../errors.ts";

/** Larger than any object that etcd takes (1.5 MiB by default). */
const defaultMaximumCharacters = 16 * 1024 * 1024;

function broken(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "kubernetes.watch.broken", message, cause });
}

/**
 * Cuts a watch's bytes into JSON values, one a line, whatever the chunks' boundaries are.
 *
 * @throws LanyardError `kubernetes.watch.broken` on bad UTF-8, bad JSON, a line without end or one that is too long.
 */
export async function* watchFrames(
  chunks: AsyncIterable<Uint8Array>,
  maximumCharacters = defaultMaximumCharacters,
): AsyncGenerator<unknown, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let parts: string[] = [];
  let length = 0;
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch (error) {
      throw broken("a watch sent bytes that are not UTF-8", error);
    }
  };
  for await (const chunk of chunks) {
    const text = decode(chunk);
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const line = parts.join("") + text.slice(start, end);
      start = end + 1;
      parts = [];
      length = 0;
      if (line.length > maximumCharacters) {
        throw broken(`a watch sent a line of more than ${maximumCharacters} characters`);
      }
      if (line.trim() !== "") {
        yield frame(line);
      }
    }
    if (start < text.length) {
      parts.push(text.slice(start));
      length += text.length - start;
      if (length > maximumCharacters) {
        throw broken(`a watch sent a line of more than ${maximumCharacters} characters`);
      }
    }
  }
  if ((parts.join("") + decode()).trim() !== "") {
    throw broken("a watch ended within a line");
  }
}

function frame(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    // The parser's own message quotes the line, which may hold a Secret.
    throw broken(
      `a watch sent ${line.length} characters that are not JSON`,
      error instanceof SyntaxError ? undefined : error,
    );
  }
}
