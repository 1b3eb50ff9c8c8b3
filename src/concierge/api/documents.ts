import { createHash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import {
  apiGroupDiscoveryList,
  apiGroupList,
  apiGroups,
  apiResourceLists,
} from "../../resources/discovery.ts";
import type { DiscoveryVersion } from "../../resources/discovery.ts";
import { openApiV2, openApiV3, openApiV3Index } from "../../resources/openapi.ts";
import { goJson } from "../../go-json.ts";
import { notAcceptable, StatusError } from "../request/status.ts";
import { negotiate, OBJECT_MEDIA_TYPES } from "./negotiation.ts";
import type { Conversion } from "./negotiation.ts";
import { sendObject } from "./responses.ts";

/** Go's `version.Info`, the answer at `/version`. */
export interface VersionInfo {
  readonly major: string;
  readonly minor: string;
  readonly gitVersion: string;
  readonly gitCommit: string;
  readonly gitTreeState: string;
  /** RFC 3339. */
  readonly buildDate: string;
  /** What it was built with; here the version of Node. */
  readonly goVersion: string;
  readonly compiler: string;
  readonly platform: string;
}

export interface DocumentOptions {
  readonly apiGroupSuffix: string;
  /** Whether the additive fields are shown (clarification 1). */
  readonly extensions: boolean;
  readonly version: VersionInfo;
}

/** Discovery, OpenAPI and `/version`; answers the paths with their methods. */
export function installDocuments(
  server: FastifyInstance,
  options: DocumentOptions,
): ReadonlyMap<string, readonly string[]> {
  const { apiGroupSuffix, version } = options;
  const paths: string[] = [];
  const get = (
    path: string,
    handler: (request: FastifyRequest, reply: FastifyReply) => FastifyReply,
  ): void => {
    paths.push(path);
    server.get(path, async (request, reply) => handler(request, reply));
  };
  /** A path that the generic API server answers with and without a slash at its end. */
  const getObject = (path: string, object: unknown): void => {
    for (const url of [path, `${path}/`]) {
      get(url, (request, reply) => sendNegotiated(request, reply, object));
    }
  };

  installGroups(get, getObject, apiGroupSuffix);
  installOpenApi(get, { ...options, serverVersion: version.gitVersion });
  for (const url of ["/version", "/version/"]) {
    get(url, (_request, reply) => sendPretty(reply, version));
  }
  return new Map(paths.map((path) => [path, ["GET"]]));
}

type Get = (path: string, handler: (request: FastifyRequest, reply: FastifyReply) => FastifyReply) => void;

function installGroups(
  get: Get,
  getObject: (path: string, object: unknown) => void,
  apiGroupSuffix: string,
): void {
  const groups = apiGroupList(apiGroupSuffix);
  const aggregated = new Map<string, Document>(
    (["v2", "v2beta1"] as const).map((version: DiscoveryVersion) => [
      version,
      documentOf(apiGroupDiscoveryList(apiGroupSuffix, version)),
    ]),
  );
  const isAggregatedDiscovery = ({ kind, group, version }: Conversion): boolean =>
    kind === "APIGroupDiscoveryList" && group === "apidiscovery.k8s.io" && aggregated.has(version);
  for (const url of ["/apis", "/apis/"]) {
    get(url, (request, reply) => {
      reply.header("Vary", "Accept");
      const mediaType = negotiate(request.headers.accept, isAggregatedDiscovery);
      const document = aggregated.get(mediaType?.conversion?.version ?? "");
      if (document === undefined) {
        return sendNegotiated(request, reply, groups);
      }
      const contentType = `application/json;g=apidiscovery.k8s.io;v=${mediaType?.conversion?.version ?? ""};as=APIGroupDiscoveryList`;
      return sendDocument(request, reply, document, contentType);
    });
  }
  for (const group of apiGroups(apiGroupSuffix)) {
    getObject(`/apis/${group.name}`, group);
  }
  for (const list of apiResourceLists(apiGroupSuffix)) {
    getObject(`/apis/${list.groupVersion}`, list);
  }
}

function installOpenApi(
  get: Get,
  options: { readonly apiGroupSuffix: string; readonly extensions: boolean; readonly serverVersion: string },
): void {
  const v3 = openApiV3(options);
  const documents = new Map<string, Document>([
    ["/openapi/v2", documentOf(openApiV2(options))],
    ["/openapi/v3", documentOf(openApiV3Index(v3))],
    ...[...v3].map(([path, document]): [string, Document] => [`/openapi/v3/${path}`, documentOf(document)]),
  ]);
  for (const [path, document] of documents) {
    get(path, (request, reply) => {
      reply.header("Vary", "Accept");
      // A `?hash=` that is out of date is answered with what is true now, not with a redirect (H9).
      if (negotiate(request.headers.accept)?.encoding !== "json") {
        throw new StatusError(notAcceptable(["application/json"]));
      }
      return sendDocument(request, reply, document, "application/json");
    });
  }
}

/** A document that does not change while the server runs. */
interface Document {
  readonly body: Buffer;
  /** Quoted. */
  readonly etag: string;
}

function documentOf(content: unknown): Document {
  const body = Buffer.from(goJson(content));
  return { body, etag: `"${createHash("sha512").update(body).digest("hex").toUpperCase()}"` };
}

function sendDocument(
  request: FastifyRequest,
  reply: FastifyReply,
  document: Document,
  contentType: string,
): FastifyReply {
  reply.header("Etag", document.etag);
  const known = (request.headers["if-none-match"] ?? "")
    .split(",")
    .map((tag) => tag.trim().replace(/^W\//, ""));
  if (known.includes(document.etag) || known.includes("*")) {
    return reply.code(304).send();
  }
  return reply.code(200).header("Content-Type", contentType).send(document.body);
}

function sendNegotiated(request: FastifyRequest, reply: FastifyReply, object: unknown): FastifyReply {
  const mediaType = negotiate(request.headers.accept);
  if (mediaType === undefined) {
    throw new StatusError(notAcceptable(OBJECT_MEDIA_TYPES));
  }
  return sendObject(request, reply, 200, object, mediaType);
}

/** Indented whoever asks, as the API server writes `/` and `/version`. */
export function sendPretty(reply: FastifyReply, content: unknown): FastifyReply {
  return reply
    .code(200)
    .header("Content-Type", "application/json")
    .send(Buffer.from(JSON.stringify(content, undefined, 2)));
}
