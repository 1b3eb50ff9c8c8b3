import assert from "node:assert/strict";
import { test } from "node:test";
import { createCommandLog } from "./command-log.ts";

const NOW = Date.UTC(2026, 0, 2, 15, 4, 5);

function collect(): { readonly lines: string[]; readonly log: ReturnType<typeof createCommandLog> } {
  const lines: string[] = [];
  return { lines, log: createCommandLog({ clock: { now: () => NOW }, write: (line) => lines.push(line) }) };
}

test("a line has the local time, the caller's place, the message and its values", () => {
  const zone = process.env["TZ"];
  try {
    const { lines, log } = collect();
    for (const [name, time] of [
      ["UTC", "Fri, 02 Jan 2026 15:04:05 UTC"],
      ["America/New_York", "Fri, 02 Jan 2026 10:04:05 EST"],
      ["Europe/Berlin", "Fri, 02 Jan 2026 16:04:05 CET"],
      ["Asia/Kathmandu", "Fri, 02 Jan 2026 20:49:05 +0545"],
    ] as const) {
      process.env["TZ"] = name;
      log.error("something happened", {
        count: 2,
        names: ["a", "b"],
        error: new Error("why\nnot"),
        none: undefined,
      });
      assert.match(
        lines.pop() ?? "",
        new RegExp(
          `^${RegExp.escape(time)} {2}cli/command-log\\.test\\.ts:\\d+ {2}something happened {2}` +
            `\\{"count": 2, "names": \\["a", "b"\\], "error": "why\\\\nnot", "none": null\\}\n$`,
        ),
      );
    }
  } finally {
    if (zone === undefined) {
      delete process.env["TZ"];
    } else {
      process.env["TZ"] = zone;
    }
  }
});

test("a line is one line, and has no braces without values", () => {
  const { lines, log } = collect();
  log.error("two\nlines", {});
  assert.match(lines[0] ?? "", / {2}two\\nlines\n$/);
});

test("errors always show, the rest by level", () => {
  const { lines, log } = collect();
  const all = (): number => {
    lines.length = 0;
    log.error("e");
    log.info("i");
    log.debug("d");
    return lines.length;
  };
  assert.equal(all(), 1);
  log.setLevel("info");
  assert.equal(all(), 2);
  log.setLevel("debug");
  assert.equal(all(), 3);
  log.setLevel("error");
  assert.equal(all(), 1);
});
