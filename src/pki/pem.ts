/** One PEM block: its label, such as `CERTIFICATE`, and the decoded bytes. */
export interface PemBlock {
  readonly type: string;
  readonly bytes: Buffer;
}

const BOUNDARY = /^-----(BEGIN|END) (.*)-----$/;
const HEADER = /^[^\r\n:]+:[^\r\n]*$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Every well-formed PEM block of `text` in order, as repeated Go `pem.Decode` calls find them: text between blocks, and
 * blocks whose body is not base64, are skipped.
 */
export function decodePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let type: string | undefined;
  let body: string[] = [];
  // By lines and not by one expression: the time stays linear whatever the input.
  for (const untrimmed of text.split("\n")) {
    const line = untrimmed.trimEnd();
    const boundary = BOUNDARY.exec(line);
    if (boundary === null) {
      body.push(line);
    } else if (boundary[1] === "BEGIN") {
      type = boundary[2];
      body = [];
    } else {
      const bytes = type !== undefined && type === boundary[2] ? decodeBody(body) : undefined;
      if (type !== undefined && bytes !== undefined) {
        blocks.push({ type, bytes });
      }
      type = undefined;
      body = [];
    }
  }
  return blocks;
}

function decodeBody(lines: readonly string[]): Buffer | undefined {
  // RFC 1421 headers, as in encrypted OpenSSL keys, come first.
  const start = lines.findIndex((line) => !HEADER.test(line));
  const base64 = lines.slice(Math.max(start, 0)).join("").replaceAll(/[ \t]/g, "");
  return BASE64.test(base64) ? Buffer.from(base64, "base64") : undefined;
}

/** PEM text (RFC 7468): 64 characters a line, a final newline. */
export function encodePem(type: string, bytes: Uint8Array): string {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  let lines = "";
  for (let offset = 0; offset < base64.length; offset += 64) {
    lines += `${base64.slice(offset, offset + 64)}\n`;
  }
  return `-----BEGIN ${type}-----\n${lines}-----END ${type}-----\n`;
}
