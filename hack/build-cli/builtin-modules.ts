import { builtinModules } from "node:module";
import type { Plugin } from "esbuild";

const NAMESPACE = "builtin-module";

/**
 * Node's own modules are fetched where they are first needed. As import statements they would all stand at the top of the bundle and
 * be loaded at every start, and even `node:fs`, which Node has loaded already, costs a tenth of a start when it is imported.
 *
 * `onUse`: not before one of its functions is called or one of its classes is made, by code that imports names only. Otherwise when
 * the importing module runs, as it has to be for packages that extend a class or look through a module's keys.
 */
export function lazyBuiltinModules(when: "onUse" | "onImport"): Plugin {
  return {
    name: "lazy-builtin-modules",
    setup: (build) => {
      build.onResolve({ filter: /^[a-z]/ }, ({ path }) =>
        path.startsWith("node:") || builtinModules.includes(path)
          ? { path: path.replace(/^node:/, ""), namespace: NAMESPACE }
          : undefined,
      );
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, async ({ path }) => {
        const fetched = `process.getBuiltinModule(${JSON.stringify(`node:${path}`)})`;
        const contents = when === "onUse" ? await forward(path, fetched) : `module.exports = ${fetched};`;
        return { contents, loader: "js" };
      });
    },
  };
}

/** A module whose exports pass on to those of `fetched`; esbuild leaves out what nobody imports. */
async function forward(path: string, fetched: string): Promise<string> {
  const exports = (await import(`node:${path}`)) as Readonly<Record<string, unknown>>;
  const lines = Object.entries(exports)
    .filter(([name]) => /^[A-Za-z]\w*$/.test(name) && name !== "default")
    .map(([name, value]) => {
      if (typeof value !== "function") {
        return `export const ${name} = /* @__PURE__ */ (() => ${fetched}.${name})();`;
      }
      return /^[A-Z]/.test(name)
        ? `export function ${name}(...given) { return new (${fetched}.${name})(...given); }`
        : `export const ${name} = (...given) => ${fetched}.${name}(...given);`;
    });
  return lines.join("\n");
}
