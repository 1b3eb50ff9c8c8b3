import currentProcess from "node:process";

/**
 * `node:ffi`, or a `FileLockError` with code `file-lock.unavailable` where this Node has none or may not use it. Loaded on first use
 * only: it costs some milliseconds and prints a warning, which would stand among the messages of kubectl.
 */
export async function loadForeignFunctions(): Promise<typeof import("node:ffi")> {
  // The module warns while it is loaded, through this function; every other warning passes.
  const emitWarning = currentProcess.emitWarning;
  const filtered = (...warning: Parameters<typeof emitWarning>): void => {
    const [text, second] = warning as readonly unknown[];
    const type = typeof second === "object" && second !== null && "type" in second ? second.type : second;
    if (type !== "ExperimentalWarning" || !String(text).startsWith("FFI ")) {
      Reflect.apply(emitWarning, currentProcess, warning);
    }
  };
  currentProcess.emitWarning = filtered as typeof emitWarning;
  try {
    return await import("node:ffi");
  } finally {
    currentProcess.emitWarning = emitWarning;
  }
}
