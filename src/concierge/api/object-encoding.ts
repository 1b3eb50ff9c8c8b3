import { stringify } from "yaml";
import { goJson, prettyGoJson } from "../../go-json.ts";
import type { Encoding } from "./negotiation.ts";

export interface EncodedObject {
  readonly contentType: string;
  readonly body: string;
}

/**
 * An object as the generic API server writes it: one line of JSON and a newline, indented JSON without one, or YAML with
 * sorted keys.
 */
export function encodeObject(object: unknown, encoding: Encoding, pretty: boolean): EncodedObject {
  if (encoding === "yaml") {
    return {
      contentType: "application/yaml",
      body: stringify(object, { sortMapEntries: true, lineWidth: 0 }),
    };
  }
  return {
    contentType: "application/json",
    body: pretty ? prettyGoJson(object) : `${goJson(object)}\n`,
  };
}
