// Part of the bundle's second file: how the third one is loaded, and what it gets from the second.

let commands: Promise<{ readonly load: (key: string) => Promise<unknown> }> | undefined;

/** Hands modules, by their path in the repository, to the third file. */
export function share(modules: Readonly<Record<string, () => unknown>>): void {
  Object.assign(globalThis, {
    [Symbol.for("lanyard.shared")]: modules,
    __loadShared: async (key: string): Promise<unknown> => modules[key]?.(),
    __loadLater: async (key: string): Promise<unknown> => {
      const file = "./lanyard-commands.mjs";
      commands ??= import(file);
      return (await commands).load(key);
    },
  });
}
