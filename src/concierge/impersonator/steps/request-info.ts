import type { Clock } from "../../../clock.ts";
import { messageOf } from "../../../errors.ts";
import type { RequestAttributes } from "../../request/authorizer.ts";
import { parseGoDuration } from "../../request/go-duration.ts";
import { parseRequestTarget, requestAttributes } from "../../request/request-info.ts";
import { badRequest, StatusError } from "../../request/status.ts";
import type { RequestContext, Step } from "../request-context.ts";

/** Everything that is not long-running ends after this (contract 7.7). */
const MAXIMUM_MILLISECONDS = 60_000;
const LONG_RUNNING_VERBS = new Set(["watch", "proxy"]);
const LONG_RUNNING_SUBRESOURCES = new Set(["attach", "exec", "proxy", "log", "portforward"]);
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;
const MAXIMUM_AUDIT_ID = 64;

/** What is asked for, and how long it may take (contract 7.7). */
export function createRequestInfoStep({ clock }: { readonly clock: Clock }): Step {
  return {
    name: "request-info",
    run: (context) => {
      readHeaders(context);
      const { method, target: text, upgrade } = context.request;
      const target = parseRequestTarget(text);
      context.attributes = requestAttributes(method, target);
      context.longRunning = isLongRunning(context.attributes);
      if (upgrade && !context.longRunning) {
        if (!isExtensionSession(context.attributes)) {
          throw new StatusError(badRequest("this request cannot be upgraded"), { closeConnection: true });
        }
        context.longRunning = true;
      }
      if (!context.longRunning) {
        context.deadlineMilliseconds =
          deadline(target.query.get("timeout") ?? "") - (clock.now() - context.startedAt);
      }
      return undefined;
    },
  };
}

/** One pass over the headers for everything that several steps want to know. */
function readHeaders(context: RequestContext): void {
  const { rawHeaders } = context.request;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    // Most names are done with at their first letter.
    const first = name.charCodeAt(0) | 0x20;
    if (first === 0x69 /* i */) {
      context.impersonates ||= name.slice(0, 11).toLowerCase() === "impersonate";
    } else if (first === 0x61 /* a */ && name.length === 8 && name.toLowerCase() === "audit-id") {
      const value = rawHeaders[index + 1] ?? "";
      if (context.clientAuditID === undefined && PRINTABLE_ASCII.test(value)) {
        context.clientAuditID = value.slice(0, MAXIMUM_AUDIT_ID);
      }
    } else if (first === 0x75 /* u */ && name.length === 10 && name.toLowerCase() === "user-agent") {
      context.userAgent ??= rawHeaders[index + 1] ?? "";
    }
  }
}

/** Contract 7.7; the profiling paths are the generic API server's own. */
export function isLongRunning(attributes: RequestAttributes): boolean {
  if (LONG_RUNNING_VERBS.has(attributes.verb)) {
    return true;
  }
  return attributes.kind === "resource"
    ? LONG_RUNNING_SUBRESOURCES.has(attributes.subresource)
    : attributes.path.startsWith("/debug/pprof/");
}

/**
 * Field test 11: of Kubernetes' own API only sessions and watches leave HTTP. What an extension's subresource does (a console
 * of a virtual machine, say) is its own business; the kube-apiserver lets it, without a time limit.
 */
function isExtensionSession(attributes: RequestAttributes): boolean {
  return (
    attributes.kind === "resource" &&
    attributes.subresource !== "" &&
    attributes.group.includes(".") &&
    !attributes.group.endsWith(".k8s.io")
  );
}

/** `?timeout=` may shorten the time limit; zero and less say nothing. */
function deadline(timeout: string): number {
  if (timeout === "") {
    return MAXIMUM_MILLISECONDS;
  }
  let milliseconds: number;
  try {
    milliseconds = parseGoDuration(timeout);
  } catch (error) {
    throw new StatusError(badRequest(`invalid timeout specified in the request URL - ${messageOf(error)}`), {
      cause: error,
    });
  }
  return milliseconds > 0 ? Math.min(milliseconds, MAXIMUM_MILLISECONDS) : MAXIMUM_MILLISECONDS;
}
