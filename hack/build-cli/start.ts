// The file that kubectl starts: it refuses an old Node, lets V8 keep compiled code, and loads the next one.
import { complaintAboutNode } from "../../src/required-node.ts";

const WRITABLE_BY_OTHERS = 0o022;

const complaint = complaintAboutNode("lanyard", process.version);
if (complaint === undefined) {
  keepCompiledCode();
  const next = "./lanyard-login.js";
  require(next);
} else {
  process.stderr.write(`Error: ${complaint}\n`);
  process.exitCode = 1;
}

/**
 * V8's compiled code goes into a folder of the user's own: what lies there is run, so that nobody else may write to it. Without such a
 * folder everything works, only slower.
 */
function keepCompiledCode(): void {
  const own = ownFolder();
  if (own === undefined) {
    return;
  }
  try {
    if (!isOwn(own)) {
      process.getBuiltinModule("node:fs").mkdirSync(own, { recursive: true, mode: 0o700 });
    }
    if (isOwn(own)) {
      process.getBuiltinModule("node:module").enableCompileCache(`${own}/compiled`);
    }
  } catch {
    // A home that cannot be written.
  }
}

function ownFolder(): string | undefined {
  const { env, platform } = process;
  if (platform === "win32") {
    return env["LOCALAPPDATA"] === undefined ? undefined : `${env["LOCALAPPDATA"]}\\lanyard`;
  }
  const configured = env["XDG_CACHE_HOME"] ?? "";
  if (configured.startsWith("/")) {
    return `${configured}/lanyard`;
  }
  const home = env["HOME"] ?? "";
  return home.startsWith("/")
    ? `${home}/${platform === "darwin" ? "Library/Caches" : ".cache"}/lanyard`
    : undefined;
}

function isOwn(folder: string): boolean {
  const status = process.getBuiltinModule("node:fs").lstatSync(folder, { throwIfNoEntry: false });
  if (status?.isDirectory() !== true) {
    return false;
  }
  const { getuid } = process;
  return getuid === undefined || (status.uid === getuid() && (status.mode & WRITABLE_BY_OTHERS) === 0);
}
