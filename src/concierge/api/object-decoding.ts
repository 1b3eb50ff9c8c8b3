import { parseDocument } from "yaml";
import { API_VERSION } from "../../resources/kind.ts";
import type { JsonSchema } from "../../resources/schema.ts";
import { goQuote } from "../request/go-quote.ts";
import { badRequest, requestEntityTooLarge, StatusError } from "../request/status.ts";
import { compareWithSchema, jsonTypeOf } from "./schema-decoding.ts";
import { duplicateFields } from "./strict-json.ts";
import type { Encoding } from "./negotiation.ts";

/** `fieldValidation` of a create (`metav1.CreateOptions`). */
export type FieldValidation = "Ignore" | "Warn" | "Strict";

/** A kind that bodies may hold. */
export interface KnownKind {
  readonly group: string;
  readonly kind: string;
}

export interface DecodingTarget {
  readonly group: string;
  readonly kind: string;
  /** As of `decodingSchema`. */
  readonly schema: JsonSchema;
  /** All kinds of this server, lists included; others are "not registered". */
  readonly knownKinds: readonly KnownKind[];
}

export interface DecodedObject {
  readonly object: Readonly<Record<string, unknown>>;
  /** For `Warning` headers. */
  readonly warnings: readonly string[];
}

/** YAML is parsed slowly enough that 3 MiB of it would stop the server for everybody; no honest request comes near this. */
const MAXIMUM_YAML_BYTES = 256 * 1024;

/**
 * Reads a body as the generic API server's create handler does. Every refusal is a 400 Status with its text
 * (`k8s.io/apiserver pkg/endpoints/handlers transformDecodeError`), or a 413 for too much YAML.
 */
export function decodeObject(
  body: Buffer,
  encoding: Encoding,
  target: DecodingTarget,
  validation: FieldValidation,
): DecodedObject {
  const { value, duplicates } = encoding === "json" ? parseJson(body, target) : parseYaml(body, target);
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw unrecognized(
      target,
      body,
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${jsonTypeOf(value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
    );
  }
  const object = value as Readonly<Record<string, unknown>>;
  const actual = requireKind(object, target, body);
  const { unknownFields, typeError } = compareWithSchema(target.kind, target.schema, object);
  if (typeError !== undefined) {
    throw unhandled(actual, target, typeError);
  }
  if (validation === "Ignore") {
    return { object, warnings: [] };
  }
  const faults = [...unknownFields.map((field) => `unknown field ${goQuote(field)}`), ...duplicates()];
  if (faults.length > 0 && validation === "Strict") {
    throw unhandled(actual, target, `strict decoding error: ${faults.join(", ")}`);
  }
  return { object, warnings: faults };
}

interface Parsed {
  readonly value: unknown;
  /** Only asked for when somebody wants to know. */
  readonly duplicates: () => readonly string[];
}

function parseJson(body: Buffer, target: DecodingTarget): Parsed {
  const text = body.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unrecognized(
      target,
      body,
      `couldn't get version/kind; json parse error: ${goSyntaxError(text, error)}`,
    );
  }
  return {
    value,
    duplicates: () => {
      try {
        return duplicateFields(text, value).map((field) => `duplicate field ${goQuote(field)}`);
      } catch (cause) {
        // Only nesting too deep to write back gets here.
        throw unrecognized(target, body, "json: exceeded max depth", cause);
      }
    },
  };
}

/** The words of Go's `encoding/json` for what V8 found. */
function goSyntaxError(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : "";
  if (
    text.trim() === "" ||
    message.includes("end of JSON input") ||
    message.includes("Unterminated string")
  ) {
    return "unexpected end of JSON input";
  }
  const position = /at position (\d+)/.exec(message)?.[1];
  const character =
    position === undefined ? /Unexpected token '(.)'/su.exec(message)?.[1] : text[Number(position)];
  return `invalid character ${character === undefined ? "" : `'${character}' `}looking for beginning of value`;
}

