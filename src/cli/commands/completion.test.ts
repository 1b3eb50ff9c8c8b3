import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const MAIN = join(import.meta.dirname, "../main.ts");
const folder = mkdtempSync(join(tmpdir(), "lanyard-completion-"));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "lanyard"), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
chmodSync(join(folder, "lanyard"), 0o755);
writeFileSync(
  join(folder, "kubeconfig.yaml"),
  "apiVersion: v1\nkind: Config\ncontexts:\n- name: prod:eu\n- name: dev\n",
);
const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}`, HOME: folder };

/** What `__complete` answers, line by line. */
function ask(...words: readonly string[]): readonly string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], {
    encoding: "utf8",
    env,
    cwd: folder,
  });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  return stdout.trimEnd().split("\n");
}
const values = (...words: readonly string[]): readonly string[] => ask("__completeNoDesc", ...words);

test("commands are offered with what they are for, hidden ones are not", () => {
  assert.deepEqual(ask("__complete", "get", ""), [
    "kubeconfig\tMake a kubeconfig that logs in with this program",
    ":4",
  ]);
  assert.deepEqual(values("log"), ["login", "logout", ":4"]);
  assert.deepEqual(values("__"), [":4"]);
  assert.deepEqual(values("help", "get", ""), ["kubeconfig", ":4"]);
  assert.deepEqual(values("version", ""), [":4"]);
});

test("flags are offered once, lists again", () => {
  assert.deepEqual(values("version", "-"), ["--help", "--output", "-h", "-o", ":4"]);
  assert.deepEqual(values("version", "-o", "json", "-"), ["--help", "-h", ":4"]);
  assert.deepEqual(values("login", "oidc", "--scopes=a", "--sc"), ["--scopes", ":4"]);
  assert.deepEqual(values("login", "oidc", "--concierge-n"), [":4"]);
});

test("values that are known are offered, in both forms of a flag", () => {
  assert.deepEqual(values("whoami", "-o", ""), ["text", "yaml", "json", ":4"]);
  assert.deepEqual(values("get", "kubeconfig", "--concierge-mode=i"), [
    "--concierge-mode=ImpersonationProxy",
    ":4",
  ]);
  assert.deepEqual(values("get", "kubeconfig", "--upstream-identity-provider-type", "l"), ["ldap", ":4"]);
  assert.deepEqual(values("logout", "--all="), ["--all=true", "--all=false", ":4"]);
});

test("contexts are those of the kubeconfig on the command line; a broken one is no matter", () => {
  const file = join(folder, "kubeconfig.yaml");
  assert.deepEqual(values("whoami", "--kubeconfig", file, "--kubeconfig-context", ""), [
    "dev",
    "prod:eu",
    ":4",
  ]);
  assert.deepEqual(values("whoami", "--kubeconfig-context=p", "--kubeconfig", file), [":0"]);
  assert.deepEqual(values("whoami", `--kubeconfig=${file}`, "--kubeconfig-context=p"), [
    "--kubeconfig-context=prod:eu",
    ":4",
  ]);
  assert.deepEqual(values("whoami", "--kubeconfig=/nowhere", "--kubeconfig-context="), [":4"]);
});

test("paths are left to the shell", () => {
  assert.deepEqual(values("whoami", "--kubeconfig", ""), [":0"]);
  assert.deepEqual(values("login", "oidc", "--ca-bundle=x"), [":0"]);
});

test("what nobody knows offers nothing", () => {
  assert.deepEqual(values("bogus", ""), [":4"]);
  assert.deepEqual(values("get", "--bogus", "x", ""), [":4"]);
});

/** What bash would put on the command line, with the words cut as readline cuts them. */
function inBash(words: readonly string[], line: string, type = 9): readonly string[] {
  const script = spawnSync(process.execPath, [MAIN, "completion", "bash"], { encoding: "utf8", env }).stdout;
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const program = `${script}
COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; COMP_LINE='${line}'; COMP_POINT=${line.length}; COMP_TYPE=${type}
_lanyard_complete lanyard; ((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", program], {
    encoding: "utf8",
    env,
    cwd: folder,
  });
  assert.equal(stderr.replace(/^.*compopt: not currently executing completion function\n/gm, ""), "");
  return stdout.split("\n").filter((text) => text !== "");
}

test("the bash script completes commands, values, values behind an equals sign, contexts with colons and files", () => {
  assert.deepEqual(inBash(["lanyard", "get", ""], "lanyard get "), ["kubeconfig"]);
  assert.deepEqual(inBash(["lanyard", "whoami", "-o", "y"], "lanyard whoami -o y"), ["yaml"]);
  assert.deepEqual(
    inBash(
      [
        "lanyard",
        "whoami",
        "--kubeconfig",
        "=",
        "kubeconfig.yaml",
        "--kubeconfig-context",
        "=",
        "prod",
        ":",
        "",
      ],
      "lanyard whoami --kubeconfig=kubeconfig.yaml --kubeconfig-context=prod:",
    ),
    ["eu"],
  );
  assert.deepEqual(
    inBash(["lanyard", "whoami", "--kubeconfig", "=", "kube"], "lanyard whoami --kubeconfig=kube"),
    ["kubeconfig.yaml"],
  );
});

test("right behind an equals sign, bash hands the sign over as the word", () => {
  assert.deepEqual(
    inBash(
      ["lanyard", "whoami", "--kubeconfig", "=", "kubeconfig.yaml", "--kubeconfig-context", "="],
      "lanyard whoami --kubeconfig=kubeconfig.yaml --kubeconfig-context=",
    ),
    ["dev", "prod:eu"],
  );
});

test("the bash script shows descriptions in lists and never types them", () => {
  const line = "lanyard log";
  assert.deepEqual(inBash(["lanyard", "log"], line), ["login", "logout"]);
  assert.match(inBash(["lanyard", "log"], line, 63)[0] ?? "", /^login {2}\(Log in for kubectl\)$/);
});

test("every script asks as --no-descriptions tells, and under the name that the program has", () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"]) {
    const run = (...args: readonly string[]): string =>
      spawnSync(process.execPath, [MAIN, "completion", shell, ...args], { encoding: "utf8", env }).stdout;
    assert.match(run(), / __complete /);
    assert.doesNotMatch(run(), /__completeNoDesc/);
    assert.match(run("--no-descriptions"), / __completeNoDesc /);
    assert.match(run(), /\blanyard\b/);
  }
});
