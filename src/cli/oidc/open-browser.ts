import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { posix, win32 } from "node:path";
import type { CommandContext } from "../context.ts";
import { loginError } from "./failed-call.ts";
import type { OpenBrowser } from "./login-call.ts";

/** In the order of contract cli.md 4.6. */
const LINUX_BROWSERS = ["xdg-open", "x-www-browser", "www-browser"];
/** Milliseconds in which an opener that cannot open says so; one that runs on has become the browser. */
const OPENER_TIME = 3000;

type BrowserHost = Pick<CommandContext, "platform" | "environment">;

/**
 * The program that opens a URL, and its arguments; undefined where there is none. The URL is an argument of its own everywhere: no
 * shell reads it. Relative folders of `PATH` are passed over: they could be anybody's.
 */
export function browserCommand(
  host: BrowserHost,
  url: string,
  isExecutable: (path: string) => boolean = canExecute,
): { readonly command: string; readonly args: readonly string[] } | undefined {
  switch (host.platform) {
    case "darwin":
      return { command: "/usr/bin/open", args: [url] };
    case "win32": {
      // As ShellExecute does, without cmd.exe's `start`, which would read `&` in the URL.
      const root = host.environment["SystemRoot"] ?? host.environment["SYSTEMROOT"] ?? "C:\\Windows";
      return {
        command: win32.join(root, "System32", "rundll32.exe"),
        args: ["url.dll,FileProtocolHandler", url],
      };
    }
    default: {
      const folders = (host.environment["PATH"] ?? "")
        .split(":")
        .filter((folder) => posix.isAbsolute(folder));
      const command = LINUX_BROWSERS.flatMap((name) =>
        folders.map((folder) => posix.join(folder, name)),
      ).find((path) => isExecutable(path));
      return command === undefined ? undefined : { command, args: [url] };
    }
  }
}

/** Opens a URL in the person's browser; its output goes to stderr, because stdout is the credential's (contract cli.md 1). */
export const openBrowser: OpenBrowser = async (context, url) => {
  const found = browserCommand(context, url);
  if (found === undefined) {
    throw loginError(`none of ${LINUX_BROWSERS.join(", ")} is installed`);
  }
  const { PINNIPED_USERNAME: _username, PINNIPED_PASSWORD: _password, ...environment } = context.environment;
  const child = spawn(found.command, found.args, {
    stdio: ["ignore", 2, 2],
    env: environment,
    detached: context.platform !== "win32",
    windowsHide: true,
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = context.clock.schedule(OPENER_TIME, resolve);
  child.once("error", reject);
  child.once("exit", (code, signal) => {
    if (code === 0) {
      resolve();
    } else {
      reject(loginError(`${found.command} ended with ${signal ?? `exit code ${code}`}`));
    }
  });
  try {
    await promise;
  } finally {
    cancel();
    // The browser may outlive the login.
    child.unref();
  }
};

function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
