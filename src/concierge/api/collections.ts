import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../../clock.ts";
import type { AggregatedKind } from "../../resources/kind.ts";
import { API_VERSION } from "../../resources/kind.ts";
import type { ConcurrencyLimit, FailureLimiter } from "../request/limits.ts";
import { invalid, notAcceptable, StatusError, unsupportedMediaType } from "../request/status.ts";
import type { FieldError } from "../request/status.ts";
import { goQuote } from "../request/go-quote.ts";
import { bodyEncoding, negotiate, OBJECT_MEDIA_TYPES } from "./negotiation.ts";
import type { Conversion, NegotiatedMediaType } from "./negotiation.ts";
import { decodeObject } from "./object-decoding.ts";
import type { FieldValidation, KnownKind } from "./object-decoding.ts";
import { readBody } from "./request-body.ts";
import { contextOf, withDeadline } from "./request-context.ts";
import type { RequestContext } from "./request-context.ts";
import { sendObject, sendStatus } from "./responses.ts";
import { decodingSchema } from "./schema-decoding.ts";
import { endOfTurn } from "./turn.ts";
import { warningHeaders } from "./warnings.ts";

/** One create, decoded and about to be judged. */
export interface CreateRequest {
  readonly object: Readonly<Record<string, unknown>>;
  /** `metadata.name` of the body. */
  readonly name: string;
  /** Values of `?dryRun`. */
  readonly dryRun: readonly string[];
  /** Node's name and value pairs. */
  readonly rawHeaders: readonly string[];
  readonly context: RequestContext;
  /** Ends when the caller leaves or time is up. */
  readonly signal: AbortSignal;
}

/** One aggregated kind: listing answers nothing, creating answers at once. */
export interface Collection {
  readonly kind: AggregatedKind;
  /** With the cluster's suffix. */
  readonly group: string;
  /** Answers the object to send with 201, or throws a `StatusError`. */
  create(request: CreateRequest): Promise<unknown>;
}

export interface CollectionOptions {
  readonly clock: Clock;
  readonly failures: FailureLimiter;
  readonly concurrency: ConcurrencyLimit;
  readonly knownKinds: readonly KnownKind[];
  /** For a create, milliseconds (contract 1.4: 34 s). */
  readonly createDeadlineMilliseconds: number;
}

const META_GROUP = "meta.k8s.io";

/** Routes of one collection; answers the paths with their methods. */
export function installCollection(
  server: FastifyInstance,
  collection: Collection,
  options: CollectionOptions,
): ReadonlyMap<string, readonly string[]> {
  const path = `/apis/${collection.group}/${API_VERSION}/${collection.kind.resource.plural}`;
  const paths = [path, `${path}/`];
  const create = createHandler(collection, options);
  for (const url of paths) {
    server.get(url, async (request, reply) => list(collection, request, reply));
    server.post(url, create);
  }
  return new Map(paths.map((each) => [each, ["GET", "POST"]]));
}

async function list(
  { kind, group }: Collection,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const mediaType = negotiate(request.headers.accept, isListConversion);
  if (mediaType === undefined) {
    throw new StatusError(notAcceptable(OBJECT_MEDIA_TYPES));
  }
  const { attributes } = contextOf(request);
  if (attributes.verb === "watch") {
    const resource = `${kind.resource.plural}.${group}`;
    return sendStatus(request, reply, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: `watch is not supported on resources of kind ${goQuote(resource)}`,
      reason: "MethodNotAllowed",
      details: { group, kind: kind.resource.plural },
      code: 405,
    });
  }
  return sendObject(request, reply, 200, emptyList(kind, group, mediaType.conversion), mediaType);
}

function isListConversion({ kind, group, version }: Conversion): boolean {
  return (
    group === META_GROUP &&
    (version === "v1" || version === "v1beta1") &&
    (kind === "Table" || kind === "PartialObjectMetadataList")
  );
}

function emptyList(kind: AggregatedKind, group: string, conversion: Conversion | undefined): object {
  const metadata = { resourceVersion: "0" };
  if (conversion === undefined) {
    return { kind: kind.listKind, apiVersion: `${group}/${API_VERSION}`, metadata, items: [] };
  }
  const apiVersion = `${META_GROUP}/${conversion.version}`;
  if (conversion.kind === "Table") {
    return { kind: "Table", apiVersion, metadata, columnDefinitions: TABLE_COLUMNS, rows: [] };
  }
  return { kind: "PartialObjectMetadataList", apiVersion, metadata, items: [] };
}