function parseYaml(body: Buffer, target: DecodingTarget): Parsed {
  if (body.length > MAXIMUM_YAML_BYTES) {
    throw new StatusError(requestEntityTooLarge(MAXIMUM_YAML_BYTES));
  }
  try {
    const document = parseDocument(body.toString("utf8"), { schema: "core", logLevel: "silent" });
    const duplicates = document.errors.filter(({ code }) => code === "DUPLICATE_KEY");
    const [fault] = document.errors.filter(({ code }) => code !== "DUPLICATE_KEY");
    if (fault !== undefined) {
      throw fault;
    }
    return {
      value: document.toJS({ maxAliasCount: 100 }) as unknown,
      duplicates: () =>
        duplicates.map(({ linePos }) => `yaml: line ${linePos?.[0].line ?? 0}: key already set in map`),
    };
  } catch (cause) {
    throw unrecognized(
      target,
      body,
      "error converting YAML to JSON: yaml: the text is not valid YAML",
      cause,
    );
  }
}

/** The kind that the body says, filled up with the expected one, is the expected one. */
function requireKind(object: Readonly<Record<string, unknown>>, target: DecodingTarget, body: Buffer): Named {
  const textOf = (field: "apiVersion" | "kind"): string => {
    const value = object[field] ?? "";
    if (typeof value !== "string") {
      throw unrecognized(
        target,
        body,
        `couldn't get version/kind; json parse error: json: cannot unmarshal ${jsonTypeOf(value)} into Go struct field .${field} of type string`,
      );
    }
    return value;
  };
  const apiVersion = textOf("apiVersion");
  const kind = textOf("kind");
  const parts = apiVersion.split("/");
  if (parts.length > 2) {
    throw unrecognized(target, body, `unexpected GroupVersion string: ${apiVersion}`);
  }
  const [group, version] = parts.length === 2 ? [parts[0] ?? "", parts[1] ?? ""] : ["", parts[0] ?? ""];
  const actual: Named = {
    kind: kind === "" ? target.kind : kind,
    group: version === "" && group === "" ? target.group : group,
    version: version === "" ? API_VERSION : version,
  };
  if (actual.group === target.group && actual.version === API_VERSION && actual.kind === target.kind) {
    return actual;
  }
  const groupVersion = actual.group === "" ? actual.version : `${actual.group}/${actual.version}`;
  const known =
    actual.version === API_VERSION &&
    target.knownKinds.some((each) => each.group === actual.group && each.kind === actual.kind);
  if (!known) {
    throw unhandled(
      actual,
      target,
      `no kind ${goQuote(actual.kind)} is registered for version ${goQuote(groupVersion)} in scheme "lanyard"`,
    );
  }
  if (actual.group !== target.group) {
    throw new StatusError(
      badRequest(
        `the API version in the data (${groupVersion}) does not match the expected API version (${target.group}/${API_VERSION})`,
      ),
    );
  }
  throw new StatusError(badRequest(`not a ${target.kind}: a ${actual.kind}`));
}

interface Named {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

function unhandled(actual: Named, target: DecodingTarget, reason: string): StatusError {
  return new StatusError(
    badRequest(
      `${actual.kind} in version ${goQuote(actual.version)} cannot be handled as a ${target.kind}: ${reason}`,
    ),
  );
}

function unrecognized(target: DecodingTarget, body: Buffer, reason: string, cause?: unknown): StatusError {
  return new StatusError(
    badRequest(
      `the object provided is unrecognized (must be of type ${target.kind}): ${reason} (${summary(body)})`,
    ),
    { cause },
  );
}

/** The beginning of the caller's own body, for the caller only. */
function summary(body: Buffer): string {
  if (body.length === 0) {
    return "<empty>";
  }
  const start = body.subarray(0, 30);
  const shown = body[0] === 0x7b ? start.toString("utf8") : start.toString("hex");
  return body.length > 30 ? `${shown} ...` : shown;
}
