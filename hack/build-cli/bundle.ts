import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { build, type BuildOptions, type Metafile, type Plugin, transform } from "esbuild";
import type { VersionStamp } from "../../src/cli/commands/version-stamp.ts";
import { lazyBuiltinModules } from "./builtin-modules.ts";
import { stampVersion } from "./stamp.ts";

/** The file that kubectl starts, which turns V8's compile cache on for the others. It and the next are CommonJS, which Node loads without waiting. */
export const START_FILE = "lanyard.js";
/** What a cache hit needs, and no more. */
export const LOGIN_FILE = "lanyard-login.js";
/** Everything else. */
export const COMMANDS_FILE = "lanyard-commands.mjs";

const MAIN = "src/cli/main.ts";
const START = "hack/build-cli/start.ts";
const RUNTIME = "hack/build-cli/runtime.ts";
/** Loaded at run time in the source, but part of every cache hit: they belong into the login file. */
const HIT_PATH = ["src/cli/commands/login-oidc.ts", "src/cli/commands/login-static.ts"];
/** Installed beside the bundle where the machine has it. */
const EXTERNAL = ["@napi-rs/keyring"];
/** All of a built-in module's names at once would stop esbuild from leaving out those that nobody uses. */
const NAMESPACE_IMPORT = /^import \* as (\w+) from "node:([^"]+)";$/gm;
const DYNAMIC_IMPORT = /\bimport\(\s*"([^"]+)"\s*\)/g;

export interface BundleOptions {
  readonly root: string;
  readonly folder: string;
  readonly stamp: VersionStamp;
}

/**
 * Three files. What the login file imports at run time is taken out of it and loaded from the commands file, which takes what both need
 * from the login file: every module exists once.
 */
export async function bundleFiles(options: BundleOptions): Promise<void> {
  const { root, folder } = options;
  await bundle(options, {
    stdin: {
      contents: `#!/usr/bin/env node\nimport "./${START}";`,
      resolveDir: root,
      sourcefile: "start.js",
    },
    outfile: join(folder, START_FILE),
    format: "cjs",
    minifyWhitespace: true,
    // An old Node must be able to read it, to say that it is too old.
    target: "es2018",
  });
  const later = new Set<string>();
  const login = async (shared: readonly string[], write: boolean): Promise<Metafile> =>
    await bundle(options, {
      stdin: { contents: LOGIN_SOURCE, resolveDir: root, sourcefile: "login.js" },
      outfile: join(folder, LOGIN_FILE),
      format: "cjs",
      minify: true,
      plugins: [lazyBuiltinModules("onUse"), takeOut(root, later), await shareModules(root, shared)],
      write,
    });
  // The first pass only tells which modules it takes.
  const probe = await login(HIT_PATH, false);
  const shared = Object.keys(probe.inputs).filter((path) => path.startsWith("src/") && path !== MAIN);
  const foreign = Object.keys(probe.inputs).find((path) => path.includes("node_modules"));
  if (foreign !== undefined) {
    throw new Error(`${LOGIN_FILE} would hold ${foreign}: import it with import() where it is needed`);
  }
  await login(shared, true);
  await bundle(options, {
    stdin: { contents: commandsSource(root, later), resolveDir: root, sourcefile: "commands.js" },
    outfile: join(folder, COMMANDS_FILE),
    plugins: [lazyBuiltinModules("onImport"), takeFromLogin(root, new Set(shared))],
  });
}

/** One file, for an executable that holds no other. */
export async function bundleOneFile(options: BundleOptions & { readonly outfile: string }): Promise<void> {
  await bundle(options, {
    entryPoints: [join(options.root, MAIN)],
    outfile: options.outfile,
    plugins: [lazyBuiltinModules("onImport")],
  });
}

