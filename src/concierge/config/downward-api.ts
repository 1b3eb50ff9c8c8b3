import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LanyardError, messageOf } from "../../errors.ts";

/** What the Pod knows of itself, from the files of a downward API volume (contract 9.1). */
export interface DownwardApi {
  readonly namespace: string;
  readonly podName: string | undefined;
  readonly podLabels: Readonly<Record<string, string>>;
}

/** Reads `namespace` (required), `name` and `labels` in `folder`. Refusal: `configuration.downwardApi`. */
export function loadDownwardApi(folder: string): DownwardApi {
  const namespace = readOptional(join(folder, "namespace"))?.trim();
  if (namespace === undefined || namespace === "") {
    throw downwardApiError(`could not load namespace: ${join(folder, "namespace")} is missing or empty`);
  }
  const labels = readOptional(join(folder, "labels")) ?? "";
  try {
    return {
      namespace,
      podName: readOptional(join(folder, "name"))?.trim() || undefined,
      podLabels: parseLabels(labels),
    };
  } catch (error) {
    throw downwardApiError(`could not load labels: ${messageOf(error)}`);
  }
}

function downwardApiError(message: string): LanyardError {
  return new LanyardError({
    code: "configuration.downwardApi",
    message: `could not read pod metadata: ${message}`,
  });
}

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined;
    }
    throw downwardApiError(messageOf(error));
  }
}

/** Lines `key="value"`, the value quoted as Go's `strconv.Quote` does it (`k8s.io/kubernetes/pkg/fieldpath`). */
export function parseLabels(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") {
      continue;
    }
    const separator = line.indexOf("=");
    const value = separator < 0 ? undefined : unquote(line.slice(separator + 1).trim());
    if (value === undefined) {
      throw new LanyardError({
        code: "configuration.downwardApi",
        message: `line ${index + 1} is not of the form key="value"`,
      });
    }
    labels[line.slice(0, separator)] = value;
  }
  return labels;
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 92,
  '"': 34,
};

const ESCAPE = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|([abfnrtv\\"]))/y;

/** A Go string literal in double quotes; undefined when it is not one. Byte escapes (`\xff`, `\377`) make bytes. */
function unquote(literal: string): string | undefined {
  if (literal.length < 2 || !literal.startsWith('"') || !literal.endsWith('"')) {
    return undefined;
  }
  const bytes: Buffer[] = [];
  const body = literal.slice(1, -1);
  for (let at = 0; at < body.length;) {
    const backslash = body.indexOf("\\", at);
    const end = backslash < 0 ? body.length : backslash;
    const plain = body.slice(at, end);
    if (plain.includes('"')) {
      return undefined;
    }
    bytes.push(Buffer.from(plain));
    at = end;
    if (at < body.length) {
      ESCAPE.lastIndex = at;
      const escape = ESCAPE.exec(body);
      const decoded = escape === null ? undefined : decodeEscape(escape);
      if (escape === null || decoded === undefined) {
        return undefined;
      }
      bytes.push(decoded);
      at += escape[0].length;
    }
  }
  return Buffer.concat(bytes).toString("utf8");
}

function decodeEscape([, hex, short, long, octal, simple]: RegExpExecArray): Buffer | undefined {
  if (hex !== undefined || octal !== undefined) {
    const byte = hex === undefined ? Number.parseInt(octal ?? "", 8) : Number.parseInt(hex, 16);
    return byte > 255 ? undefined : Buffer.from([byte]);
  }
  if (simple !== undefined) {
    const byte = SIMPLE_ESCAPES[simple];
    return byte === undefined ? undefined : Buffer.from([byte]);
  }
  const codePoint = Number.parseInt(short ?? long ?? "", 16);
  const valid = codePoint <= 0x10_ff_ff && !(codePoint >= 0xd8_00 && codePoint <= 0xdf_ff);
  return valid ? Buffer.from(String.fromCodePoint(codePoint)) : undefined;
}
