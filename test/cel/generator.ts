import fc, { type GeneratorValue } from "fast-check";
import type { World } from "./environments.ts";
import { aims, leaves, literals, patterns, variables, type Aim } from "./vocabulary.ts";

interface Scope {
  readonly world: World["name"];
  /** Variables of comprehensions with their types. */
  readonly bound: readonly (readonly [string, Aim])[];
  /** Comprehensions around this place; the engine refuses more than two. */
  readonly nesting: number;
  /** How many of a hundred parts have another type than their place wants. */
  readonly slips: number;
}

/**
 * Expressions over a world's variables: mostly well typed; now and then a part has another type than its place wants, or
 * a character is lost, doubled or changed.
 */
export function expressions(world: World): fc.Arbitrary<string> {
  return fc.gen().map((g) => {
    const pick = picker(g);
    const scope: Scope = { world: world.name, bound: [], nesting: 0, slips: pick.one([0, 0, 0, 0, 5]) };
    const text = expressionOf(pick, pick.one(aims), pick.below(4) + 1, scope);
    return pick.below(100) < 6 ? damaged(pick, text) : text;
  });
}

interface Picker {
  below(limit: number): number;
  one<T>(choices: readonly T[]): T;
}

function picker(g: GeneratorValue): Picker {
  const below = (limit: number): number => g(fc.integer, { min: 0, max: limit - 1 });
  return {
    below,
    one: (choices) => {
      const choice = choices[below(choices.length)];
      if (choice === undefined) {
        throw new TypeError("nothing to choose from");
      }
      return choice;
    },
  };
}

function damaged(pick: Picker, text: string): string {
  const points = Array.from(text);
  const at = pick.below(points.length);
  const inserted = pick.one(Array.from("()[]{}.,?:+-*/%!<>=&|\"'\\ 1a@é;"));
  const kind = pick.below(3);
  points.splice(at, kind === 0 ? 0 : 1, ...(kind === 2 ? [] : [inserted]));
  return points.join("");
}

