import type { IncomingMessage, ServerResponse } from "node:http";

/** On every answer of the callback listener (contract cli.md 4.6). */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "X-Frame-Options": "DENY",
  "X-XSS-Protection": "1; mode=block",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "X-DNS-Prefetch-Control": "off",
  "Cache-Control": "no-cache,no-store,max-age=0,must-revalidate",
  Pragma: "no-cache",
  Expires: "0",
};

/** Bytes of a posted form: a code and a state. */
const MAXIMUM_FORM = 65_536;

export function answerCallback(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    ...headers,
    "Content-Type": "text/plain; charset=utf-8",
    Connection: "close",
  });
  response.end(status === 200 ? text : `${text}\n`);
}

/** The parameters of a posted form; any other content has none. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAXIMUM_FORM) {
      throw new Error("the form is too long");
    }
    chunks.push(chunk);
  }
  return new URLSearchParams(
    type === "application/x-www-form-urlencoded" ? Buffer.concat(chunks).toString("utf8") : "",
  );
}
