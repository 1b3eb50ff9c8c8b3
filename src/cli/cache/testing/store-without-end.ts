/* A process of the tests that stores one credential after the other until it is killed. */
import { systemClock } from "../../../clock.ts";
import type { CredentialRequest } from "../credential-request.ts";
import { storeIssued } from "../store-credential.ts";
import { certificateCredential } from "./credential.ts";

const [file = "", key = ""] = process.argv.slice(2);
const silent = (): void => undefined;
const show = (message: string, values?: object): void => {
  process.stderr.write(`${message} ${JSON.stringify(values)}\n`);
};
const request: CredentialRequest = {
  context: {
    environment: {},
    platform: process.platform,
    clock: systemClock,
    log: { error: show, info: silent, debug: show, setLevel: silent },
    signal: new AbortController().signal,
    userId: process.getuid?.(),
  },
  file,
  key,
  fromConcierge: true,
  execInfoGiven: false,
};
for (;;) {
  const now = systemClock.now();
  const credential = certificateCredential(now - 300_000, now + 300_000);
  await storeIssued(
    request,
    { credential, fromConcierge: true, clockOffset: 0, issuedAt: now, endpoint: "https://a" },
    undefined,
  );
  process.stdout.write(".");
}