async function bundle(options: BundleOptions, more: BuildOptions): Promise<Metafile> {
  const { root, stamp } = options;
  const { metafile } = await build({
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node26",
    // Names and lines stay, for stack traces and log lines.
    minifySyntax: true,
    legalComments: "eof",
    external: EXTERNAL,
    metafile: true,
    logLevel: "error",
    ...more,
    plugins: [stampVersion(root, stamp), ...(more.plugins ?? [])],
  });
  if (metafile === undefined) {
    throw new TypeError("esbuild gave no metafile");
  }
  return metafile;
}

const LOGIN_SOURCE = `import "share-modules"; import "./${MAIN}";`;

/** Hands what the login file holds to the commands file, before anything runs. */
async function shareModules(root: string, shared: readonly string[]): Promise<Plugin> {
  const modules = await Promise.all(
    shared.map(async (path, module) => {
      // Names one by one: an object of all of a module's exports costs at every start.
      const names = Object.keys((await import(join(root, path))) as object);
      const imports = names.map((name, index) => `${name} as m${module}n${index}`).join(", ");
      const exports = names.map((name, index) => `${name}: m${module}n${index}`).join(", ");
      return {
        imported: `import { ${imports} } from "./${path}";`,
        shared: `${JSON.stringify(path)}: () => ({ ${exports} })`,
      };
    }),
  );
  const contents = [
    `import { share } from "./${RUNTIME}";`,
    ...modules.map(({ imported }) => imported),
    `share({ ${modules.map((module) => module.shared).join(", ")} });`,
  ].join("\n");
  return {
    name: "share-modules",
    setup: (build) => {
      build.onResolve({ filter: /^share-modules$/ }, ({ path }) => ({ path, namespace: "share-modules" }));
      build.onLoad({ filter: /.*/, namespace: "share-modules" }, () => ({ contents, resolveDir: root }));
    },
  };
}

function commandsSource(root: string, later: ReadonlySet<string>): string {
  const entries = [...later].map((key) => {
    const specifier = existsSync(join(root, key)) ? `./${key}` : key;
    return `${JSON.stringify(key)}: () => import(${JSON.stringify(specifier)})`;
  });
  return `const modules = { ${entries.join(", ")} };\nexport const load = (key) => modules[key]();`;
}

/** `import("./x.ts")` becomes a call that loads the commands file. */
function takeOut(root: string, later: Set<string>): Plugin {
  return {
    name: "take-out",
    setup: (build) => {
      build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        // Without types first, which may hold import(), too.
        const { code } = await transform(readFileSync(path, "utf8"), {
          loader: "ts",
          target: "node26",
          sourcefile: path,
        });
        const source = code.replaceAll(
          NAMESPACE_IMPORT,
          (_, name: string, module: string) => `const ${name} = process.getBuiltinModule("node:${module}");`,
        );
        const contents = source.replaceAll(DYNAMIC_IMPORT, (whole, specifier: string) => {
          const key = specifier.startsWith(".")
            ? relative(root, resolve(dirname(path), specifier))
            : specifier;
          if (EXTERNAL.includes(key)) {
            return whole;
          }
          if (HIT_PATH.includes(key)) {
            return `__loadShared(${JSON.stringify(key)})`;
          }
          later.add(key);
          return `__loadLater(${JSON.stringify(key)})`;
        });
        return { contents, loader: "js" };
      });
    },
  };
}

/** What the login file holds is taken from there. */
function takeFromLogin(root: string, shared: ReadonlySet<string>): Plugin {
  const NAMESPACE = "login-file";
  return {
    name: "take-from-login",
    setup: (build) => {
      build.onResolve({ filter: /^\..*\.ts$/ }, ({ path, resolveDir }) => {
        const key = relative(root, resolve(resolveDir, path));
        return shared.has(key) ? { path: key, namespace: NAMESPACE } : undefined;
      });
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, ({ path }) => ({
        contents: `module.exports = globalThis[Symbol.for("lanyard.shared")][${JSON.stringify(path)}]();`,
        loader: "js",
      }));
    },
  };
}
