import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import { clusterNames } from "../../hack/cluster/layout.ts";
import { eventually } from "./harness/eventually.ts";
import { call, readText } from "./harness/http.ts";

const root = join(import.meta.dirname, "..", "..");
const bin = join(root, "node_modules", ".bin");

interface Run {
  readonly child: ChildProcess;
  output(): { readonly stdout: string; readonly stderr: string };
  readonly ended: Promise<{
    readonly code: number | null;
    readonly stdout: string;
    readonly stderr: string;
  }>;
}

/** As at a terminal: a process group of its own, which gets Ctrl-C as a whole. */
function npm(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Run {
  const { HOME = "" } = process.env;
  const child = spawn("npm", ["run", "--silent", ...args], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", HOME, TMPDIR: temporary, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const output = (): { stdout: string; stderr: string } => ({ stdout, stderr: withoutNpmNotes(stderr) });
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, ...output() }));
  running.add(child);
  child.once("close", () => running.delete(child));
  return { child, output, ended };
}

/** npm tells of its own settings on stderr. */
function withoutNpmNotes(text: string): string {
  return text
    .split("\n")
    .filter((line) => !/^npm (warn|notice)/.test(line))
    .join("\n");
}

function interrupt(run: Run): void {
  process.kill(-(run.child.pid ?? 0), "SIGINT");
}

const running = new Set<ChildProcess>();
let temporary = "";
before(() => {
  temporary = mkdtempSync(join(tmpdir(), "lanyard-demo-test-"));
});
after(() => {
  for (const { pid } of running) {
    process.kill(-(pid ?? 0), "SIGKILL");
  }
  rmSync(temporary, { recursive: true, force: true });
});

/** Tokens and keys in any of their forms. */
function assertNothingSecret(text: string): void {
  assert.doesNotMatch(text, /eyJ[\w-]{5,}/, "a JWT");
  assert.doesNotMatch(text, /PRIVATE KEY/, "a key in PEM");
  assert.doesNotMatch(text, /LS0tLS1CRUdJTi/, "PEM in base64");
}

function leftovers(): string[] {
  return readdirSync(temporary).filter((name) => name.startsWith("lanyard-"));
}

/** A copy of the example on a free port, with the permissions that S22 asks for whatever the checkout's are. */
function copyExample(name: string): string {
  const folder = join(temporary, name);
  cpSync(join(root, "examples", "standalone"), folder, { recursive: true });
  const config = readText(join(folder, "concierge.yaml")).replace(/127\.0\.0\.1:\d+/, "127.0.0.1:0");
  writeFileSync(join(folder, "concierge.yaml"), config);
  chmodSync(join(folder, "manifests"), 0o755);
  for (const file of readdirSync(join(folder, "manifests"))) {
    chmodSync(join(folder, "manifests", file), 0o644);
  }
  return folder;
}

