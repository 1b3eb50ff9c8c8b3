// Read by a Node of any age, as the first thing: nothing here, nor in what imports it before asking, may be newer than `import()`.

/** package.json's `engines`; a test holds the two together. */
const NEEDED_MAJOR = 26;
const NEEDED_MINOR = 10;

/**
 * What to tell who starts a program with a Node that is too old for it, one line with cause and remedy; undefined: it is new enough.
 *
 * @param version `process.version`, such as `v26.10.0`
 */
export function complaintAboutNode(program: string, version: string): string | undefined {
  const numbers = version.slice(1).split(".");
  const major = Number(numbers[0]);
  if (major > NEEDED_MAJOR || (major === NEEDED_MAJOR && Number(numbers[1]) >= NEEDED_MINOR)) {
    return undefined;
  }
  return `${program} needs Node ${NEEDED_MAJOR}.${NEEDED_MINOR} or newer, and this is Node ${version.slice(1)}: install a newer one, or put its folder first in PATH`;
}
