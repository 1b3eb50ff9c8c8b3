import { existsSync, unlinkSync } from "node:fs";
import type { CacheEntry } from "./cache-document.ts";
import { changeCache, flightLockPath } from "./cache-transaction.ts";
import type { CredentialRequest } from "./credential-request.ts";
import { isErrorCode } from "./protected-file.ts";
import { sideFilePath } from "./side-file.ts";
import { enterSingleFlight } from "./single-flight.ts";
import { cacheReporter } from "./store-credential.ts";

type ForgetRequest = Pick<CredentialRequest, "context" | "file">;

/** How long somebody who is just getting a credential is waited for: what is removed before it is stored would stay. Milliseconds. */
const FLIGHT_WAIT = 10_000;

/** Removes one credential; true: it was there. */
export async function forgetCredential(
  request: ForgetRequest & Pick<CredentialRequest, "key">,
): Promise<boolean> {
  const { context, file, key } = request;
  const path = flightLockPath(file, key);
  // Where nobody ever was at it there is nothing to wait for, and no lock to make.
  const flight = existsSync(path)
    ? await enterSingleFlight({
        ...{ context, path, limit: FLIGHT_WAIT, signal: context.signal },
        report: (error) => context.log.debug("no lock for the logout", { error }),
      })
    : undefined;
  try {
    return (await forget(request, (entry) => entry.key === key)) > 0;
  } finally {
    if (flight !== undefined && flight !== "busy") {
      flight.leave();
    }
  }
}

/** Removes every credential and what is remembered of them; answers how many there were. */
export async function forgetAllCredentials(request: ForgetRequest): Promise<number> {
  return forget(
    request,
    () => true,
    () => {
      try {
        unlinkSync(sideFilePath(request.file));
      } catch (error) {
        if (!isErrorCode(error, "ENOENT", "ENOTDIR")) {
          throw error;
        }
      }
    },
  );
}

/** `also` is done while the file's lock is held. */
async function forget(
  { context, file }: ForgetRequest,
  matches: (entry: CacheEntry) => boolean,
  also: () => void = () => undefined,
): Promise<number> {
  let count = 0;
  const done = await changeCache({
    context,
    file,
    kind: "CredentialCache",
    noun: "cache",
    report: cacheReporter(context),
    change: (entries) => {
      also();
      const kept = entries.filter((entry) => !matches(entry));
      count = entries.length - kept.length;
      return count === 0 ? entries : kept;
    },
  });
  return done ? count : 0;
}
