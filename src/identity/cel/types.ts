import type { CelType } from "./cel.ts";

/** A type while it is being checked: a public type, a parameter that is not yet known, or the result of a reported problem. */
export type Type =
  | Exclude<
      CelType,
      | { readonly kind: "list" }
      | { readonly kind: "map" }
      | { readonly kind: "optional" }
      | { readonly kind: "type" }
    >
  | { readonly kind: "list"; readonly element: Type }
  | { readonly kind: "map"; readonly key: Type; readonly value: Type }
  | { readonly kind: "optional"; readonly value: Type }
  | { readonly kind: "type"; readonly of?: Type }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "error" };

export const boolType: Type = { kind: "bool" };
export const intType: Type = { kind: "int" };
export const stringType: Type = { kind: "string" };
export const dynType: Type = { kind: "dyn" };
export const errorType: Type = { kind: "error" };

export function listOf(element: Type): Type {
  return { kind: "list", element };
}

export function mapOf(key: Type, value: Type): Type {
  return { kind: "map", key, value };
}

export function optionalOf(value: Type): Type {
  return { kind: "optional", value };
}

/** A type as cel-go's messages print it, for example `list(string)`, `null`, `timestamp`. */
export function formatType(type: Type): string {
  switch (type.kind) {
    case "list":
      return `list(${formatType(type.element)})`;
    case "map":
      return `map(${formatType(type.key)}, ${formatType(type.value)})`;
    case "optional":
      return `optional_type(${formatType(type.value)})`;
    case "type":
      return type.of === undefined ? "type" : `type(${formatType(type.of)})`;
    case "object":
      return type.name;
    case "parameter":
      return type.name;
    case "null_type":
      return "null";
    case "error":
      return "!error!";
    default:
      return type.kind;
  }
}

/** A type as cel-go prints that of a result: as in messages but with declared names (`null_type`, `google.protobuf.Timestamp`). */
export function typeText(type: Type): string {
  switch (type.kind) {
    case "list":
      return `list(${typeText(type.element)})`;
    case "map":
      return `map(${typeText(type.key)}, ${typeText(type.value)})`;
    case "optional":
      return `optional_type(${typeText(type.value)})`;
    case "type":
      return type.of === undefined ? "type" : `type(${typeText(type.of)})`;
    case "null_type":
      return "null_type";
    case "timestamp":
      return "google.protobuf.Timestamp";
    case "duration":
      return "google.protobuf.Duration";
    default:
      return formatType(type);
  }
}

/** The types a type is made of. */
export function parametersOf(type: Type): readonly Type[] {
  switch (type.kind) {
    case "list":
      return [type.element];
    case "map":
      return [type.key, type.value];
    case "optional":
      return [type.value];
    case "type":
      return type.of === undefined ? [] : [type.of];
    default:
      return [];
  }
}

/** A type with its parts replaced. */
export function mapParameters(type: Type, change: (part: Type) => Type): Type {
  switch (type.kind) {
    case "list":
      return listOf(change(type.element));
    case "map":
      return mapOf(change(type.key), change(type.value));
    case "optional":
      return optionalOf(change(type.value));
    case "type":
      return type.of === undefined ? type : { kind: "type", of: change(type.of) };
    default:
      return type;
  }
}

/** Whether two types are the same, parameters included. */
export function isSameType(a: Type, b: Type): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind) return false;
  if (a.kind === "object" || a.kind === "parameter") return a.name === (b as typeof a).name;
  const first = parametersOf(a);
  const second = parametersOf(b);
  return (
    first.length === second.length &&
    first.every((type, index) => {
      const other = second[index];
      return other !== undefined && isSameType(type, other);
    })
  );
}
