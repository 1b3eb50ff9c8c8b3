import { badRequest, StatusError } from "./status.ts";
import type { RequestAttributes } from "./authorizer.ts";

const NAMESPACE_SUBRESOURCES = new Set(["status", "finalize"]);
const SPECIAL_VERBS = new Set(["proxy", "watch"]);
const VERBS: Readonly<Record<string, string>> = {
  POST: "create",
  GET: "get",
  HEAD: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** A request target, split and decoded. */
export interface RequestTarget {
  /** Percent-decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Nobody writes into a query. */
const NO_QUERY = new URLSearchParams();

/**
 * Splits an origin-form request target. Refused with a 400 Status: absolute and asterisk form, percent-encoding that is
 * not UTF-8, control characters (H3).
 */
export function parseRequestTarget(target: string): RequestTarget {
  if (!target.startsWith("/")) {
    throw new StatusError(badRequest("the request target must be a path"));
  }
  const question = target.indexOf("?");
  const rawPath = question === -1 ? target : target.slice(0, question);
  let path: string;
  try {
    path = rawPath.includes("%") ? decodeURIComponent(rawPath) : rawPath;
  } catch (cause) {
    throw new StatusError(badRequest("the request path is not valid percent-encoded UTF-8"), { cause });
  }
  if (/[\x00-\x1f\x7f]/.test(path)) {
    throw new StatusError(badRequest("the request path contains control characters"));
  }
  return { path, query: question === -1 ? NO_QUERY : new URLSearchParams(target.slice(question + 1)) };
}

/**
 * What a request wants, in the terms of a SubjectAccessReview: Kubernetes' `RequestInfo` with the API prefixes `api` and
 * `apis` (`k8s.io/apiserver pkg/endpoints/request`). `method` in upper case.
 */
export function requestAttributes(method: string, { path, query }: RequestTarget): RequestAttributes {
  const parts = splitPath(path);
  const prefix = parts[0];
  const minimum = prefix === "api" ? 3 : 4;
  if ((prefix !== "api" && prefix !== "apis") || parts.length < minimum) {
    return { kind: "path", verb: method.toLowerCase(), path };
  }
  const [group, version, rest] =
    prefix === "api"
      ? ["", parts[1] ?? "", parts.slice(2)]
      : [parts[1] ?? "", parts[2] ?? "", parts.slice(3)];
  return resourceAttributes(group, version, rest, method, query);
}

function resourceAttributes(
  group: string,
  version: string,
  segments: readonly string[],
  method: string,
  query: URLSearchParams,
): RequestAttributes {
  let rest = segments;
  let verb = VERBS[method] ?? "";
  const special = rest[0];
  if (special !== undefined && SPECIAL_VERBS.has(special)) {
    if (rest.length < 2) {
      throw new StatusError(badRequest("unable to determine kind and namespace from the request path"));
    }
    verb = special;
    rest = rest.slice(1);
  }
  let namespace = "";
  if (rest[0] === "namespaces" && rest.length > 1) {
    namespace = rest[1] ?? "";
    // `namespaces/x/status` is a subresource of the namespace itself, `namespaces/x/pods` is a resource in it.
    if (rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2] ?? "")) {
      rest = rest.slice(2);
    }
  }
  const resource = rest[0] ?? "";
  let name = rest[1] ?? "";
  const subresource = SPECIAL_VERBS.has(verb) ? "" : (rest[2] ?? "");
  if (name === "" && verb === "get") {
    verb = asksToWatch(query) ? "watch" : "list";
    name = nameFromFieldSelector(query);
  } else if (name === "" && verb === "delete") {
    verb = "deletecollection";
  }
  return { kind: "resource", verb, group, version, resource, subresource, namespace, name };
}

function asksToWatch(query: URLSearchParams): boolean {
  const watch = query.get("watch");
  return watch !== null && !["false", "0"].includes(watch.toLowerCase());
}

const NAME_TERM = /^metadata\.name={1,2}([^=,!\\]+)$/;

/** A list narrowed to one name is authorized as a request for that name. */
function nameFromFieldSelector(query: URLSearchParams): string {
  for (const term of (query.get("fieldSelector") ?? "").split(",")) {
    const name = NAME_TERM.exec(term)?.[1];
    if (name !== undefined && name !== "." && name !== ".." && !/[/%]/.test(name)) {
      return name;
    }
  }
  return "";
}

function splitPath(path: string): string[] {
  // No regular expression: `/+$` would be quadratic on a path of slashes.
  let start = 0;
  let end = path.length;
  while (start < end && path[start] === "/") {
    start++;
  }
  while (end > start && path[end - 1] === "/") {
    end--;
  }
  return start === end ? [] : path.slice(start, end).split("/");
}
