import type { Writable } from "node:stream";

/** The body of one answer on its way to the client, in few and large writes. */
export interface AnswerBody {
  /** Takes a copy: the memory is its owner's again. Answers whether more is welcome now; else the socket's `drain` says when. */
  write(chunk: Buffer): boolean;
  /** Sends what was gathered. */
  flush(): void;
  /** Forgets what was gathered. */
  discard(): void;
}

export interface AnswerBodyOptions {
  /** The connection, or the stream of HTTP/2. */
  readonly socket: Writable;
  /** HTTP/1.1, and the length is not known beforehand: each write is one chunk (RFC 9112 section 7.1). */
  readonly chunked: boolean;
  /** A stream: nothing waits for a slow client but what its socket holds. */
  readonly prompt: boolean;
  /** Called before the first bytes; what it writes leaves together with them. */
  readonly sendHead: () => void;
}

/** Four full TLS records. */
const BLOCK_LENGTH = 64 * 1024;
/** In front of a chunk: its size, of four hexadecimal digits at most, and a line end. */
const SIZE_LENGTH = 6;
const LINE_END_LENGTH = 2;
const FULL = BLOCK_LENGTH - LINE_END_LENGTH;
/** A part that is alone gets memory of its own size: thousands of watches may have an event at the same moment. */
const SMALL = 4 * 1024;
/** What may wait for the client besides the block that is being filled; of a stream, of which there are many, much less. */
const MAXIMUM_WAITING = 128 * 1024;
const KEPT_BLOCKS = 32;

/** A kube-apiserver writes a list in pieces of 2 and 18 KB; memory made for each of them means a full collection every 14 lists. */
const keptBlocks: Buffer[] = [];

function giveBack(block: Buffer): void {
  if (block.length === BLOCK_LENGTH && keptBlocks.length < KEPT_BLOCKS) {
    keptBlocks.push(block);
  }
}

/** Gathers the parts of an answer in blocks of 64 KB, each with its chunk's frame around it. */
export function createAnswerBody(options: AnswerBodyOptions): AnswerBody {
  const { socket, chunked, prompt } = options;
  let block: Buffer | undefined;
  let end = SIZE_LENGTH;
  let begun = false;
  let scheduled = false;

  const send = (): void => {
    if (block === undefined) {
      return;
    }
    const sent = block;
    block = undefined;
    if (socket.destroyed) {
      giveBack(sent);
      return;
    }
    let start = SIZE_LENGTH;
    if (chunked) {
      const line = `${(end - SIZE_LENGTH).toString(16)}\r\n`;
      start -= line.length;
      sent.write(line, start, "latin1");
      sent[end] = 13;
      sent[end + 1] = 10;
      end += LINE_END_LENGTH;
    }
    // Used again when the write is over: until then the socket may still have to read it.
    const written = (): void => giveBack(sent);
    if (begun) {
      socket.write(sent.subarray(start, end), written);
      return;
    }
    begun = true;
    socket.cork();
    options.sendHead();
    socket.write(sent.subarray(start, end), written);
    socket.uncork();
  };
  const flush = (): void => {
    scheduled = false;
    send();
  };
  const add = (bytes: Buffer): void => {
    block ??= keptBlocks.pop() ?? Buffer.allocUnsafeSlow(BLOCK_LENGTH);
    block.set(bytes, end);
    end += bytes.length;
  };

  return {
    write: (chunk) => {
      if (block === undefined) {
        end = SIZE_LENGTH;
        if (chunk.length <= SMALL) {
          block = Buffer.allocUnsafe(SIZE_LENGTH + chunk.length + LINE_END_LENGTH);
        }
      } else if (block.length < BLOCK_LENGTH) {
        const small = block.subarray(SIZE_LENGTH, end);
        block = undefined;
        end = SIZE_LENGTH;
        add(small);
      }
      for (let from = 0; from < chunk.length;) {
        const room = FULL - end;
        if (chunk.length - from < room) {
          add(from === 0 ? chunk : chunk.subarray(from));
          break;
        }
        add(chunk.subarray(from, from + room));
        from += room;
        send();
        end = SIZE_LENGTH;
      }
      if (block !== undefined && !scheduled) {
        scheduled = true;
        // No longer: a client that may begin to read is worth more than a full block.
        setImmediate(flush);
      }
      return prompt ? !socket.writableNeedDrain : socket.writableLength <= MAXIMUM_WAITING;
    },
    flush: send,
    discard: () => {
      if (block !== undefined) {
        giveBack(block);
        block = undefined;
      }
    },
  };
}