function expressionOf(pick: Picker, wanted: Aim, depth: number, scope: Scope): string {
  const aim = pick.below(100) < scope.slips ? pick.one(aims) : wanted;
  if (depth <= 0 || pick.below(10) === 0) {
    return leaf(pick, aim, scope);
  }
  const sub = (type: Aim): string => expressionOf(pick, type, depth - 1, scope);
  const binary = (operator: string, left: Aim, right: Aim = left): string => {
    const text = `${sub(left)} ${operator} ${sub(right)}`;
    return pick.below(4) === 0 ? text : `(${text})`;
  };
  const each = (list: Aim, macro: string, element: Aim, result: Aim): string => {
    const name = pick.one(["x", "y", "g"]);
    const inner: Scope = { ...scope, bound: [...scope.bound, [name, element]], nesting: scope.nesting + 1 };
    return `${sub(list)}.${macro}(${name}, ${expressionOf(pick, result, depth - 1, inner)})`;
  };
  const macrosAllowed = scope.nesting < 2;
  const listOf = pick.one([
    ["strings", "string"],
    ["ints", "int"],
    ["dyn", "dyn"],
  ] as const);
  const choices: Record<Aim, readonly (() => string)[]> = {
    bool: [
      () => binary(pick.one(["==", "!=", "<", "<=", ">", ">="]), pick.one(aims)),
      () => binary(pick.one(["==", "!="]), "dyn", pick.one(aims)),
      () => binary(pick.one(["<", ">="]), "dyn", pick.one(["int", "uint", "double", "string"])),
      () => binary(pick.one(["&&", "||"]), "bool"),
      () => binary(pick.one(["&&", "||"]), "bool"),
      () => `!${sub("bool")}`,
      () => binary("in", listOf[1], listOf[0]),
      () => `${sub("string")}.${pick.one(["startsWith", "endsWith", "contains"])}(${sub("string")})`,
      () => `${sub("string")}.matches("${pick.one(patterns)}")`,
      () => `matches(${sub("string")}, ${sub("string")})`,
      () => `bool(${sub(pick.one(["string", "bool", "dyn"]))})`,
      () => `${sub("optional")}.hasValue()`,
      () => `${sub(pick.one(["strings", "ints"]))}.isSorted()`,
      () =>
        `type(${sub(pick.one(aims))}) == ${pick.one(["int", "string", "list", "bool", "map", "double", "bytes"])}`,
      ...(macrosAllowed
        ? [() => each(listOf[0], pick.one(["all", "exists", "exists_one"]), listOf[1], "bool")]
        : []),
    ],
    int: [
      () => binary(pick.one(["+", "-", "*", "/", "%"]), "int"),
      () => binary(pick.one(["+", "-", "*", "/", "%"]), "int"),
      () => `-${sub("int")}`,
      () => `size(${sub(pick.one(["string", "bytes", "strings", "ints", "dyn"]))})`,
      () => `${sub("string")}.${pick.one(["indexOf", "lastIndexOf"])}(${sub("string")})`,
      () => `${sub("string")}.${pick.one(["indexOf", "lastIndexOf"])}(${sub("string")}, ${sub("int")})`,
      () => `int(${sub(pick.one(["string", "int", "uint", "double", "timestamp", "dyn"]))})`,
      () =>
        `${sub("timestamp")}.${pick.one(["getFullYear", "getHours", "getDayOfWeek", "getDayOfYear", "getDate", "getMonth"])}()`,
      () => `${sub("duration")}.${pick.one(["getHours", "getMinutes", "getSeconds", "getMilliseconds"])}()`,
      () => `${sub("ints")}.${pick.one(["sum", "min", "max"])}()`,
      () => `${sub("strings")}.${pick.one(["indexOf", "lastIndexOf"])}(${sub("string")})`,
      () => `${sub("ints")}[${sub("int")}]`,
    ],
    uint: [
      () => binary(pick.one(["+", "-", "*", "/", "%"]), "uint"),
      () => `uint(${sub(pick.one(["string", "int", "uint", "double"]))})`,
    ],
    double: [
      () => binary(pick.one(["+", "-", "*", "/"]), "double"),
      () => `-${sub("double")}`,
      () => `double(${sub(pick.one(["string", "int", "uint", "double"]))})`,
    ],
    string: [
      () => binary("+", "string"),
      () => binary("+", "string"),
      () =>
        `string(${sub(pick.one(["int", "uint", "double", "bool", "bytes", "timestamp", "duration", "dyn"]))})`,
      () => `${sub("string")}.${pick.one(["lowerAscii", "upperAscii", "trim", "reverse"])}()`,
      () => `${sub("string")}.charAt(${sub("int")})`,
      () => `${sub("string")}.substring(${sub("int")})`,
      () => `${sub("string")}.substring(${sub("int")}, ${sub("int")})`,
      () => `${sub("string")}.replace(${sub("string")}, ${sub("string")})`,
      () => `${sub("string")}.replace(${sub("string")}, ${sub("string")}, ${sub("int")})`,
      () => `${sub("strings")}.join(${sub("string")})`,
      () => `strings.quote(${sub("string")})`,
      () =>
        `"%${pick.one(["s", "d", "f", "x", ".2f", "b", "e"])}|%s".format([${sub(pick.one(aims))}, ${sub("string")}])`,
      () => `${sub("string")}.find("${pick.one(patterns)}")`,
      () => `${sub("strings")}[${sub("int")}]`,
      () => `${sub("optional")}.orValue(${sub("string")})`,
      () => `{"k": ${sub("string")}}.${pick.one(["k", "other"])}`,
    ],
    bytes: [() => binary("+", "bytes"), () => `bytes(${sub("string")})`],
    strings: [
      () => binary("+", "strings"),
      () => `[${sub("string")}, ${sub("string")}]`,
      () => `${sub("string")}.split(${sub("string")})`,
      () => `${sub("string")}.split(${sub("string")}, ${sub("int")})`,
      () => `${sub("string")}.findAll("${pick.one(patterns)}")`,
      () => `[?${sub("optional")}, ${sub("string")}]`,
      ...(macrosAllowed
        ? [
            () => each("strings", "filter", "string", "bool"),
            () => each(listOf[0], "map", listOf[1], "string"),
            () => each("strings", "filter", "string", "bool"),
          ]
        : []),
    ],
    ints: [
      () => binary("+", "ints"),
      () => `[${sub("int")}, ${sub("int")}, ${sub("int")}]`,
      ...(macrosAllowed
        ? [() => each("ints", "filter", "int", "bool"), () => each(listOf[0], "map", listOf[1], "int")]
        : []),
    ],
    dyn: [
      // No optionals: whether cel-go selects through one that only shows at run time depends on where it stands.
      () => `dyn(${sub(pick.one(aims.filter((type) => type !== "optional")))})`,
      () => `${sub("dyn")}[${sub(pick.one(["int", "string"]))}]`,
      () => binary(pick.one(["+", "-", "*"]), "dyn", pick.one(aims)),
      () => `${sub("dyn")}.${pick.one(["a", "roles", "name"])}`,
      () => `{"a": ${sub("dyn")}}.a`,
      ...(macrosAllowed
        ? [() => each("dyn", pick.one(["map", "filter"]), "dyn", pick.one(["dyn", "bool"]))]
        : []),
    ],
    timestamp: [
      () => binary(pick.one(["+", "-"]), "timestamp", "duration"),
      () => `timestamp(${sub(pick.one(["int", "string", "timestamp"]))})`,
    ],
    duration: [
      () => binary(pick.one(["+", "-"]), "duration"),
      () => binary("-", "timestamp"),
      () => `duration(${sub(pick.one(["string", "duration"]))})`,
    ],
    optional: [
      () => `optional.of(${sub(pick.one(aims))})`,
      () => `optional.ofNonZeroValue(${sub(pick.one(aims))})`,
      () => `${sub("optional")}.or(${sub("optional")})`,
      () => `${sub("strings")}[?${sub("int")}]`,
      () => `{"a": ${sub("string")}}.?${pick.one(["a", "b"])}`,
      () => `${sub("optional")}.optMap(o, ${sub("string")})`,
    ],
  };
  if (pick.below(12) === 0) {
    return `(${sub("bool")} ? ${sub(aim)} : ${sub(aim)})`;
  }
  return pick.one(choices[aim])();
}

function leaf(pick: Picker, aim: Aim, scope: Scope): string {
  const bound = scope.bound.filter(([, type]) => type === aim).map(([name]) => name);
  const named = variables[scope.world][aim] ?? [];
  if (bound.length > 0 && pick.below(2) === 0) {
    return pick.one(bound);
  }
  if (named.length > 0 && pick.below(2) === 0) {
    return pick.one(named);
  }
  return pick.one(
    aim in leaves ? leaves[aim as keyof typeof leaves] : literals[aim as keyof typeof literals],
  );
}