describe("npm run demo", () => {
  test("exchanges a token, uses the certificate, shows refusals, leaves nothing", async () => {
    const startedAt = performance.now();
    const { code, stdout, stderr } = await npm(["demo"]).ended;
    assert.equal(code, 0, stderr);
    // Ten times what it takes: a guard against a hang.
    assert.ok(performance.now() - startedAt < 60_000);
    assert.equal(stderr, "");
    assert.match(stdout, /^ +subject +O=on-call \+ O=developers, CN=ann@example\.com$/m);
    assert.match(stdout, /^ +lifetime +until \d\d:\d\d:\d\d UTC, (29\d|300) seconds from now$/m);
    assert.match(stdout, /^ +groups +on-call, developers, system:authenticated$/m);
    assert.match(stdout, /SHA-256 is [0-9a-f]{64}$/m);
    assert.match(stdout, /^ +signed with somebody else's key +authentication failed$/m);
    assert.match(stdout, /^ +genuine, but says group system:masters +authentication failed$/m);
    assert.match(stdout, /All as it should be/);
    assertNothingSecret(stdout + stderr);
    assert.deepEqual(leftovers(), []);
  });

  test("Ctrl-C ends it with 130 and leaves nothing", async () => {
    const run = npm(["demo"]);
    await eventually("a first step", async () => run.output().stdout.includes("1. "));
    interrupt(run);
    const { code, stderr } = await run.ended;
    assert.equal(code, 130);
    assert.equal(stderr, "demo: stopping\n");
    assert.deepEqual(leftovers(), []);
  });

  test("the state of a running demo is its owner's alone", async () => {
    const run = npm(["demo"]);
    const folder = await eventually("its folder", async () => leftovers()[0], { intervalMilliseconds: 5 });
    const mode = (statSync(join(temporary, folder)).mode & 0o777).toString(8);
    await run.ended;
    assert.equal(mode, "700");
  });

  test("misuse is one line and code 2; --help is code 0", async () => {
    for (const [args, expected] of [
      [["--nonsense"], /^demo: Unknown option '--nonsense' .*--help.*\n$/],
      [["nonsense"], /^demo: unexpected argument "nonsense".*--help.*\n$/],
      [["--cluster=yes"], /^demo: Option '--cluster' does not take an argument.*\n$/],
    ] as const) {
      const { code, stdout, stderr } = await npm(["demo", "--", ...args]).ended;
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.match(stderr, expected);
    }
    const { code, stdout } = await npm(["demo", "--", "--help"]).ended;
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: npm run demo/);
  });

  test("a failure is one line and code 1", async () => {
    // No folder can be made here: the demo's very first need.
    const { code, stderr } = await npm(["demo"], { TMPDIR: "/dev/null" }).ended;
    assert.equal(code, 1);
    assert.match(stderr, /^demo: ENOTDIR[^\n]+\n$/);
  });

  test("--cluster without Go says what to install", async () => {
    const empty = join(temporary, "empty-cache");
    mkdirSync(empty);
    const npmOnly = (process.env["PATH"] ?? "")
      .split(delimiter)
      .filter((folder) => !folderHolds(folder, "go") || folderHolds(folder, "npm"));
    const { code, stdout, stderr } = await npm(["demo", "--", "--cluster"], {
      PATH: [bin, ...npmOnly].join(delimiter),
      XDG_CACHE_HOME: empty,
    }).ended;
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^demo: go is missing[^\n]+install[^\n]+\n$/);
  });
});

describe("npm run demo -- --cluster", () => {
  test("goes through a real kube-apiserver and ends with kubectl as the user", async () => {
    const before = demoClusters();
    const { code, stdout, stderr } = await npm(["demo", "--", "--cluster"], sharedFolders()).ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^ +subject +O=on-call \+ O=developers, CN=ann@example\.com$/m);
    assert.match(stdout, /\$ kubectl get namespaces\n +NAME +STATUS +AGE\n/);
    assert.match(stdout, /^ +kube-system +Active/m);
    assert.match(stdout, /^ +Username +ann@example\.com$/m);
    assert.match(stdout, /^ +Groups +\[on-call developers system:authenticated\]$/m);
    assert.match(stdout, /^ +genuine, but says group system:masters +authentication failed$/m);
    assertNothingSecret(stdout + stderr);
    assert.deepEqual(leftovers(), []);
    assert.deepEqual(demoClusters(), before);
  });

  test("Ctrl-C takes the cluster down", async () => {
    const before = demoClusters();
    const run = npm(["demo", "--", "--cluster"], sharedFolders());
    await eventually("a cluster", async () => run.output().stdout.includes("1. "));
    interrupt(run);
    const { code } = await run.ended;
    assert.equal(code, 130);
    assert.deepEqual(demoClusters(), before);
    assert.deepEqual(leftovers(), []);
  });

  const demoClusters = (): string[] => clusterNames().filter((name) => name.startsWith("demo-"));

  /** Where this machine keeps its clusters and built programs. */
  function sharedFolders(): Record<string, string> {
    const names = ["LANYARD_CLUSTERS", "XDG_STATE_HOME", "XDG_CACHE_HOME"];
    return Object.fromEntries(
      names.flatMap((name) => {
        const value = process.env[name];
        return value === undefined ? [] : [[name, value]];
      }),
    );
  }
});

