import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const MAIN = join(import.meta.dirname, "main.ts");
const GOLDEN = join(import.meta.dirname, "command-line/golden/help.txt");

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function lanyard(...args: readonly string[]): Answer {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: "/home/ada" },
  });
  return { status, stdout, stderr };
}

test("every help text is as agreed", () => {
  const commands = [
    [],
    ["get"],
    ["get", "kubeconfig"],
    ["login"],
    ["login", "oidc"],
    ["login", "static"],
    ["whoami"],
    ["logout"],
    ["doctor"],
    ["version"],
    ["completion"],
    ["completion", "bash"],
    ["help"],
  ];
  const texts = commands.map((command) => {
    const { status, stdout, stderr } = lanyard(...command, "--help");
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
    return `$ ${["lanyard", ...command, "--help"].join(" ")}\n${stdout}`;
  });
  const text = texts.join("\n");
  if (process.env["UPDATE_GOLDEN"] === "true") {
    writeFileSync(GOLDEN, text);
  }
  assert.equal(text, readFileSync(GOLDEN, "utf8"));
});

test("a group, and a bogus command of a group, print the group's help and succeed", () => {
  const root = lanyard();
  assert.equal(root.status, 0);
  assert.match(root.stdout, /^Available Commands:$/m);
  const group = lanyard("get");
  assert.match(group.stdout, /^ {2}kubeconfig /m);
  assert.deepEqual(lanyard("get", "bogus"), { status: 0, stdout: group.stdout, stderr: "" });
});

test("what is wrong goes to stderr in one line, and nothing to stdout", () => {
  for (const [args, text] of [
    [["bogus"], 'unknown command "bogus" for "lanyard"\nRun \'lanyard --help\' for usage.'],
    [["version", "bogus"], 'unknown command "bogus" for "lanyard version"'],
    [["get", "kubeconfig", "x"], 'unknown command "x" for "lanyard get kubeconfig"'],
    [["login", "oidc"], 'required flag(s) "issuer" not set'],
    [["--bogus"], "unknown flag: --bogus"],
    [["get", "--bogus"], "unknown flag: --bogus"],
    [["whoami", "--timeout"], "flag needs an argument: --timeout"],
    [["version", "-o", "xml"], "'xml' is not a valid option for output"],
  ] as const) {
    const { status, stdout, stderr } = lanyard(...args);
    assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: "", stderr: `Error: ${text}\n` });
  }
});

test("help for a command, and for what is none", () => {
  assert.equal(lanyard("help", "get", "kubeconfig").stdout, lanyard("get", "kubeconfig", "--help").stdout);
  const { status, stdout, stderr } = lanyard("help", "bogus", "topic");
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "" });
  assert.match(stderr, /^Unknown help topic \[`bogus` `topic`\]\nUsage:\n {2}lanyard \[command\]\n/);
});

test("a deprecated flag is accepted, and said to be", () => {
  const { stderr } = lanyard("login", "static", "--concierge-namespace=x");
  assert.equal(
    stderr,
    "Flag --concierge-namespace has been deprecated, not needed anymore\nError: one of --token or --token-env must be set\n",
  );
});

test("the Markdown reference names every visible command and no hidden one", () => {
  const { status, stdout } = lanyard("generate-markdown-help");
  assert.equal(status, 0);
  const headings = [...stdout.matchAll(/^## lanyard (.*)$/gm)].map(([, path]) => path);
  assert.deepEqual(headings, [
    "completion bash",
    "completion fish",
    "completion powershell",
    "completion zsh",
    "doctor",
    "get kubeconfig",
    "help",
    "login oidc",
    "login static",
    "logout",
    "version",
    "whoami",
  ]);
  assert.doesNotMatch(stdout, /oidc-skip-listen|concierge-namespace|__complete/);
});

test("version tells what the existing CLI's fields tell", () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    version: string;
  };
  const text = lanyard("version").stdout;
  assert.match(text, new RegExp(`^v${version}(-[0-9a-f]{8}|-unknown)-unknown\n$`));
  const described = JSON.parse(lanyard("version", "-o", "json").stdout) as Record<string, string>;
  assert.deepEqual(Object.keys(described), [
    "major",
    "minor",
    "gitVersion",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
  ]);
  assert.equal(described["gitVersion"], text.trim());
  assert.match(lanyard("version", "--output=yaml").stdout, /^major: "\d+"\nminor: "\d+"\n/);
});

test("as a plugin of kubectl it calls itself so", () => {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-"));
  try {
    const plugin = join(folder, "kubectl-lanyard");
    // Named so by the shell that starts it; a link of that name would need the file extension for Node to strip types.
    writeFileSync(plugin, `process.argv[1] = ${JSON.stringify(plugin)}; import(${JSON.stringify(MAIN)});`);
    const run = (...args: readonly string[]): Answer =>
      spawnSync(process.execPath, [plugin, ...args], { encoding: "utf8", env: { HOME: "/home/ada" } });
    assert.match(run("get", "--help").stdout, /^ {2}kubectl lanyard get \[command\]$/m);
    assert.equal(
      run("bogus").stderr,
      'Error: unknown command "bogus" for "kubectl lanyard"\nRun \'kubectl lanyard --help\' for usage.\n',
    );
    assert.equal(
      run("login", "static", "x").stderr,
      'Error: unknown command "x" for "kubectl lanyard login static"\n',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a reader that goes away is no error to speak of", () => {
  const { stdout, stderr } = spawnSync(
    "bash",
    ["-c", `exec 3> >(exec true); sleep 0.3; "$0" "$1" help >&3; echo $?`, process.execPath, MAIN],
    { encoding: "utf8", env: { PATH: process.env["PATH"], HOME: "/home/ada" } },
  );
  assert.deepEqual({ stdout, stderr }, { stdout: "1\n", stderr: "" });
});
