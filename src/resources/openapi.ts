import { createHash } from "node:crypto";
import { aggregatedGroups } from "./discovery.ts";
import { defaultApiGroupSuffix } from "../kube/api-group-suffix.ts";
import { API_VERSION } from "./kind.ts";
import { openApiDefinitions } from "./openapi-definitions.ts";
import { API_RESOURCE_LIST } from "./openapi-meta.ts";
import { openApiPaths } from "./openapi-paths.ts";

/** What the documents are made for. */
export interface OpenApiOptions {
  /** Tail of the API groups; `pinniped.dev` unless given. */
  readonly apiGroupSuffix?: string;
  /** False leaves the additive fields out; true unless given. */
  readonly extensions?: boolean;
  /** The version of the server, for people. */
  readonly serverVersion?: string;
}

/** A JSON document. */
export type OpenApiDocument = Readonly<Record<string, unknown>>;

/** The answer at `/openapi/v2` (application/json): both groups in one Swagger 2.0 document. */
export function openApiV2(options: OpenApiOptions = {}): OpenApiDocument {
  const { apiGroupSuffix = defaultApiGroupSuffix, extensions = true } = options;
  const parts = aggregatedGroups(apiGroupSuffix).map(({ group, kinds }) => ({
    paths: openApiPaths(group, kinds, 2),
    definitions: openApiDefinitions(group, kinds, 2, { extensions }, [API_RESOURCE_LIST]),
  }));
  return {
    swagger: "2.0",
    info: info(options),
    paths: Object.assign({}, ...parts.map(({ paths }) => paths)),
    definitions: Object.assign({}, ...parts.map(({ definitions }) => definitions)),
  };
}

/**
 * The answers below `/openapi/v3/` (application/json), by what follows in the path: `apis/<group>/v1alpha1`. One document per
 * group and version.
 */
export function openApiV3(options: OpenApiOptions = {}): ReadonlyMap<string, OpenApiDocument> {
  const { apiGroupSuffix = defaultApiGroupSuffix, extensions = true } = options;
  return new Map(
    aggregatedGroups(apiGroupSuffix).map(({ group, kinds }) => [
      `apis/${group}/${API_VERSION}`,
      {
        openapi: "3.0.0",
        info: info(options),
        paths: openApiPaths(group, kinds, 3),
        components: {
          schemas: openApiDefinitions(group, kinds, 3, { extensions }, [API_RESOURCE_LIST]),
        },
      },
    ]),
  );
}

/** The answer at `/openapi/v3`: where each document is, with a hash of its content so that clients may keep it for good. */
export function openApiV3Index(documents: ReadonlyMap<string, OpenApiDocument>): OpenApiDocument {
  return {
    paths: Object.fromEntries(
      [...documents].map(([path, document]) => [
        path,
        { serverRelativeURL: `/openapi/v3/${path}?hash=${openApiHash(document)}` },
      ]),
    ),
  };
}

/** The hash of a document as the index shows it: upper-case hex, fit for an `ETag`. */
export function openApiHash(document: OpenApiDocument): string {
  return createHash("sha256").update(JSON.stringify(document)).digest("hex").toUpperCase();
}

function info({ serverVersion = "unversioned" }: OpenApiOptions): object {
  return { title: "Lanyard Concierge", version: serverVersion };
}
