import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlagSpecification } from "./flag.ts";
import { parseFlags, requireFlags } from "./parse-flags.ts";

const specifications: readonly FlagSpecification[] = [
  { name: "issuer", kind: "string", description: "", required: true },
  { name: "output", shorthand: "o", kind: "string", defaultValue: "text", description: "" },
  { name: "all", shorthand: "a", kind: "boolean", description: "" },
  { name: "verbose", shorthand: "v", kind: "boolean", description: "" },
  { name: "scopes", kind: "list", defaultValue: "openid,groups", description: "" },
  { name: "listen-port", kind: "port", description: "" },
  { name: "timeout", kind: "duration", defaultValue: "10m0s", description: "" },
  { name: "old", kind: "string", description: "", deprecated: "not needed anymore" },
  { name: "client", kind: "string", description: "", required: true },
];
const parse = (...args: readonly string[]) => parseFlags(specifications, args);
const refusal = (...args: readonly string[]): string => {
  try {
    parse(...args);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

test("flags take their value behind a blank or an equals sign, and stand between positionals", () => {
  const { flags, positionals } = parse("one", "--issuer", "a=b", "two", "--output=", "-", "--all");
  assert.deepEqual(positionals, ["one", "two", "-"]);
  assert.equal(flags.string("issuer"), "a=b");
  assert.equal(flags.string("output"), "");
  assert.equal(flags.boolean("all"), true);
  assert.equal(flags.boolean("verbose"), false);
  assert.equal(flags.given("output"), true);
  assert.equal(flags.given("timeout"), false);
  assert.equal(flags.duration("timeout"), 600_000);
  assert.equal(flags.port("listen-port"), 0);
});

test("one-letter flags stand together, and take what is left as their value", () => {
  assert.equal(parse("-av").flags.boolean("verbose"), true);
  for (const args of [["-ojson"], ["-o", "json"], ["-o=json"], ["-aojson"]]) {
    assert.equal(parse(...args).flags.string("output"), "json", args.join(" "));
  }
});

test("two dashes end the flags", () => {
  const { flags, positionals } = parse("--all", "--", "--issuer", "-x");
  assert.deepEqual(positionals, ["--issuer", "-x"]);
  assert.equal(flags.given("issuer"), false);
});

test("a flag may take what looks like another one as its value", () => {
  assert.equal(parse("--issuer", "--all").flags.string("issuer"), "--all");
});

test("a list's first use replaces its default, later ones add to it", () => {
  assert.deepEqual(parse().flags.list("scopes"), ["openid", "groups"]);
  assert.deepEqual(parse("--scopes", "a,b", "--scopes=c", '--scopes="d,e"').flags.list("scopes"), [
    "a",
    "b",
    "c",
    "d,e",
  ]);
  assert.deepEqual(parse("--scopes=").flags.list("scopes"), []);
});

test("booleans take Go's words for true and false", () => {
  for (const text of ["1", "t", "T", "true", "TRUE", "True"]) {
    assert.equal(parse(`--all=${text}`).flags.boolean("all"), true);
  }
  for (const text of ["0", "f", "F", "false", "FALSE", "False"]) {
    assert.equal(parse(`--all=${text}`).flags.boolean("all"), false);
  }
});

test("ports are Go's literals up to 65535", () => {
  for (const [text, port] of [
    ["65535", 65_535],
    ["0x10", 16],
    ["0b11", 3],
    ["017", 15],
    ["0o17", 15],
    ["1_000", 1000],
  ] as const) {
    assert.equal(parse("--listen-port", text).flags.port("listen-port"), port);
  }
});

test("what is wrong is said in the words of the existing CLI", () => {
  const expected: Readonly<Record<string, readonly string[]>> = {
    "unknown flag: --bogus": ["--bogus=1"],
    "bad flag syntax: --=x": ["--=x"],
    "bad flag syntax: ---all": ["---all"],
    "flag needs an argument: --issuer": ["--issuer"],
    "flag needs an argument: 'o' in -o": ["-ao"],
    "unknown shorthand flag: 'x' in -x": ["-x"],
    "unknown shorthand flag: 'x' in -xyz": ["-axyz"],
    'invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": invalid syntax': [
      "--all=maybe",
    ],
    'invalid argument "70000" for "--listen-port" flag: strconv.ParseUint: parsing "70000": value out of range':
      ["--listen-port=70000"],
    'invalid argument "-1" for "--listen-port" flag: strconv.ParseUint: parsing "-1": invalid syntax': [
      "--listen-port",
      "-1",
    ],
    'invalid argument "" for "--listen-port" flag: strconv.ParseUint: parsing "": invalid syntax': [
      "--listen-port=",
    ],
    'invalid argument "soon\\n" for "--timeout" flag: time: invalid duration "soon\\n"': ["--timeout=soon\n"],
    'invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"': ["--timeout=5"],
    'invalid argument "5d" for "--timeout" flag: time: unknown unit "d" in duration "5d"': ["--timeout=5d"],
    'invalid argument "a\\"b" for "--scopes" flag: parse error on line 1, column 2: bare " in non-quoted-field':
      ['--scopes=a"b'],
  };
  for (const [message, args] of Object.entries(expected)) {
    assert.equal(refusal(...args), message);
  }
});

test("a deprecated flag is accepted, with a notice each time", () => {
  const { flags, notices } = parse("--old", "x", "--old=y");
  assert.equal(flags.string("old"), "y");
  assert.deepEqual(notices, Array(2).fill("Flag --old has been deprecated, not needed anymore"));
});

test("all required flags that lack are named", () => {
  assert.throws(() => requireFlags(specifications, parse().flags), {
    message: 'required flag(s) "client", "issuer" not set',
  });
  assert.throws(() => requireFlags(specifications, parse("--client=").flags), {
    message: 'required flag(s) "issuer" not set',
  });
  assert.doesNotThrow(() => requireFlags(specifications, parse("--client=", "--issuer=x").flags));
});

test("a command that asks for a flag it has not declared is told so", () => {
  assert.throws(() => parse().flags.string("bogus"), TypeError);
  assert.throws(() => parse().flags.boolean("issuer"), TypeError);
  assert.throws(() => parse().flags.given("bogus"), TypeError);
});
