/**
 * Asks until the answer is there. The limit is a guard against a hang, not a figure: it is far above what the thing
 * takes on a busy machine.
 */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined | false>,
  { seconds = 60, intervalMilliseconds = 100 }: { seconds?: number; intervalMilliseconds?: number } = {},
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown;
  for (;;) {
    try {
      const answer = await attempt();
      if (answer !== undefined && answer !== false) {
        return answer;
      }
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(
        `${what} did not happen within ${seconds} s`,
        last === undefined ? undefined : { cause: last },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMilliseconds));
  }
}
