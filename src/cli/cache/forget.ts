import { unlinkSync } from "node:fs";
import { changeCache } from "./cache-transaction.ts";
import type { CredentialRequest } from "./credential-request.ts";
import { isErrorCode } from "./protected-file.ts";
import { sideFilePath } from "./side-file.ts";
import { cacheReporter } from "./store-credential.ts";
import type { CacheEntry } from "./cache-document.ts";

type ForgetRequest = Pick<CredentialRequest, "context" | "file">;

/** Removes one credential; true: it was there. */
export async function forgetCredential(
  request: ForgetRequest & Pick<CredentialRequest, "key">,
): Promise<boolean> {
  return (await forget(request, (entry) => entry.key === request.key)) > 0;
}

/** Removes every credential and what is remembered of them; answers how many there were. */
export async function forgetAllCredentials(request: ForgetRequest): Promise<number> {
  const count = await forget(request, () => true);
  try {
    unlinkSync(sideFilePath(request.file));
  } catch (error) {
    if (!isErrorCode(error, "ENOENT", "ENOTDIR")) {
      throw error;
    }
  }
  return count;
}

async function forget(
  { context, file }: ForgetRequest,
  matches: (entry: CacheEntry) => boolean,
): Promise<number> {
  let count = 0;
  const done = await changeCache({
    context,
    file,
    kind: "CredentialCache",
    noun: "cache",
    report: cacheReporter(context),
    change: (entries) => {
      const kept = entries.filter((entry) => !matches(entry));
      count = entries.length - kept.length;
      return count === 0 ? entries : kept;
    },
  });
  return done ? count : 0;
}