const TABLE_COLUMNS = [
  { name: "Name", type: "string", format: "name", description: "The name of the object.", priority: 0 },
  { name: "Created At", type: "date", format: "", description: "When the object was created.", priority: 0 },
];

interface Created {
  readonly created: unknown;
  readonly mediaType: NegotiatedMediaType;
  readonly warnings: readonly string[];
}

function createHandler(collection: Collection, options: CollectionOptions) {
  const { kind, group } = collection;
  const { clock, failures, concurrency, knownKinds, createDeadlineMilliseconds } = options;
  const target = { group, kind: kind.resource.kind, schema: decodingSchema(kind.schema), knownKinds };

  const answer = async (request: FastifyRequest, signal: AbortSignal): Promise<Created> => {
    const context = contextOf(request);
    const mediaType = negotiate(request.headers.accept);
    if (mediaType === undefined) {
      throw new StatusError(notAcceptable(OBJECT_MEDIA_TYPES));
    }
    const encoding = bodyEncoding(request.headers["content-type"]);
    if (encoding === undefined) {
      throw new StatusError(unsupportedMediaType(OBJECT_MEDIA_TYPES));
    }
    const body = await readBody(request.raw);
    // What comes now is most of the work: all that has come in together is judged together.
    await endOfTurn();
    const { dryRun, fieldValidation } = createOptions(context.target.query);
    const { object, warnings } = decodeObject(body, encoding, target, fieldValidation);
    const metadata = object["metadata"] as { readonly name?: string | null } | null | undefined;
    const created = await collection.create({
      object,
      name: metadata?.name ?? "",
      dryRun,
      rawHeaders: request.raw.rawHeaders,
      context,
      signal,
    });
    return { created, mediaType, warnings };
  };

  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { source } = contextOf(request);
    // Shedding comes before a byte of the body is read (A5, L4).
    failures.requireSource(source);
    return await concurrency.run("", async () => {
      try {
        const { created, mediaType, warnings } = await withDeadline(
          request,
          clock,
          createDeadlineMilliseconds,
          (signal) => answer(request, signal),
        );
        if (warnings.length > 0) {
          reply.header("Warning", warningHeaders(warnings));
        }
        return sendObject(request, reply, 201, created, mediaType);
      } catch (error) {
        if (error instanceof StatusError && error.httpStatus < 500 && error.httpStatus !== 429) {
          failures.recordFailure(source);
        }
        throw error;
      }
    });
  };
}

const FIELD_VALIDATIONS: readonly string[] = ["Ignore", "Strict", "Warn"];

/** `metav1.CreateOptions`; only `dryRun=All` is a dry run, and only three ways of field validation exist. */
function createOptions(query: URLSearchParams): {
  readonly dryRun: readonly string[];
  readonly fieldValidation: FieldValidation;
} {
  const dryRun = query.getAll("dryRun");
  const asked = query.get("fieldValidation") ?? "";
  const errors: FieldError[] = [];
  const [unsupported] = dryRun.filter((value) => value !== "All");
  if (unsupported !== undefined) {
    errors.push(notSupported("dryRun", `[]string{${dryRun.map(goQuote).join(", ")}}`, ["All"]));
  }
  if (asked !== "" && !FIELD_VALIDATIONS.includes(asked)) {
    errors.push(notSupported("fieldValidation", goQuote(asked), ["", ...FIELD_VALIDATIONS]));
  }
  if (errors.length > 0) {
    throw new StatusError(invalid({ group: META_GROUP, kind: "CreateOptions" }, "", errors));
  }
  return { dryRun, fieldValidation: asked === "" ? "Warn" : (asked as FieldValidation) };
}

function notSupported(field: string, value: string, supported: readonly string[]): FieldError {
  return {
    type: "FieldValueNotSupported",
    body: `Unsupported value: ${value}: supported values: ${supported.map(goQuote).join(", ")}`,
    field,
  };
}
