// Plain JavaScript, for it must run where TypeScript cannot: says in one line that this Node is too old.
import { readFileSync } from "node:fs";

const needed = /\d+\.\d+/.exec(
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).engines.node,
)[0];
const [major, minor] = needed.split(".").map(Number);
const [ownMajor, ownMinor] = process.versions.node.split(".").map(Number);
if (ownMajor < major || (ownMajor === major && ownMinor < minor)) {
  console.error(
    `this is Node ${process.versions.node}, Lanyard needs ${needed} or newer: start it with npm, which takes the Node that "npm ci" installs on Linux x64; elsewhere install one`,
  );
  process.exit(1);
}
