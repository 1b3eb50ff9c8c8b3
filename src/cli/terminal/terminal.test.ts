import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { createTestContext } from "../http/testing/context.ts";
import { mayPrompt } from "./may-prompt.ts";
import { showProgress } from "./progress-line.ts";
import type { Terminal, TerminalInput } from "./terminal.ts";
import { createTerminal } from "./terminal.ts";

const signal = new AbortController().signal;

function createKeyboard(): {
  terminal: Terminal;
  shown: () => string;
  modes: (boolean | "closed")[];
  type: (text: string | Buffer) => void;
  end: () => void;
} {
  let input = new EventEmitter();
  let shown = "";
  const modes: (boolean | "closed")[] = [];
  const terminal = createTerminal(
    {
      write: (text) => {
        shown += text;
      },
      isTerminal: true,
    },
    () => {
      input = new EventEmitter();
      return Object.assign(input, {
        setRawMode: (raw: boolean) => {
          // No question may stand there while the terminal still echoes.
          assert.equal(raw && shown.endsWith(": "), false);
          modes.push(raw);
        },
        destroy: () => modes.push("closed"),
      }) as TerminalInput;
    },
  );
  return {
    terminal,
    shown: () => shown,
    modes,
    type: (text) => input.emit("data", Buffer.from(text)),
    end: () => input.emit("end"),
  };
}

describe("a prompt", () => {
  test("shows what is typed, edits it, and leaves the terminal as it was", async () => {
    const { terminal, shown, modes, type } = createKeyboard();
    const line = terminal.prompt("Username: ", { echo: true, signal });
    type("anx\u007f");
    type("n\u001b[D\u001bOA\u001b[200~e\r");
    assert.equal(await line, "anne");
    assert.equal(shown(), "Username: anx\b \bne\n");
    assert.deepEqual(modes, [true, false, "closed"]);
  });

  test("shows nothing of a password, but the line's end", async () => {
    const { terminal, shown, type } = createKeyboard();
    const line = terminal.prompt("Password: ", { echo: false, signal });
    type("wrong\u0015pä");
    type(Buffer.from([0xc3]));
    type(Buffer.from([0xa9]));
    type("😀\n");
    assert.equal(await line, "päé😀");
    assert.equal(shown(), "Password: \n");
  });

  test("keeps what was typed ahead for the next one", async () => {
    const { terminal, type, modes } = createKeyboard();
    const first = terminal.prompt("a", { echo: true, signal });
    type("one\r\ntwo\rthr");
    assert.equal(await first, "one");
    assert.equal(await terminal.prompt("b", { echo: false, signal }), "two");
    assert.deepEqual(modes, [true, false, "closed", true, false, "closed"]);
    const third = terminal.prompt("c", { echo: false, signal });
    type("ee\n");
    assert.equal(await third, "three");
  });

  test("ends with Ctrl-C, Ctrl-D, the input's end, or the signal", async () => {
    const { terminal, type, end, modes } = createKeyboard();
    const interrupted = terminal.prompt("", { echo: true, signal });
    type("abc\u0003");
    await assert.rejects(interrupted, { code: "cli.interrupted" });
    const ended = terminal.prompt("", { echo: true, signal });
    type("a\u0004\b\u0004");
    await assert.rejects(ended, { message: "the input ended" });
    const closed = terminal.prompt("", { echo: true, signal });
    end();
    await assert.rejects(closed, { message: "the input ended" });
    const controller = new AbortController();
    const aborted = terminal.prompt("", { echo: true, signal: controller.signal });
    controller.abort(new Error("over"));
    await assert.rejects(aborted, { message: "over" });
    assert.equal(modes.filter((mode) => mode === "closed").length, 4);
    await assert.rejects(terminal.prompt("", { echo: true, signal: controller.signal }), { message: "over" });
  });
});

test("the progress line is for terminals only", async () => {
  const clock = createManualClock();
  const piped = createTestContext({ clock });
  showProgress({ output: piped.stderr, clock }, "Waiting").stop();
  assert.equal(piped.errors(), "");
  const seen = createTestContext({ clock, terminal: true });
  const progress = showProgress({ output: seen.stderr, clock }, "Waiting");
  await clock.advance(1000);
  progress.stop();
  await clock.advance(5000);
  assert.equal(seen.errors(), `\r    Waiting (0 s)\r    Waiting (1 s)\r${" ".repeat(17)}\r`);
});

test("who may be asked", () => {
  const ask = (stdinIsTerminal: boolean, info?: string): boolean =>
    mayPrompt({ stdinIsTerminal, environment: { KUBERNETES_EXEC_INFO: info } });
  assert.equal(ask(true), true);
  assert.equal(ask(false), false);
  assert.equal(ask(true, '{"spec":{"interactive":true}}'), true);
  assert.equal(ask(true, '{"spec":{"interactive":false}}'), false);
  assert.equal(ask(true, "{"), true);
  assert.equal(ask(true, "null"), true);
});
