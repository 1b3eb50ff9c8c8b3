/** Tells what happens, in numbered steps of a headline and a few facts. */
export interface Story {
  /** A line of its own. */
  say(line: string): void;
  step(headline: string, facts?: Readonly<Record<string, string>>): void;
  /** `1.2 s`, since the story began. */
  elapsed(): string;
}

export function createStory(): Story {
  const startedAt = performance.now();
  let number = 0;
  const write = (line: string): void => void process.stdout.write(`${line}\n`);
  return {
    say: write,
    step: (headline, facts = {}) => {
      number += 1;
      write(`\n${number}. ${headline}`);
      const width = Math.max(0, ...Object.keys(facts).map((name) => name.length));
      for (const [name, fact] of Object.entries(facts)) {
        write(`     ${name.padEnd(width)}  ${fact}`);
      }
    },
    elapsed: () => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
  };
}
