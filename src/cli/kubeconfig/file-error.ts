/** What Go prints for the errors of files that people meet. */
const TEXTS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EEXIST: "file exists",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  EMFILE: "too many open files",
  ENAMETOOLONG: "file name too long",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on device",
  ENOTDIR: "not a directory",
  EPERM: "operation not permitted",
  EROFS: "read-only file system",
  ETXTBSY: "text file busy",
};

/** The `code` of an error of the file system, or nothing. */
export function fileErrorCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** `open <path>: no such file or directory`, as Go's `os.PathError` reads. */
export function fileErrorText(operation: "open" | "read" | "stat", path: string, error: unknown): string {
  const code = fileErrorCode(error) ?? "";
  const text = TEXTS[code] ?? (error instanceof Error ? error.message : String(error));
  // Go learns that a path is a folder only when it reads.
  return `${operation === "open" && code === "EISDIR" ? "read" : operation} ${path}: ${text}`;
}
