import type { CelInput } from "../../src/identity/cel/cel.ts";

/** One attack: it must end without a value that is out of bounds, in time and in memory. */
export interface HostileCase {
  readonly name: string;
  readonly expression: string;
  readonly bindings?: Readonly<Record<string, CelInput>>;
  /** What must come of it: refused when compiled, an error (or interruption) when run, or a harmless value. */
  readonly outcomes: readonly ("refused" | "error" | "value")[];
}

const long = "a".repeat(20_000);
const manyGroups = Array.from({ length: 10_000 }, (_, index) => `group-${index}`);

function chained(times: number, first: string, step: string): string {
  return first + step.repeat(times);
}

/** Attacks by whoever writes expressions, and by whoever chooses his own name and groups. */
export const hostileCases: readonly HostileCase[] = [
  // Regular expressions: RE2's time is linear in the text, so these give a verdict.
  {
    name: "alternation that backtracks",
    expression: `username.matches("^(a|aa)+$")`,
    bindings: { username: `${long}!` },
    outcomes: ["value", "error"],
  },
  {
    name: "nested stars",
    expression: `username.matches("^((a*)*)*b$")`,
    bindings: { username: long },
    outcomes: ["value", "error"],
  },
  {
    name: "many optional letters",
    expression: `username.matches("${"a?".repeat(60)}${"a".repeat(60)}")`,
    bindings: { username: "a".repeat(60) },
    outcomes: ["value", "error", "refused"],
  },
  {
    name: "counted repetition of repetitions",
    expression: 'username.matches("((a{100}){100}){100}")',
    outcomes: ["refused"],
  },
  {
    name: "a repetition above RE2's limit",
    expression: 'username.matches("a{1001}")',
    outcomes: ["refused"],
  },
  {
    name: "a large class in a counted repetition",
    expression: String.raw`username.matches("(?i)(\\pL\\pN){500}")`,
    outcomes: ["refused", "value", "error"],
  },
  {
    name: "a pattern chosen by the user",
    expression: "groups.exists(g, username.matches(g))",
    bindings: { username: long, groups: ["(x+x+)+y", "((a*)*)*b", "(a|a)*b", "(".repeat(5000)] },
    outcomes: ["value", "error"],
  },
  {
    name: "a pattern of counted repetitions chosen by the user",
    expression: "username.matches(groups[0])",
    bindings: { username: long, groups: ["((((a{30}){30}){30}){30}){30}"] },
    outcomes: ["error"],
  },
  {
    name: "a long pattern chosen by the user",
    expression: "username.matches(groups[0])",
    bindings: { username: long, groups: ["(a|b|c)?".repeat(5000)] },
    outcomes: ["value", "error"],
  },
  {
    name: "find all on a text without a match",
    expression: `username.findAll("a*b")`,
    bindings: { username: long },
    outcomes: ["value", "error"],
  },
  // Comprehensions.
  {
    name: "three nested comprehensions",
    expression: "groups.map(a, groups.map(b, groups.map(c, a + b + c)))",
    outcomes: ["refused"],
  },
  {
    name: "ten nested comprehensions over literals",
    expression: `${"[1,2,3,4,5,6,7,8,9,0].map(x, ".repeat(10)}1${")".repeat(10)}`,
    outcomes: ["refused"],
  },
  {
    name: "nesting in the range",
    expression: chained(40, "groups", ".map(x, x + x)"),
    outcomes: ["refused", "error"],
  },
  {
    name: "two nested comprehensions over more groups than assumed",
    expression: "groups.all(a, groups.exists(b, b == 'x') || true)",
    bindings: { groups: manyGroups },
    outcomes: ["error"],
  },
  {
    name: "a list of lists over more groups than assumed",
    expression: "groups.map(a, groups.map(b, a + b))",
    bindings: { groups: manyGroups },
    outcomes: ["error", "refused"],
  },
  {
    name: "membership in a long list for each of a long list",
    expression: "groups.filter(g, (g + 'x') in groups)",
    bindings: { groups: manyGroups },
    outcomes: ["value", "error"],
  },
  {
    name: "a list that is copied in each round",
    expression: "groups.map(g, groups + groups)",
    bindings: { groups: manyGroups },
    outcomes: ["error", "refused"],
  },
  // Values that grow.
  {
    name: "a replacement that squares the text",
    expression: chained(8, "username", ".replace('', username)"),
    bindings: { username: "a".repeat(1000) },
    outcomes: ["refused", "error"],
  },
  {
    name: "a replacement that doubles the text, many times",
    expression: chained(60, "username", ".replace('a', 'aa')"),
    bindings: { username: "aaaaaaaa" },
    outcomes: ["refused", "error"],
  },
  {
    name: "an empty text replaced in each step",
    expression: chained(60, "username", ".replace('', '-')"),
    bindings: { username: "aaaaaaaa" },
    outcomes: ["refused", "error"],
  },
  {
    name: "a text joined with itself",
    expression: chained(30, "username", ".split('').join(username)"),
    bindings: { username: "abcdefgh" },
    outcomes: ["refused", "error"],
  },
  {
    name: "a format that repeats the text",
    expression: `${"'%s%s%s%s%s%s%s%s'.format([username,username,".repeat(1)}username,username,username,username,username,username])`,
    bindings: { username: long },
    outcomes: ["value", "error", "refused"],
  },
  {
    name: "an absurd precision",
    expression: "'%.1000000000f'.format([1.0])",
    outcomes: ["refused", "error"],
  },
  {
    name: "a quoted text that is quoted again",
    expression: `${"strings.quote(".repeat(30)}username${")".repeat(30)}`,
    bindings: { username: '"' },
    outcomes: ["refused", "error"],
  },
  // Sources.
  { name: "a long expression", expression: `"${"a".repeat(2_000_000)}"`, outcomes: ["refused"] },
  { name: "a long sum", expression: chained(200_000, "1", "+1"), outcomes: ["refused"] },
  { name: "a giant list", expression: `[${"1,".repeat(500_000)}]`, outcomes: ["refused"] },
  {
    name: "deep parentheses",
    expression: `${"(".repeat(100_000)}1${")".repeat(100_000)}`,
    outcomes: ["refused"],
  },
  {
    name: "deep parentheses, short",
    expression: `${"(".repeat(2000)}1${")".repeat(2000)}`,
    outcomes: ["refused"],
  },
  { name: "deep lists, short", expression: `${"[".repeat(2000)}1${"]".repeat(2000)}`, outcomes: ["refused"] },
  {
    name: "deep maps, short",
    expression: `${"{1:".repeat(1500)}1${"}".repeat(1500)}`,
    outcomes: ["refused"],
  },
  { name: "deep negation", expression: `${"!".repeat(2000)}true`, outcomes: ["refused", "value"] },
  { name: "deep minus signs", expression: `${"- ".repeat(1900)}1`, outcomes: ["refused", "value"] },
  { name: "deep ternaries", expression: `${"true ? 1 : ".repeat(800)}1`, outcomes: ["refused", "value"] },
  { name: "long selection", expression: chained(1500, "claims", ".a"), outcomes: ["refused", "error"] },
  { name: "long index chain", expression: chained(1000, "claims", "[0]"), outcomes: ["refused", "error"] },
  {
    name: "long call chain",
    expression: chained(500, "username", ".trim()"),
    outcomes: ["refused", "error", "value"],
  },
  { name: "only opening brackets", expression: "(".repeat(4000), outcomes: ["refused"] },
  { name: "an open text", expression: `"${"\\".repeat(4001)}`, outcomes: ["refused"] },
  { name: "many errors", expression: `[${"x,".repeat(2000)}]`, outcomes: ["refused"] },
  { name: "a lone surrogate", expression: "'\ud800'", outcomes: ["refused", "value", "error"] },
];
