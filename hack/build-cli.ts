// npm run build:cli [-- --sea]: the command line program as npm installs it, in dist-cli/; with --sea as one executable, too.
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleFiles, COMMANDS_FILE, LOGIN_FILE, START_FILE } from "./build-cli/bundle.ts";
import { readStamp } from "./build-cli/stamp.ts";

const root = join(import.meta.dirname, "..");
const folder = join(root, "dist-cli");
const files = [START_FILE, LOGIN_FILE, COMMANDS_FILE];
const args = process.argv.slice(2);
const unknown = args.find((arg) => arg !== "--sea");
if (unknown !== undefined) {
  console.error(`build:cli: there is no ${unknown}; it takes --sea`);
  process.exit(2);
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
const stamp = readStamp(root);
await bundleFiles({ root, folder, stamp });
chmodSync(join(folder, START_FILE), 0o755);
writeFileSync(join(folder, "package.json"), `${JSON.stringify(packageDescription(), undefined, 2)}\n`);
for (const file of files) {
  console.log(`dist-cli/${file}  ${(statSync(join(folder, file)).size / 1024).toFixed(0)} KiB`);
}
if (args.includes("--sea")) {
  const { buildExecutable } = await import("./build-cli/executable.ts");
  await buildExecutable({ root, folder, stamp });
}

function packageDescription(): object {
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Readonly<
    Record<string, unknown>
  >;
  const development = own["devDependencies"] as Readonly<Record<string, string>>;
  return {
    name: own["name"],
    version: own["version"],
    description: own["description"],
    license: own["license"],
    type: "commonjs",
    engines: own["engines"],
    bin: { lanyard: START_FILE, "kubectl-lanyard": START_FILE },
    files,
    optionalDependencies: { "@napi-rs/keyring": development["@napi-rs/keyring"] },
  };
}
