import type { HttpAnswer } from "../http/http-client.ts";
import type { Findings } from "./finding.ts";

/** `Date` counts whole seconds: less cannot be told from none (contract cli.md 13.3). */
const NONE_SECONDS = 2;
/** Leeway of local checks of tokens (contract cli.md 13.3 rule 8). */
const LEEWAY_SECONDS = 60;

const REMEDY = "compare both with a third clock and let NTP set the wrong one";

/** Says how far a server's clock is from this machine's, and which of them is ahead (clarification 30). */
export function reportClock(
  findings: Findings,
  where: string,
  server: string,
  answer: Pick<HttpAnswer, "clockOffset">,
): void {
  const check = `${where} clock`;
  if (answer.clockOffset === undefined) {
    findings.warn(
      check,
      `${server} sends no Date`,
      "clocks cannot be compared: ask who runs it to let the header pass",
    );
    return;
  }
  const seconds = Math.round(answer.clockOffset / 1000);
  if (Math.abs(seconds) <= NONE_SECONDS) {
    findings.ok(check, `this machine and ${server} agree`);
    return;
  }
  const message = `the clock of ${server} is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead of" : "behind"} this machine's`;
  if (Math.abs(seconds) > LEEWAY_SECONDS) {
    findings.fail(check, message, `logins fail or end early: ${REMEDY}`);
  } else {
    findings.warn(check, message, REMEDY);
  }
}
