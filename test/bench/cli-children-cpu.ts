import { DynamicLibrary } from "node:ffi";

const RUSAGE_CHILDREN = -1;
const STRUCT_BYTES = 256;

/**
 * Processor time, user and system, of all children that have ended and were waited for: getrusage(2), in milliseconds with its
 * microseconds. Node tells only of itself.
 */
export function createChildrenCpuClock(): () => number {
  const getrusage = new DynamicLibrary(null).getFunction("getrusage", {
    arguments: ["i32", "pointer"],
    return: "i32",
  });
  const usage = Buffer.alloc(STRUCT_BYTES);
  // Two timevals come first: seconds and microseconds of the user's time, then of the system's.
  const milliseconds = (offset: number): number =>
    Number(usage.readBigInt64LE(offset)) * 1e3 + Number(usage.readBigInt64LE(offset + 8)) / 1e3;
  return () => {
    if (getrusage(RUSAGE_CHILDREN, usage) !== 0) {
      throw new Error("getrusage(2) failed");
    }
    return milliseconds(0) + milliseconds(16);
  };
}
