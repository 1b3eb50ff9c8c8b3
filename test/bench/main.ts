// npm run bench -- NAME: the figures of design.md section 9, printed beside their limits. A bench runs alone on the machine.
import { cpus } from "node:os";
import { messageOf } from "../../src/errors.ts";

const benches: Readonly<Record<string, () => Promise<void>>> = {
  exchange: async () => (await import("./exchange.ts")).benchExchange(),
  proxy: async () => (await import("./proxy.ts")).benchProxy(),
  watch: async () => (await import("./watch.ts")).benchWatch(),
  policy: async () => (await import("./policy.ts")).run(),
  cli: async () => (await import("./cli.ts")).benchCli(),
  start: async () => (await import("./start.ts")).benchStart(),
};

const [name, ...rest] = process.argv.slice(2);
const names = Object.keys(benches).join(", ");
const bench = name !== undefined && Object.hasOwn(benches, name) ? benches[name] : undefined;
if (bench === undefined || rest.length > 0) {
  const what =
    name === undefined
      ? "which one? npm run bench -- NAME"
      : bench === undefined
        ? `there is no bench ${JSON.stringify(name)}`
        : `${name} takes no ${JSON.stringify(rest[0])}`;
  console.error(`bench: ${what}; benches: ${names}`);
  process.exit(2);
}
const processors = cpus();
console.log(`${processors.length} cores (${processors[0]?.model.trim()}), Node ${process.versions.node}`);
try {
  await bench();
} catch (error) {
  console.error(`bench: ${messageOf(error)}`);
  process.exit(1);
}
process.exit(0);