describe("npm start", () => {
  test("serves the example, tells how to use it, and ends with 0 on Ctrl-C", async () => {
    const state = join(temporary, "state-of-start");
    const run = npm(["start", "--", copyExample("example")], { XDG_STATE_HOME: state });
    const text = await eventually("the instructions", async () => {
      const { stdout, stderr } = run.output();
      assert.equal(run.child.exitCode, null, stderr);
      return stdout.includes("Ctrl-C") ? stdout : undefined;
    });
    const fact = (name: string): string => new RegExp(`^ +${name} +(.+)$`, "m").exec(text)?.[1] ?? "";
    const curl =
      /--cacert '(?<ca>[^']+)' --header 'content-type: application\/json' --data '(?<body>[^']+)' (?<url>\S+)$/m.exec(
        text,
      )?.groups;
    assert.ok(curl, text);
    assert.equal(curl["ca"], fact("CA"));
    assert.ok(fact("CA").startsWith(join(state, "lanyard", "standalone")));
    assert.match(text, /JWTAuthenticator "company-issuer": \S+/);
    assert.match(text, /WebhookAuthenticator "company-webhook": \S+/);
    const url = new URL(curl["url"] ?? "");
    assert.equal(url.origin, fact("address"));
    const answer = await call({
      server: url.origin,
      path: url.pathname,
      caPem: readText(fact("CA")),
      body: curl["body"],
    });
    assert.equal(answer.status, 201, answer.text);
    assert.match(answer.text, /"system:anonymous"/);
    interrupt(run);
    const { code, stderr } = await run.ended;
    assert.equal(code, 0);
    assert.equal(stderr, "start: stopping\n");
  });

  test("a manifests folder that others may write is refused with the remedy", async () => {
    const folder = copyExample("open");
    chmodSync(join(folder, "manifests"), 0o775);
    const { code, stdout, stderr } = await npm(["start", "--", folder], {
      XDG_STATE_HOME: join(temporary, "state-of-open"),
    }).ended;
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^start: [^\n]*manifests is writable by others[^\n]*run: chmod go-w '[^\n]+'\n$/);
  });

  test("a second one on the same port says so in one line", async () => {
    const folder = copyExample("busy");
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { readonly port: number };
    const file = join(folder, "concierge.yaml");
    writeFileSync(file, readText(file).replace("127.0.0.1:0", `127.0.0.1:${port}`));
    const { code, stderr } = await npm(["start", "--", folder], {
      XDG_STATE_HOME: join(temporary, "state-of-busy"),
    }).ended;
    server.close();
    assert.equal(code, 1);
    assert.match(stderr, /^start: [^\n]*EADDRINUSE[^\n]*\n$/);
  });

  test("misuse is one line and code 2", async () => {
    for (const [args, expected] of [
      [["--nonsense"], /^start: unknown flag "--nonsense" .*--help.*\n$/],
      [["a", "b"], /^start: one folder is served at a time.*--help.*\n$/],
    ] as const) {
      const { code, stderr } = await npm(["start", "--", ...args]).ended;
      assert.equal(code, 2);
      assert.match(stderr, expected);
    }
    const { code, stderr } = await npm(["start", "--", join(temporary, "absent")], {
      XDG_STATE_HOME: join(temporary, "state-of-absent"),
    }).ended;
    assert.equal(code, 1);
    assert.match(stderr, /^start: [^\n]*concierge\.yaml[^\n]*\n$/);
  });
});

test("a Node that is too old says so in one line", async () => {
  const folder = join(temporary, "old");
  mkdirSync(join(folder, "hack", "demo"), { recursive: true });
  cpSync(join(root, "hack", "demo", "require-node.js"), join(folder, "hack", "demo", "require-node.js"));
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ type: "module", engines: { node: ">=99.1" } }),
  );
  const child = spawn(process.execPath, [join(folder, "hack", "demo", "require-node.js")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = await once(child, "close");
  assert.equal(code, 1);
  assert.match(stderr, /^this is Node [\d.]+, Lanyard needs 99\.1 or newer: [^\n]+\n$/);
});

test("the example's configuration keeps its state out of the checkout", () => {
  const config = parse(readText(join(root, "examples", "standalone", "concierge.yaml"))) as {
    readonly standalone: { readonly stateFolder: string; readonly listenAddress: string };
  };
  assert.equal(config.standalone.stateFolder, "state");
  assert.match(config.standalone.listenAddress, /^127\.0\.0\.1:\d+$/);
});

function folderHolds(folder: string, program: string): boolean {
  try {
    return readdirSync(folder).includes(program);
  } catch {
    return false;
  }
}
