import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { LanyardError } from "../../src/errors.ts";
import { parseClusterArguments } from "./arguments.ts";

const program = join(import.meta.dirname, "main.ts");

describe("the cluster command line", () => {
  it("has defaults", () => {
    assert.deepEqual(parseClusterArguments(["up"]), {
      command: "up",
      name: "lanyard",
      tier: "control-plane",
      folder: undefined,
      operands: [],
      named: false,
    });
  });

  it("keeps the options of a command after --", () => {
    const { operands, name } = parseClusterArguments(["exec", "--name=x", "--", "kubectl", "--name=y", "-h"]);
    assert.deepEqual(operands, ["kubectl", "--name=y", "-h"]);
    assert.equal(name, "x");
  });

  const misuse: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [[], /a command is missing/],
    [["start"], /unknown command "start"/],
    [["up", "--fast"], /--fast/],
    [["up", "--name"], /--name/],
    [["up", "extra"], /up takes no "extra"/],
    [["up", "--tier=cloud"], /unknown tier "cloud"/],
    [["down", "--tier=node"], /--tier belongs to up/],
    [["load-image"], /load-image takes one FILE/],
    [["load-image", "a", "b"], /load-image takes one FILE/],
    [["exec"], /exec takes a command/],
  ];
  for (const [args, says] of misuse) {
    it(`refuses: ${args.join(" ") || "(nothing)"}`, () => {
      assert.throws(
        () => parseClusterArguments(args),
        (error) =>
          error instanceof LanyardError &&
          error.code === "cluster.usage" &&
          says.test(error.message) &&
          !error.message.includes("\n"),
      );
    });
  }
});

describe("the cluster program", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-arguments-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (args: readonly string[], environment: Record<string, string> = {}) =>
    spawnSync(process.execPath, [program, ...args], {
      encoding: "utf8",
      env: {
        HOME: folder,
        PATH: process.env["PATH"],
        LANYARD_CLUSTERS: join(folder, "clusters"),
        ...environment,
      },
    });
  const assertOneLine = (
    done: { stderr: string; status: number | null },
    code: number,
    says: RegExp,
  ): void => {
    assert.match(done.stderr, says);
    assert.equal(done.stderr.trimEnd().split("\n").length, 1, done.stderr);
    assert.equal(done.status, code);
  };

  it("ends with 2 and one line for misuse", () => {
    assertOneLine(run(["up", "--fast"]), 2, /--fast/);
    assertOneLine(run(["up", "--name=../x"]), 2, /is no name for a cluster/);
  });

  it("ends with 1 and one line for a cluster that is not there", () => {
    for (const command of ["down", "kubeconfig", "status"]) {
      assertOneLine(run([command, "--name=absent"]), 1, /^there is no cluster named "absent"/);
    }
    assertOneLine(run(["exec", "--name=absent", "--", "true"]), 1, /^there is no cluster named "absent"/);
  });

  it("removes what an `up` left that was cut off before it wrote anything", () => {
    mkdirSync(join(folder, "clusters", "cut"), { recursive: true });
    assertOneLine(
      run(["up", "--name=cut"], { XDG_CACHE_HOME: folder }),
      1,
      /never ready: run down --name cut/,
    );
    assert.equal(run(["down", "--name=cut"]).status, 0);
    assert.deepEqual(readdirSync(join(folder, "clusters")), []);
  });

  it("names the package of a missing tool in one line, and starts nothing", () => {
    const bare = { PATH: "/nonexistent", XDG_CACHE_HOME: join(folder, "cache") };
    assertOneLine(run(["up", "--name=bare"], bare), 1, /^go is missing.* install the Debian package golang/);
    const node = run(["up", "--name=bare", "--tier=node"], bare);
    if (process.getuid?.() === 0) {
      assertOneLine(node, 1, /missing for tier node: containerd.* install the Debian packages containerd/);
    } else {
      assertOneLine(node, 1, /tier node needs root rights/);
    }
    assertOneLine(run(["status", "--name=bare"]), 1, /there is no cluster/);
  });
});
