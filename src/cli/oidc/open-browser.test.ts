import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { createTestContext } from "../http/testing/context.ts";
import { browserCommand, openBrowser } from "./open-browser.ts";

const URL_WITH_TRAPS = "https://issuer.example.com/authorize?a=1&b=$(touch%20x)&c=%25PATH%25";

describe("the browser", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "lanyard-browser-"));
  });
  after(() => rm(folder, { recursive: true }));

  async function opener(name: string, script: string): Promise<void> {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
  }

  test("is the platform's, and the URL is one argument without a shell", () => {
    const linux = (paths: readonly string[], path = "/usr/local/bin:/usr/bin"): unknown =>
      browserCommand({ platform: "linux", environment: { PATH: path } }, URL_WITH_TRAPS, (candidate) =>
        paths.includes(candidate),
      );
    assert.deepEqual(linux(["/usr/bin/xdg-open", "/usr/bin/www-browser"]), {
      command: "/usr/bin/xdg-open",
      args: [URL_WITH_TRAPS],
    });
    assert.deepEqual(linux(["/usr/bin/x-www-browser", "/usr/local/bin/www-browser"]), {
      command: "/usr/bin/x-www-browser",
      args: [URL_WITH_TRAPS],
    });
    assert.equal(linux([]), undefined);
    assert.equal(linux(["xdg-open", "./xdg-open"], ":.:bin"), undefined);
    assert.deepEqual(browserCommand({ platform: "darwin", environment: {} }, URL_WITH_TRAPS), {
      command: "/usr/bin/open",
      args: [URL_WITH_TRAPS],
    });
    assert.deepEqual(
      browserCommand({ platform: "win32", environment: { SystemRoot: "D:\\Win" } }, URL_WITH_TRAPS),
      {
        command: "D:\\Win\\System32\\rundll32.exe",
        args: ["url.dll,FileProtocolHandler", URL_WITH_TRAPS],
      },
    );
  });

  test("gets the URL as it is, but neither username nor password", async () => {
    await opener("xdg-open", `printf '%s\\n' "$1" "$#" "\${PINNIPED_PASSWORD-none}" > ${folder}/seen`);
    const environment = { PATH: `${folder}:/bin:/usr/bin`, PINNIPED_PASSWORD: "secret" };
    await openBrowser(createTestContext({ environment }), URL_WITH_TRAPS);
    assert.equal(await readFile(join(folder, "seen"), "utf8"), `${URL_WITH_TRAPS}\n1\nnone\n`);
  });

  test("one that fails is an error", async () => {
    await opener("xdg-open", "exit 3");
    const context = createTestContext({ environment: { PATH: folder } });
    await assert.rejects(openBrowser(context, "https://x/"), /xdg-open ended with exit code 3$/);
    await assert.rejects(openBrowser(createTestContext({ environment: { PATH: "" } }), "https://x/"), {
      message: "none of xdg-open, x-www-browser, www-browser is installed",
    });
  });

  test("what it prints goes to stderr", async () => {
    await opener("xdg-open", "echo chatter");
    const program = `
      import { openBrowser } from ${JSON.stringify(import.meta.resolve("./open-browser.ts"))};
      import { systemClock } from ${JSON.stringify(import.meta.resolve("../../clock.ts"))};
      await openBrowser({ platform: "linux", environment: { PATH: ${JSON.stringify(folder)} }, clock: systemClock }, "https://x/");
    `;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      "--input-type=module",
      "-e",
      program,
    ]);
    assert.equal(stdout, "");
    assert.match(stderr, /chatter/);
  });
});
