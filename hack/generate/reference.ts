import type { ResourceKind } from "../../src/resources/kind.ts";
import { resourceKinds } from "../../src/resources/kinds.ts";
import type { JsonSchema } from "../../src/resources/schema.ts";
import { GENERATED_MARK } from "./files.ts";

/** One page per kind, and a list of them. */
export function referenceFiles(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/reference/README.md", indexPage()],
    ...resourceKinds.map((kind) => [pagePath(kind), kindPage(kind)] as const),
  ]);
}

function pagePath(kind: ResourceKind): string {
  return `docs/reference/${kind.singular}.md`;
}

function indexPage(): string {
  const rows = resourceKinds.map(
    (kind) =>
      `| [${kind.resource.kind}](${kind.singular}.md) | \`${kind.resource.group}\` | ${backing(kind)} | ${kind.schema.description ?? ""} |`,
  );
  return `${[
    `<!-- ${GENERATED_MARK} -->`,
    "# API reference",
    "",
    "Groups are shown with the default suffix, `pinniped.dev`.",
    "",
    "| Kind | Group | Served by | Purpose |",
    "| --- | --- | --- | --- |",
    ...rows,
  ].join("\n")}\n`;
}

function kindPage(kind: ResourceKind): string {
  const { resource, schema } = kind;
  const facts = [
    `- apiVersion: \`${resource.group}/${resource.version}\``,
    `- resource: \`${resource.plural}\`, ${resource.namespaced ? "namespaced" : "cluster-scoped"}`,
    `- served by: ${backing(kind)}`,
    `- categories: ${kind.categories.map((category) => `\`${category}\``).join(", ")}`,
    ...(kind.backing === "aggregated"
      ? [`- verbs: ${kind.verbs.map((verb) => `\`${verb}\``).join(", ")}`]
      : []),
    ...(kind.backing === "crd"
      ? [`- columns: ${kind.printerColumns.map(({ name }) => name).join(", ")}`]
      : []),
  ];
  return `${[
    `<!-- ${GENERATED_MARK} -->`,
    `# ${resource.kind}`,
    "",
    schema.description ?? "",
    "",
    ...facts,
    "",
    "## Fields",
    "",
    "| Field | Type | Rules | Meaning |",
    "| --- | --- | --- | --- |",
    ...fieldRows(schema, ""),
  ].join("\n")}\n`;
}

function backing(kind: ResourceKind): string {
  return kind.backing === "aggregated"
    ? "the Concierge's aggregated API; nothing is stored"
    : "the kube-apiserver (CRD)";
}

function fieldRows(schema: JsonSchema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const row = `| \`${path}\` | ${cell(typeText(field))} | ${cell(rulesText(field, schema.required?.includes(name) ?? false))} | ${cell(field.description ?? "")} |`;
    const below = field.items === undefined ? field : field.items;
    return [row, ...fieldRows(below, `${path}${field.items === undefined ? "" : "[]"}.`)];
  });
}

function typeText(schema: JsonSchema): string {
  if (schema.items !== undefined) {
    return `list of ${typeText(schema.items)}`;
  }
  if (schema.additionalProperties !== undefined) {
    return `map to ${typeText(schema.additionalProperties)}`;
  }
  return schema.format === "date-time" ? "time" : (schema.type ?? "any");
}

function rulesText(schema: JsonSchema, required: boolean): string {
  const rules = [
    ...(required ? ["required"] : []),
    ...(schema.default === undefined ? [] : [`default \`${JSON.stringify(schema.default)}\``]),
    ...(schema.enum === undefined ? [] : [`one of ${schema.enum.map((value) => `\`${value}\``).join(", ")}`]),
    ...(schema.minLength === undefined ? [] : [`at least ${schema.minLength} characters`]),
    ...(schema.maxLength === undefined ? [] : [`at most ${schema.maxLength} characters`]),
    ...(schema.minimum === undefined ? [] : [`at least ${schema.minimum}`]),
    ...(schema.maximum === undefined ? [] : [`at most ${schema.maximum}`]),
    ...(schema.pattern === undefined ? [] : [`matches \`${schema.pattern}\``]),
    ...(schema["x-lanyard-extension"] === true ? ["not part of the Pinniped API"] : []),
  ];
  return rules.join("; ");
}

/** A pipe would end the cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
