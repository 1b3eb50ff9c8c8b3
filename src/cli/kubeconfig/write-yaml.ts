/*
 * kubectl and the existing CLI write YAML through sigs.k8s.io/yaml; kubeconfigs of both programs are to be the same bytes, line
 * folding included. This writes what that library writes for values that came out of JSON.
 */

import { goLess } from "./key-order.ts";
import { literalBlock, scalarText } from "./yaml-scalar.ts";

/** What JSON can hold. `undefined` in an object counts as absent. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue | undefined };

/** The value as a YAML document in block style, keys in order, with a final newline. */
export function writeYaml(value: JsonValue): string {
  if (isCollection(value)) {
    return isEmpty(value) ? `${emptyText(value)}\n` : block(value, 0, 0).join("\n") + "\n";
  }
  return `${scalarLines(value, 0, 0).join("\n")}\n`;
}

type Collection = readonly JsonValue[] | { readonly [key: string]: JsonValue | undefined };

function isCollection(value: JsonValue): value is Collection {
  return typeof value === "object" && value !== null;
}

function isEmpty(value: Collection): boolean {
  return entriesOf(value).length === 0;
}

function emptyText(value: Collection): string {
  return Array.isArray(value) ? "[]" : "{}";
}

function entriesOf(value: Collection): [string, JsonValue][] {
  return Object.entries(value).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined);
}

/** Lines of a collection; the first is not indented, as it may follow `- `. `indent` is where its items start. */
function block(value: Collection, indent: number, firstColumn: number): string[] {
  const lines: string[] = [];
  const start = (): string => (lines.length === 0 ? "" : " ".repeat(indent));
  const add = (head: string, item: JsonValue, isSequence: boolean): void => {
    const lead = start() + head;
    // What stands before the first line counts for the folding, too.
    const column = (lines.length === 0 ? firstColumn : indent) + head.length;
    if (!isCollection(item) || isEmpty(item)) {
      const texts = isCollection(item) ? [emptyText(item)] : scalarLines(item, indent + 2, column);
      lines.push(lead + texts[0], ...texts.slice(1));
    } else if (isSequence) {
      const inner = block(item, indent + 2, column);
      lines.push(lead + inner[0], ...inner.slice(1));
    } else {
      // Sequences stand at the column of their key.
      const below = Array.isArray(item) ? indent : indent + 2;
      const inner = block(item, below, below);
      lines.push(lead.trimEnd(), " ".repeat(below) + inner[0], ...inner.slice(1));
    }
  };
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) {
      add("- ", item, true);
    }
    return lines;
  }
  for (const [key, item] of entriesOf(value).toSorted(([a], [b]) => (goLess(a, b) ? -1 : 1))) {
    add(`${scalarText(key, { indent, column: indent, isKey: true })}: `, item, false);
  }
  return lines;
}

function scalarLines(value: null | boolean | number | string, indent: number, column: number): string[] {
  if (typeof value === "string") {
    return (literalBlock(value, indent) ?? scalarText(value, { indent, column, isKey: false })).split("\n");
  }
  return [value === null ? "null" : String(value)];
}
