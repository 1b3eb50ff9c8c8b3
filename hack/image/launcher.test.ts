import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { ensureLauncher } from "../cluster/binaries.ts";

const name = "pinniped-concierge-kube-cert-agent";

describe("the agent's program", () => {
  let folder: string;
  let launcher: string;
  let files: { CERT_PATH: string; KEY_PATH: string };
  before(async () => {
    launcher = await ensureLauncher();
    folder = mkdtempSync(join(tmpdir(), "lanyard-launcher-"));
    files = { CERT_PATH: join(folder, "ca.crt"), KEY_PATH: join(folder, "ca.key") };
    writeFileSync(files.CERT_PATH, "a certificate\n");
    writeFileSync(files.KEY_PATH, Buffer.from([0, 255, 10]));
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (args: readonly string[], env: Readonly<Record<string, string>> = files, argv0 = name) =>
    spawnSync(launcher, args, { argv0, env, encoding: "utf8", timeout: 10_000 });

  it("prints both files as one line of JSON (contract 6.5)", () => {
    for (const program of [name, "/usr/local/bin/lanyard-concierge-kube-cert-agent"]) {
      const { status, stdout, stderr } = run(["print"], files, program);
      assert.deepEqual(
        [status, stdout, stderr],
        [0, '{"tls.crt":"YSBjZXJ0aWZpY2F0ZQo=","tls.key":"AP8K"}\n', ""],
      );
    }
  });

  it("says what is wrong on stderr alone", () => {
    const missing = join(folder, "missing");
    const table: readonly (readonly [readonly string[], Readonly<Record<string, string>>, string])[] = [
      [[], files, "missing subcommand"],
      [["cat"], files, 'invalid subcommand "cat"'],
      [["print"], {}, "could not read CERT_PATH: open : no such file or directory"],
      [
        ["print"],
        { ...files, CERT_PATH: missing },
        `could not read CERT_PATH: open ${missing}: no such file or directory`,
      ],
      [
        ["print"],
        { ...files, KEY_PATH: missing },
        `could not read KEY_PATH: open ${missing}: no such file or directory`,
      ],
    ];
    for (const [args, env, message] of table) {
      const { status, stdout, stderr } = run(args, env);
      assert.deepEqual([status, stdout, stderr], [1, "", `${message}\n`]);
    }
    assert.equal(run([], {}, "something-else").stderr, 'unknown program "something-else"\n');
  });

  it("stays far below 32 MiB with print beside sleep", async () => {
    const pipe = join(folder, "pipe");
    assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
    const sleeping = spawn(launcher, ["sleep"], { argv0: name, env: {}, stdio: "ignore" });
    const printing = spawn(launcher, ["print"], {
      argv0: name,
      env: { ...files, KEY_PATH: pipe },
      stdio: ["ignore", "pipe", "ignore"],
    });
    const exits = [sleeping, printing].map(
      (child) => new Promise<number | null>((resolve) => child.once("exit", resolve)),
    );
    // Opening succeeds once print reads from the other end: it is as large as it gets but for a few kilobytes.
    const writer = await open(pipe, "w");
    const peak = ({ pid }: { readonly pid?: number | undefined }): number =>
      Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid ?? 0}/status`, "utf8"))?.[1]);
    const together = peak(sleeping) + peak(printing);
    await writer.writeFile("a key");
    await writer.close();
    sleeping.kill("SIGTERM");
    const [, printed] = await Promise.all(exits);
    assert.equal(printed, 0);
    assert.ok(together > 0 && together < 24 * 1024, `${together} KiB`);
  });
});
