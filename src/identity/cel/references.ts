import { childrenOf, type Expression } from "./ast.ts";

/** The constant path from a variable, such as `["claims", "email"]`; shorter when an index is not constant. */
function pathOf(node: Expression): readonly string[] | undefined {
  if (node.kind === "identifier") return [node.name];
  if (node.kind === "select") {
    const operand = pathOf(node.operand);
    return operand === undefined ? undefined : [...operand, node.field];
  }
  if (node.kind !== "call" || node.target !== undefined) return undefined;
  const [operand, index] = node.arguments;
  if (operand === undefined || index?.kind !== "literal" || typeof index.value !== "string") return undefined;
  if (!["_[_]", "_[?_]", "_?._"].includes(node.name)) return undefined;
  const prefix = pathOf(operand);
  return prefix === undefined ? undefined : [...prefix, index.value];
}

/**
 * The paths of variables that an expression reads, sorted: `claims.email` for `claims.email`, `claims["email"]`, `claims.?email` and
 * `has(claims.email)`, and plain `claims` where it is read as a whole or with a computed key, so that every field may be meant (S3).
 */
export function referencesOf(root: Expression, variables: ReadonlySet<string>): readonly string[] {
  const found = new Set<string>();
  const visit = (node: Expression, locals: readonly string[]): void => {
    const path = pathOf(node);
    const [first] = path ?? [];
    if (path !== undefined && first !== undefined) {
      // `.username` is the variable even where a comprehension has its own `username`.
      const name = first.startsWith(".") ? first.slice(1) : first;
      if (variables.has(name) && !locals.includes(first)) found.add([name, ...path.slice(1)].join("."));
      return;
    }
    if (node.kind === "comprehension" || node.kind === "optionalMap") {
      const [range, ...inside] = childrenOf(node);
      if (range !== undefined) visit(range, locals);
      for (const child of inside) visit(child, [...locals, node.variable]);
      return;
    }
    for (const child of childrenOf(node)) visit(child, locals);
  };
  visit(root, []);
  return [...found].sort();
}
