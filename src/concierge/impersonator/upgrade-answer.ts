import type { TLSSocket } from "node:tls";

const LINGER_MILLISECONDS = 500;

/** Writes a whole answer and ends the connection; what the client still sends is thrown away. */
export function answerSocket(
  socket: TLSSocket,
  status: number,
  headers: readonly string[],
  body: string,
): void {
  socket.write(
    responseHead(status, [
      ...headers,
      "Content-Length",
      String(Buffer.byteLength(body)),
      "Connection",
      "close",
    ]) + Buffer.from(body).toString("latin1"),
    "latin1",
  );
  endSocket(socket);
}

/** Our half at once, the rest when the client has read it or soon. */
export function endSocket(socket: TLSSocket): void {
  socket.end();
  socket.resume();
  socket.setTimeout(LINGER_MILLISECONDS, () => socket.destroy());
}

export function responseHead(status: number, headers: readonly string[]): string {
  let head = `HTTP/1.1 ${status} ${status === 101 ? "Switching Protocols" : ""}\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  return `${head}\r\n`;
}

/** The first value of a header; `name` in lower case. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  const index = headers.findIndex((each, at) => at % 2 === 0 && each.toLowerCase() === name);
  return index === -1 ? undefined : headers[index + 1];
}
