import { statSync } from "node:fs";
import { parseArgs } from "node:util";

import { LanyardError, messageOf } from "../../src/errors.ts";
import { usageError } from "../cluster/errors.ts";
import { buildImage, developmentTag } from "./image.ts";

const usage = `Usage: npm run image -- --output FILE [--tag TAG]

Writes the server's container image as a tar (docker save format), without a container engine.

  --output FILE   where to write the tar
  --tag TAG       the image's name (default ${developmentTag})
`;

/** A command line of `npm run image`; undefined when help is asked for. */
function parseImageArguments(args: readonly string[]): { output: string; tag: string } | undefined {
  let values;
  try {
    const options = {
      output: { type: "string" },
      tag: { type: "string" },
      help: { type: "boolean", short: "h" },
    } as const;
    values = parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw usageError(messageOf(error).split(/\. |\n/)[0] ?? "");
  }
  if (values.help === true) return undefined;
  if (values.output === undefined || values.output === "") throw usageError("--output FILE is missing");
  const tag = values.tag ?? developmentTag;
  if (!/^[a-z0-9][a-z0-9./_-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(tag)) {
    throw usageError(`"${tag}" is no image name: use NAME:TAG`);
  }
  return { output: values.output, tag };
}

try {
  const options = parseImageArguments(process.argv.slice(2));
  if (options) {
    const id = await buildImage(options);
    const size = Math.round(statSync(options.output).size / 1_000_000);
    process.stdout.write(`${options.output}: ${options.tag}, ${size} MB, ${id}\n`);
  } else {
    process.stdout.write(usage);
  }
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = error instanceof LanyardError && error.code === "cluster.usage" ? 2 : 1;
}
