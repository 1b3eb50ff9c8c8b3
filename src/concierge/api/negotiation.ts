/** How an object goes over the wire. */
export type Encoding = "json" | "yaml";

/** The media types of objects, in the order error messages name them; there is no protobuf for these kinds (contract 1.4). */
export const OBJECT_MEDIA_TYPES: readonly string[] = ["application/json", "application/yaml"];

/** Another form asked for in Accept, such as a Table (`as`, `g`, `v`). */
export interface Conversion {
  readonly kind: string;
  readonly group: string;
  readonly version: string;
}

export interface NegotiatedMediaType {
  readonly encoding: Encoding;
  readonly conversion: Conversion | undefined;
  /** `pretty=1` among the media type's parameters. */
  readonly pretty: boolean;
}

interface AcceptClause {
  readonly type: string;
  readonly subtype: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

const SERVED: readonly { readonly subtype: string; readonly encoding: Encoding }[] = [
  { subtype: "json", encoding: "json" },
  { subtype: "yaml", encoding: "yaml" },
];

/** An Accept header longer than this is cut: parsing it must stay cheap. */
const MAXIMUM_ACCEPT_LENGTH = 8192;

/**
 * The first acceptable form (`k8s.io/apiserver pkg/endpoints/handlers/negotiation`): by quality, then by how specific;
 * JSON without an Accept header; undefined when nothing fits, which is a 406. `allows` says which conversions this
 * endpoint has; a clause that asks for another one is passed over.
 */
export function negotiate(
  accept: string | undefined,
  allows: (conversion: Conversion) => boolean = () => false,
): NegotiatedMediaType | undefined {
  if (accept === undefined || accept === "") {
    return { encoding: "json", conversion: undefined, pretty: false };
  }
  for (const { type, subtype, parameters } of parseAccept(accept)) {
    const served = SERVED.find(
      (each) =>
        (type === "application" && (subtype === each.subtype || subtype === "*")) ||
        (type === "*" && subtype === "*"),
    );
    if (served === undefined) {
      continue;
    }
    const conversion = conversionOf(parameters);
    if (conversion !== undefined && !allows(conversion)) {
      continue;
    }
    return { encoding: served.encoding, conversion, pretty: parameters.get("pretty") === "1" };
  }
  return undefined;
}

function conversionOf(parameters: ReadonlyMap<string, string>): Conversion | undefined {
  const [kind, group, version] = [parameters.get("as"), parameters.get("g"), parameters.get("v")];
  return kind === undefined && group === undefined && version === undefined
    ? undefined
    : { kind: kind ?? "", group: group ?? "", version: version ?? "" };
}

function parseAccept(accept: string): AcceptClause[] {
  const clauses: AcceptClause[] = [];
  for (const part of accept.slice(0, MAXIMUM_ACCEPT_LENGTH).split(",")) {
    const [range = "", ...pairs] = part.split(";").map((piece) => piece.trim());
    const [type = "", subtype = ""] = range.toLowerCase().split("/", 2);
    if (type === "" || (subtype === "" && type !== "*")) {
      continue;
    }
    const parameters = new Map(
      pairs.map((pair) => {
        const equals = pair.indexOf("=");
        return equals === -1
          ? [pair.toLowerCase(), ""]
          : [pair.slice(0, equals).trim().toLowerCase(), unquote(pair.slice(equals + 1).trim())];
      }),
    );
    const quality = Number.parseFloat(parameters.get("q") ?? "1");
    parameters.delete("q");
    clauses.push({
      type,
      subtype: subtype === "" ? "*" : subtype,
      parameters,
      quality: Number.isNaN(quality) ? 1 : quality,
    });
  }
  return clauses.toSorted((a, b) => b.quality - a.quality || wildcards(a) - wildcards(b));
}

function wildcards({ type, subtype }: AcceptClause): number {
  return (type === "*" ? 2 : 0) + (subtype === "*" ? 1 : 0);
}

function unquote(text: string): string {
  return text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}

/** What a request body is written in; JSON when it does not say; undefined for anything else, which is a 415. */
export function bodyEncoding(contentType: string | undefined): Encoding | undefined {
  const mediaType = (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  switch (mediaType) {
    case "":
    case "application/json":
      return "json";
    case "application/yaml":
      return "yaml";
    default:
      return undefined;
  }
}

/** `strconv.ParseBool` and, for browsers and command-line tools, readable output without asking, as the API server does. */
export function wantsPretty(query: URLSearchParams, userAgent: string | undefined): boolean {
  const asked = query.get("pretty") ?? "";
  if (asked !== "") {
    return ["1", "t", "T", "true", "TRUE", "True"].includes(asked);
  }
  return ["curl", "Wget", "Mozilla/5.0"].some((client) => userAgent?.startsWith(client) === true);
}
