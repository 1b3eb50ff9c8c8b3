import { API_VERSION, definitionName } from "./kind.ts";
import type { AggregatedKind } from "./kind.ts";
import { reference } from "./openapi-definitions.ts";
import type { OpenApiVersion } from "./openapi-definitions.ts";
import { API_RESOURCE_LIST } from "./openapi-meta.ts";

const JSON_AND_YAML = ["application/json", "application/yaml"] as const;

interface QueryParameter {
  readonly name: string;
  readonly type: "string" | "integer" | "boolean";
  readonly description: string;
}

const PRETTY: QueryParameter = {
  name: "pretty",
  type: "string",
  description: "If true, the answer is indented.",
};

const LIST_PARAMETERS: readonly QueryParameter[] = [
  { name: "continue", type: "string", description: "The continue value of the page before." },
  { name: "fieldSelector", type: "string", description: "Only objects with these field values." },
  { name: "labelSelector", type: "string", description: "Only objects with these labels." },
  { name: "limit", type: "integer", description: "The most items to answer at once." },
  { name: "resourceVersion", type: "string", description: "The oldest state that may be shown." },
  {
    name: "resourceVersionMatch",
    type: "string",
    description: "How resourceVersion is meant: Exact or NotOlderThan.",
  },
  { name: "timeoutSeconds", type: "integer", description: "The time that the call may take." },
];

const CREATE_PARAMETERS: readonly QueryParameter[] = [
  { name: "dryRun", type: "string", description: "Not supported: a dry run is refused." },
  { name: "fieldManager", type: "string", description: "The name of the client that makes the change." },
  {
    name: "fieldValidation",
    type: "string",
    description: "What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict.",
  },
];

/** The paths of one group: its resource list, and for each kind the two things that can be done with it. */
export function openApiPaths(
  group: string,
  kinds: readonly AggregatedKind[],
  version: OpenApiVersion,
): Readonly<Record<string, unknown>> {
  const root = `/apis/${group}/${API_VERSION}`;
  const camelGroup = group.replaceAll(/[.-]+([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
  const common = {
    tags: [`${camelGroup}_${API_VERSION}`],
    ...(version === 2 ? { schemes: ["https"] } : {}),
  };
  const operation = (verb: string, name: string): string =>
    `${verb}${capitalized(camelGroup)}${capitalized(API_VERSION)}${name}`;
  const produces = version === 2 ? { produces: JSON_AND_YAML } : {};

  const collections = kinds.map(({ resource, listKind }) => {
    const gvk = {
      "x-kubernetes-group-version-kind": { group, version: API_VERSION, kind: resource.kind },
    };
    const definition = definitionName(group, resource.kind);
    return [
      `${root}/${resource.plural}`,
      {
        get: {
          description: `Lists objects of kind ${resource.kind}. As nothing is stored, the list is always empty.`,
          operationId: operation("list", resource.kind),
          ...common,
          ...produces,
          parameters: LIST_PARAMETERS.map((parameter) => queryParameter(parameter, version)),
          responses: responses([200], definitionName(group, listKind), version),
          "x-kubernetes-action": "list",
          ...gvk,
        },
        post: {
          description: `Creates a ${resource.kind}: the answer carries the result, and nothing is stored.`,
          operationId: operation("create", resource.kind),
          ...common,
          ...(version === 2 ? { consumes: JSON_AND_YAML } : {}),
          ...produces,
          ...createInput(definition, version),
          responses: responses([200, 201, 202], definition, version),
          "x-kubernetes-action": "post",
          ...gvk,
        },
        parameters: [queryParameter(PRETTY, version)],
      },
    ] as const;
  });

  return {
    [`${root}/`]: {
      get: {
        description: "Lists the resources of this group and version.",
        operationId: operation("get", "APIResources"),
        ...common,
        ...(version === 2 ? { consumes: JSON_AND_YAML } : {}),
        ...produces,
        responses: responses([200], API_RESOURCE_LIST, version),
      },
    },
    ...Object.fromEntries(collections),
  };
}

function createInput(definition: string, version: OpenApiVersion): object {
  const query = CREATE_PARAMETERS.map((parameter) => queryParameter(parameter, version));
  const $ref = reference(definition, version);
  return version === 2
    ? { parameters: [{ name: "body", in: "body", required: true, schema: { $ref } }, ...query] }
    : {
        parameters: query,
        requestBody: { required: true, content: content($ref) },
      };
}

function queryParameter({ name, type, description }: QueryParameter, version: OpenApiVersion): object {
  return {
    name,
    in: "query",
    description,
    ...(version === 2 ? { type, uniqueItems: true } : { schema: { type, uniqueItems: true } }),
  };
}

const STATUS_TEXTS = { 200: "OK", 201: "Created", 202: "Accepted" } as const;

function responses(
  codes: readonly (keyof typeof STATUS_TEXTS)[],
  definition: string,
  version: OpenApiVersion,
): object {
  const $ref = reference(definition, version);
  const answers = codes.map((code) => [
    code,
    {
      description: STATUS_TEXTS[code],
      ...(version === 2 ? { schema: { $ref } } : { content: content($ref) }),
    },
  ]);
  return { ...Object.fromEntries(answers), 401: { description: "Unauthorized" } };
}

function content($ref: string): object {
  return Object.fromEntries(JSON_AND_YAML.map((mediaType) => [mediaType, { schema: { $ref } }]));
}

function capitalized(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
