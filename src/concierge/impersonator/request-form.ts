import { badRequest, encodeStatus } from "../request/status.ts";
import { connectionOptions, tellsIdentity } from "./outgoing-headers.ts";
import type { FrontProxyHeaders } from "./outgoing-headers.ts";
import type { InboundRequest, Refusal } from "./proxied-request.ts";

const METHOD = /^[A-Z]{1,32}$/;
const DIGITS = /^\d{1,15}$/;
/** Visible ASCII: everything else has to be percent-encoded (RFC 3986). */
const TARGET = /^\/[\x21-\x7e]*$/;
const FORBIDDEN_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);
/** As other Kubernetes proxies have it; a person impersonates one user with a few groups. */
const MAXIMUM_IMPERSONATION_VALUES = 64;
/** As Go's servers have it (H6). */
const MAXIMUM_HEADER_BYTES = 1024 * 1024;
const UPGRADES = new Set(["websocket", "spdy/3.1"]);

/**
 * What is wrong with the form of a request, before anybody asks who sent it (engineering.md 4.3.2, 4.3.5): whatever two
 * programs could read in two ways, so that what is authorized is what is forwarded. The kube-apiserver sees nothing of it.
 */
export function refuseForm(
  request: InboundRequest,
  frontProxy: FrontProxyHeaders | undefined,
): Refusal | undefined {
  return refuseTarget(request) ?? refuseHeaders(request, frontProxy);
}

function refuse(message: string, status = 400): Refusal {
  const { code: _code, ...body } = badRequest(message);
  return {
    status,
    headers: ["Content-Type", "application/json"],
    body: encodeStatus({ ...body, ...(status === 400 ? {} : { reason: "" }), code: status }),
    closeConnection: true,
  };
}

function refuseTarget({ method, target }: InboundRequest): Refusal | undefined {
  if (!METHOD.test(method) || FORBIDDEN_METHODS.has(method)) {
    return refuse("the method is not allowed", 405);
  }
  if (!TARGET.test(target)) {
    return refuse("the request target must be a path of visible ASCII characters");
  }
  const question = target.indexOf("?");
  const rawPath = question === -1 ? target : target.slice(0, question);
  if (target.includes("#") || rawPath.includes("\\")) {
    return refuse("the request target must not hold a fragment or a backslash");
  }
  let path = rawPath;
  if (rawPath.includes("%")) {
    try {
      path = decodeURIComponent(rawPath);
    } catch {
      return refuse("the request path is not valid percent-encoded UTF-8");
    }
    if (/[\x00-\x1f\x7f]/.test(path)) {
      return refuse("the request path must not hold control characters");
    }
  }
  if (path.includes("/.") && path.split("/").some((segment) => segment === "." || segment === "..")) {
    return refuse("the request path must not hold dot segments");
  }
  return undefined;
}

function refuseHeaders(
  { protocol, rawHeaders, upgrade }: InboundRequest,
  frontProxy: FrontProxyHeaders | undefined,
): Refusal | undefined {
  let hosts = 0;
  let authorizations = 0;
  let lengths = 0;
  let encodings = 0;
  let impersonations = 0;
  let connections = 0;
  let upgrades = 0;
  let bytes = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    const value = rawHeaders[index + 1] ?? "";
    bytes += name.length + value.length + 4;
    switch (name) {
      case "host":
        hosts += 1;
        if (value === "" || /[^\x21-\x7e]|[/?#@\\]/.test(value)) {
          return refuse("the Host header is not a host");
        }
        break;
      case "authorization":
        authorizations += 1;
        break;
      case "content-length":
        lengths += 1;
        if (!DIGITS.test(value)) {
          return refuse("the Content-Length header is not a number");
        }
        if (upgrade && Number(value) > 0) {
          return refuse("an upgrade must have no body");
        }
        break;
      case "transfer-encoding":
        encodings += 1;
        if (value.toLowerCase() !== "chunked") {
          return refuse("the only transfer encoding is chunked");
        }
        break;
      case "connection":
        connections += 1;
        break;
      case "upgrade":
        upgrades += 1;
        if (upgrade && !UPGRADES.has(value.toLowerCase())) {
          return refuse("connections are upgraded to websocket and SPDY/3.1 only");
        }
        break;
      default:
        if (name.startsWith("impersonate-")) {
          impersonations += 1;
        } else if (name.includes("_") && tellsIdentity(name.replaceAll("_", "-"), frontProxy)) {
          // Some servers take both for one.
          return refuse("a header name must not hold an underscore");
        }
    }
  }
  if (bytes > MAXIMUM_HEADER_BYTES) {
    return refuse("the headers are too long", 431);
  }
  if (impersonations > MAXIMUM_IMPERSONATION_VALUES) {
    return refuse(`more than ${MAXIMUM_IMPERSONATION_VALUES} impersonation headers`, 431);
  }
  if (hosts !== 1) {
    return refuse("there must be one Host header");
  }
  if (authorizations > 1) {
    return refuse("more than one Authorization header");
  }
  if (lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0)) {
    return refuse("the length of the body must be given once");
  }
  if (upgrade && (upgrades !== 1 || encodings > 0)) {
    return refuse("an upgrade must name one protocol and have no body");
  }
  if (connections > 0) {
    if (protocol === "HTTP/2.0") {
      return refuse("HTTP/2 has no Connection header");
    }
    if (
      connectionOptions(rawHeaders).some((option) => tellsIdentity(option, frontProxy) || option === "host")
    ) {
      return refuse("the Connection header must not name headers that tell who somebody is");
    }
  }
  return undefined;
}
