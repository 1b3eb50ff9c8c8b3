const MISPLACED_QUOTE = `bare " in non-quoted-field`;
const UNEVEN_QUOTE = `extraneous or missing " in quoted-field`;

/**
 * The first record of comma-separated values by the rules of Go's `encoding/csv`, which reads list flags (contract cli.md 1): a
 * field in double quotes may hold commas, line breaks and doubled quotes. Empty text is an empty list. The message of the
 * `SyntaxError` is Go's.
 */
export function parseCommaSeparated(text: string): readonly string[] {
  if (text === "") {
    return [];
  }
  const lines = splitLines(text);
  const start = lines.findIndex((line) => line !== "\n");
  if (start === -1) {
    throw new SyntaxError("EOF");
  }
  return readRecord(lines, start);
}

function splitLines(text: string): readonly string[] {
  const lines = text.split(/(?<=\n)/).map((line) => line.replace(/\r\n$/, "\n"));
  return lines.map((line, index) => (index === lines.length - 1 ? line.replace(/\r$/, "") : line));
}

function readRecord(lines: readonly string[], start: number): readonly string[] {
  const fields: string[] = [];
  let number = start;
  let line = lines[number] ?? "";
  let at = 0;
  const fail = (column: number, reason: string): SyntaxError => {
    const record = number === start ? "" : `record on line ${start + 1}; `;
    // Go counts bytes.
    const bytes = Buffer.byteLength(line.slice(0, column));
    return new SyntaxError(`${record}parse error on line ${number + 1}, column ${bytes + 1}: ${reason}`);
  };
  for (;;) {
    if (line[at] !== '"') {
      const comma = line.indexOf(",", at);
      const field = (comma === -1 ? line.slice(at) : line.slice(at, comma)).replace(/\n$/, "");
      const misplaced = field.indexOf('"');
      if (misplaced !== -1) {
        throw fail(at + misplaced, MISPLACED_QUOTE);
      }
      fields.push(field);
      if (comma === -1) {
        return fields;
      }
      at = comma + 1;
      continue;
    }
    at++;
    let field = "";
    for (;;) {
      const closing = line.indexOf('"', at);
      if (closing === -1) {
        field += line.slice(at);
        if (number + 1 >= lines.length) {
          throw fail(line.length, UNEVEN_QUOTE);
        }
        number++;
        line = lines[number] ?? "";
        at = 0;
        continue;
      }
      field += line.slice(at, closing);
      at = closing + 1;
      if (line[at] !== '"') {
        break;
      }
      field += '"';
      at++;
    }
    fields.push(field);
    if (at === line.length || line.slice(at) === "\n") {
      return fields;
    }
    if (line[at] !== ",") {
      throw fail(at - 1, UNEVEN_QUOTE);
    }
    at++;
  }
}
