import type { World } from "./environments.ts";

/** The types that generated expressions aim at. */
export type Aim =
  | "bool"
  | "int"
  | "uint"
  | "double"
  | "string"
  | "bytes"
  | "strings"
  | "ints"
  | "dyn"
  | "timestamp"
  | "duration"
  | "optional";

// prettier-ignore
export const aims: readonly Aim[] = [
  "bool", "int", "uint", "double", "string", "bytes", "strings", "ints", "dyn", "timestamp", "duration", "optional",
];

/** Literals of each type. */
// prettier-ignore
export const literals: Readonly<Record<Exclude<Aim, "dyn" | "optional" | "strings" | "ints">, readonly string[]>> = {
  bool: ["true", "false"],
  int: ["0", "1", "-1", "2", "3", "7", "42", "100", "-5", "9223372036854775807", "-9223372036854775808", "0x10"],
  uint: ["0u", "1u", "2u", "7u", "18446744073709551615u"],
  double: ["0.0", "1.0", "-1.5", "2.5", "1e3", "1e308", "0.1", "-0.0", "9007199254740993.0"],
  string: [
    '""', '"a"', '"admins"', '"system:masters"', '"Ryan@Example.com"', '"é中😀"', '"😀"', '" padded\\t"', '"a,b,,c"',
    '"A"', '"42"', '"-7"', '"1.5"', '"true"', '"\\u00e9\\U0001F600"', "'single'", 'r"raw\\n"', '"K"', '"1h30m"',
    '"2024-02-29T12:34:56Z"', '"a\\nb"', '"corp:"',
  ],
  bytes: ['b""', 'b"abc"', 'b"\\xff\\x00"', 'b"é"'],
  timestamp: ['timestamp("2024-02-29T12:34:56.789Z")', "timestamp(0)", 'timestamp("9999-12-31T23:59:59Z")'],
  duration: ['duration("1h30m")', 'duration("-1s")', 'duration("0s")', 'duration("100ms")', 'duration("1ns")'],
};

/** Patterns, some of which RE2 refuses; written to stand inside a CEL text. */
// prettier-ignore
export const patterns: readonly string[] = [
  "a", "^a", "s$", "^[a-z]+$", "(?i)ADMIN", ".", "^.$", "^.{3}$", "[[:upper:]]", "\\\\w+", "\\\\d{1,3}", "a|b", "(a|aa)+$",
  "\\\\pL", "[^:]*:", "x*", "(?s)a.b", "\\\\bs", "é|😀", "(", "[z-a]", "a{2,1}", "(?=a)", "\\\\1",
];

/** What a world's variables offer for each type, errors included. */
// prettier-ignore
export const variables: Readonly<Record<World["name"], Partial<Readonly<Record<Aim, readonly string[]>>>>> = {
  transformations: {
    string: ["username", "strConst.prefix", 'strConst["domain"]', "strConst.nope", "strListConst.allowed[0]", "groups[1]"],
    strings: ["groups", "strListConst.allowed", "strListConst.empty", "strListConst.nope", "groups + strListConst.denied"],
    dyn: ["dyn(username)", "dyn(groups)"],
    optional: ["strConst.?prefix", "strConst.?nope", "groups[?0]", "groups[?9]"],
    bool: ["has(strConst.prefix)", "has(strConst.nope)", '"admins" in groups'],
  },
  claims: {
    dyn: [
      "claims.sub", "claims.email", "claims.number", "claims.float", "claims.groups", "claims.nope", "claims.nothing",
      "claims.mixed", "claims.realm_access", "claims.realm_access.roles", "claims.email_verified", "claims.emoji",
      'claims["https://example.com/groups"]', "claims.empty_list", "claims.deep.a.b.c", "claims.list_of_maps[0].name",
      "claims.negative", "claims.huge",
    ],
    optional: ["claims.?sub", "claims.?nope", "claims.?realm_access.roles", "claims.?nope.?a", 'claims[?"email"]'],
    bool: ["has(claims.email)", "has(claims.nope)", "has(claims.realm_access.roles)", '"sub" in claims', "claims.email_verified"],
    string: ["string(claims.number)"],
  },
  user: {
    string: ["user.username", "user.uid", "user.groups[0]", 'user.extra["example.com/tenant"][1]'],
    strings: ["user.groups", 'user.extra["example.com/tenant"]', 'user.extra["nope"]'],
    optional: ["user.?username", 'user.extra[?"nope"]'],
    bool: ["has(user.uid)", '"admins" in user.groups'],
    dyn: ["dyn(user.groups)", "dyn(user.username)"],
  },
};

/** Values of the other types. */
// prettier-ignore
export const leaves: Readonly<Record<"strings" | "ints" | "optional" | "dyn", readonly string[]>> = {
  strings: ["[]", '["a", "b"]', '["admins"]', '["é", "😀", "a"]'],
  ints: ["[]", "[1, 2, 3]", "[3, 1]", "[0]", "[9223372036854775807, 1]"],
  optional: ["optional.none()", 'optional.of("a")', "optional.of(1)"],
  dyn: ["dyn(1)", 'dyn("a")', "dyn([1, 2])", "dyn(1.5)", 'dyn({"a": 1})', "null", "dyn(1u)", "dyn(null)"],
};
