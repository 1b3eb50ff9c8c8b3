import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Document, isMap, isScalar, parseDocument } from "yaml";
import { GENERATED_MARK } from "./files.ts";

const root = join(import.meta.dirname, "..", "..");
const charts = ["lanyard-concierge", "lanyard-concierge-crds"] as const;
type Chart = (typeof charts)[number];

/** The parts of JSON Schema that the charts' `values.schema.json` use. */
export interface ValuesSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly exclusiveMinimum?: number;
  readonly items?: ValuesSchema;
  readonly properties?: Readonly<Record<string, ValuesSchema>>;
  readonly additionalProperties?: boolean | ValuesSchema;
  readonly definitions?: Readonly<Record<string, ValuesSchema>>;
}

/** A value of a chart as its values file explains it. */
export interface ChartValue {
  readonly path: string;
  /** The comment above it, in one line; empty when there is none. */
  readonly comment: string;
  readonly defaultValue: unknown;
  readonly schema: ValuesSchema | undefined;
  /** Whether there are values of their own below it, so that its own line only introduces them. */
  readonly group: boolean;
}

/** The values of a chart, in the order of its values file. */
export function chartValues(chart: Chart): readonly ChartValue[] {
  const schema = JSON.parse(
    readFileSync(join(root, "charts", chart, "values.schema.json"), "utf8"),
  ) as ValuesSchema;
  return readValues(readFileSync(join(root, "charts", chart, "values.yaml"), "utf8"), schema);
}

/** The values in the text of a values file. */
export function readValues(text: string, schema: ValuesSchema): readonly ChartValue[] {
  const document: Document = parseDocument(text);
  const lines = text.split("\n");
  const below = (node: unknown, parent: ValuesSchema | undefined, prefix: string): ChartValue[] => {
    if (!isMap(node)) {
      return [];
    }
    return node.items.flatMap(({ key, value }) => {
      if (!isScalar(key)) {
        return [];
      }
      const name = String(key.value);
      const own = resolve(parent?.properties?.[name], schema);
      const path = `${prefix}${name}`;
      const line = text.slice(0, key.range?.[0] ?? 0).split("\n").length - 1;
      // A map whose keys the schema lists is a group; any other (labels, resources) is a value.
      const children =
        own?.properties !== undefined && own.type === "object" ? below(value, own, `${path}.`) : [];
      return [
        {
          path,
          comment: commentAbove(lines, line),
          defaultValue: document.getIn(path.split("."), true),
          schema: own,
          group: children.length > 0,
        },
        ...children,
      ].map((each) => ({ ...each, defaultValue: plain(each.defaultValue) }));
    });
  };
  return below(document.contents, schema, "");
}

function plain(value: unknown): unknown {
  return typeof value === "object" && value !== null && "toJSON" in value
    ? (value as { toJSON(): unknown }).toJSON()
    : value;
}

function resolve(schema: ValuesSchema | undefined, whole: ValuesSchema): ValuesSchema | undefined {
  const name = schema?.$ref?.replace("#/definitions/", "");
  return name === undefined ? schema : whole.definitions?.[name];
}

function commentAbove(lines: readonly string[], line: number): string {
  const indent = /^ */.exec(lines[line] ?? "")?.[0] ?? "";
  const found: string[] = [];
  for (let at = line - 1; at >= 0 && lines[at]?.startsWith(`${indent}# `) === true; at--) {
    found.unshift(lines[at]?.slice(indent.length + 2) ?? "");
  }
  return found.join(" ");
}

/** docs/configuration-chart.md */
export function chartValuesFiles(): ReadonlyMap<string, string> {
  const page = [
    `<!-- ${GENERATED_MARK} -->`,
    "",
    "# Values of the charts",
    "",
    "Made from the comments in `values.yaml` and the rules in `values.schema.json` of each chart. Values that are not named here are refused. " +
      "What the values become is the [configuration file](configuration.md) and the [CredentialIssuer](reference/credentialissuer.md).",
    ...charts.flatMap((chart) => ["", `## ${chart}`, "", ...table(chartValues(chart))]),
  ];
  return new Map([["docs/configuration-chart.md", `${page.join("\n")}\n`]]);
}

function table(values: readonly ChartValue[]): string[] {
  return [
    "| Value | Default | Rules | Meaning |",
    "| --- | --- | --- | --- |",
    ...values.map(({ path, defaultValue, schema, comment, group }) =>
      group
        ? `| **\`${path}\`** | | | ${cell(comment)} |`
        : `| \`${path}\` | ${cell(defaultText(defaultValue))} | ${cell(rulesText(schema))} | ${cell(comment)} |`,
    ),
  ];
}

function defaultText(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 100 ? "see values.yaml" : `\`${text}\``;
}

function rulesText(schema: ValuesSchema | undefined): string {
  if (schema === undefined) {
    return "";
  }
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  const names = types.map((type) => (type === "object" ? "map" : type === "array" ? "list" : type));
  return [
    ...(names.length === 0 ? [] : [names.join(" or ")]),
    ...(schema.enum === undefined
      ? []
      : [`one of ${schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(", ")}`]),
    ...(schema.minimum === undefined ? [] : [`at least ${schema.minimum}`]),
    ...(schema.maximum === undefined ? [] : [`at most ${schema.maximum}`]),
    ...(schema.maxLength === undefined ? [] : [`at most ${schema.maxLength} characters`]),
    ...(schema.pattern === undefined ? [] : [`matches \`${schema.pattern}\``]),
    ...(schema.properties === undefined || Object.keys(schema.properties).length === 0
      ? []
      : [
          `keys ${Object.keys(schema.properties)
            .map((key) => `\`${key}\``)
            .join(", ")}`,
        ]),
  ].join("; ");
}

/** A pipe would end the cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
