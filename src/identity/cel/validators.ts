import { childrenOf, type Call, type Expression } from "./ast.ts";
import type { CelEnvironment } from "./cel.ts";
import type { Checked } from "./checker.ts";
import type { CelSource } from "./source.ts";
import { parseFormat, type Clause } from "./functions/format-clauses.ts";
import { formatType, isSameType, typeText, type Type } from "./types.ts";

function unwrapped(type: Type, optional: boolean): Type {
  return optional && type.kind === "optional" ? type.value : type;
}

function checkElements(
  elements: readonly { readonly value: Expression; readonly optional: boolean }[],
  checked: Checked,
  source: CelSource,
  once: boolean,
): void {
  let first: Type | undefined;
  for (const { value, optional } of elements) {
    const type = unwrapped(checked.typeOf(value), optional);
    first ??= type;
    if (isSameType(first, type)) continue;
    source.report(value.offset, `expected type '${formatType(first)}' but found '${formatType(type)}'`);
    if (once) return;
  }
}

/** Leaves the walk over a format text; the problem belongs to `offset`. */
class FormatProblem extends Error {
  readonly offset: number | undefined;
  constructor(message: string, offset?: number) {
    super(message);
    this.offset = offset;
  }
}

const clauseKinds: Readonly<Record<Clause["letter"], readonly Type["kind"][]>> = {
  s: [
    "list",
    "map",
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "timestamp",
    "bytes",
    "duration",
    "type",
    "null_type",
  ],
  d: ["int", "uint", "double"],
  f: ["int", "uint", "double"],
  e: ["int", "uint", "double"],
  b: ["bool", "int", "uint"],
  x: ["int", "uint", "string", "bytes"],
  X: ["int", "uint", "string", "bytes"],
  o: ["int", "uint"],
};

/** The expression that a clause does not take: the argument itself or, for `%s`, a part of a literal. */
function unformattable(node: Expression, clause: Clause, checked: Checked): Expression | undefined {
  const { kind } = checked.typeOf(node);
  if (kind !== "dyn" && !clauseKinds[clause.letter].includes(kind)) return node;
  if (clause.letter !== "s" || (node.kind !== "list" && node.kind !== "map")) return undefined;
  for (const part of childrenOf(node)) {
    const found = unformattable(part, clause, checked);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** `"…".format([…])` with both written out: every clause must fit its argument, and no argument may be left over. */
function checkFormat(node: Call, checked: Checked, source: CelSource): void {
  const [list] = node.arguments;
  if (node.target?.kind !== "literal" || typeof node.target.value !== "string" || list?.kind !== "list")
    return;
  let used = 0;
  try {
    parseFormat(node.target.value, {
      size: list.elements.length,
      fail: (message) => new FormatProblem(message),
      literal: () => "",
      clause(clause, index) {
        used = index + 1;
        const argument = list.elements[index]?.value;
        const wrong = argument === undefined ? undefined : unformattable(argument, clause, checked);
        if (wrong === undefined) return "";
        const name = typeText(checked.typeOf(wrong)).replace(/\(.*/u, "");
        throw new FormatProblem(
          `error during formatting: ${clause.refusal}, was given ${name}`,
          wrong.offset,
        );
      },
    });
  } catch (error) {
    if (!(error instanceof FormatProblem)) throw error;
    source.report(error.offset ?? node.offset, error.message);
    return;
  }
  const given = list.elements.length;
  if (given > used) {
    source.report(
      node.offset,
      `too many arguments supplied to string.format (expected ${used}, got ${given})`,
    );
  }
}

/** What is checked once the types are known: list and map literals of one type (except inside `format`), and format texts. */
export function validate(
  root: Expression,
  checked: Checked,
  environment: CelEnvironment,
  source: CelSource,
): void {
  const visit = (node: Expression, exempt: boolean): void => {
    if (environment.homogeneousAggregates === true && !exempt) {
      if (node.kind === "list") checkElements(node.elements, checked, source, true);
      if (node.kind === "map") {
        checkElements(
          node.entries.map(({ key }) => ({ value: key, optional: false })),
          checked,
          source,
          false,
        );
        checkElements(node.entries, checked, source, false);
      }
    }
    if (node.kind === "call" && node.name === "format") checkFormat(node, checked, source);
    const inside = exempt || (node.kind === "call" && node.name === "format");
    for (const child of childrenOf(node)) visit(child, inside);
  };
  visit(root, false);
}
