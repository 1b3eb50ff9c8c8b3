const FRAME = /^\s*at (?:(?:async |new )?(.+?) (?:\[as [^\]]+\] )?\()?(?:file:\/\/)?(.+?):(\d+):\d+\)?$/;

/**
 * Who called `callee`, as `<folder>/<file>.ts:<line>$<function>` (contract 9.3). Takes a stack trace: only for lines that
 * are written.
 */
export function callerOf(callee: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(holder, callee);
  Error.stackTraceLimit = limit;
  return formatFrame(holder.stack?.split("\n").findLast((line) => line.trimStart().startsWith("at ")) ?? "");
}

/** One line of a V8 stack trace in the form of `callerOf`; `unknown` for a line that is not one. */
export function formatFrame(frame: string): string {
  const [, functionName, path, line] = FRAME.exec(frame) ?? [];
  if (path === undefined || line === undefined) {
    return "unknown";
  }
  const file = path
    .split(/[\\/]/)
    .slice(-2)
    .join("/")
    .replace(/\.[cm]?js$/, ".ts");
  return `${file}:${line}$${functionName?.split(".").at(-1)?.replaceAll(/[<>]/g, "") ?? "anonymous"}`;
}
