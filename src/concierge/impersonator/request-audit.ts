import type { AuditLog } from "../../telemetry/audit.ts";
import { requestLabels } from "./request-labels.ts";
import type { Outcome } from "./proxied-request.ts";
import type { RequestContext } from "./request-context.ts";

const MAXIMUM_TEXT = 1024;
const MAXIMUM_GROUPS = 100;

/** Audit lines of proxied requests (docs/audit.md); nothing when they are switched off. */
export interface RequestAudit {
  /** A request that was not, or never became, a stream. */
  finished(context: RequestContext, outcome: Outcome, refusedBy: string | undefined, now: number): void;
  streamStarted(context: RequestContext, status: number): void;
  /** We ended it (S15, S16, S10). */
  streamCut(context: RequestContext, reason: string, now: number): void;
  streamEnded(context: RequestContext, outcome: Outcome, now: number): void;
}

/** `enabled`: `audit.proxiedRequests` of the configuration (clarification 28). */
export function createRequestAudit(options: {
  readonly audit: AuditLog;
  readonly enabled: boolean;
}): RequestAudit {
  const { audit, enabled } = options;
  const record = (
    message: string,
    context: RequestContext,
    fields: Readonly<Record<string, unknown>>,
  ): void => {
    if (!enabled) {
      return;
    }
    const { caller, identity, nested } = context;
    audit.record({
      message,
      auditID: context.auditID,
      ...(identity === undefined
        ? {}
        : {
            personalInfo: {
              username: auditText(identity.username),
              groups: auditGroups(identity.groups),
              ...(nested && caller !== undefined
                ? {
                    originalUsername: auditText(caller.identity.username),
                    originalGroups: auditGroups(caller.identity.groups),
                  }
                : {}),
            },
          }),
      fields: { ...requestFields(context), ...fields },
      // Lines of one turn share a write; each is out before the next turn begins.
      mayWait: true,
    });
  };
  const ending = (context: RequestContext, outcome: Outcome, now: number): Record<string, unknown> => ({
    ...(outcome.status === undefined ? {} : { code: outcome.status }),
    ...(outcome.end === "complete" ? {} : { end: outcome.end }),
    durationMilliseconds: Math.round(now - context.startedAt),
    bytesReceived: outcome.bytesReceived,
    bytesSent: outcome.bytesSent,
  });
  return {
    finished: (context, outcome, refusedBy, now) =>
      record("Proxied Request", context, {
        ...ending(context, outcome, now),
        ...(refusedBy === undefined ? {} : { refusedBy }),
      }),
    streamStarted: (context, status) => record("Proxied Stream Started", context, { code: status }),
    streamCut: (context, reason, now) =>
      record("Proxied Stream Cut", context, {
        reason,
        durationMilliseconds: Math.round(now - context.startedAt),
      }),
    streamEnded: (context, outcome, now) =>
      record("Proxied Stream Ended", context, ending(context, outcome, now)),
  };
}

function requestFields(context: RequestContext): Record<string, unknown> {
  const { request, attributes, caller, clientAuditID, userAgent } = context;
  const { method } = requestLabels(context);
  return {
    method,
    ...whatIsAskedFor(attributes),
    ...(caller === undefined ? {} : { authenticatedBy: caller.method }),
    ...(caller?.credentialIDs.length ? { credentialIDs: caller.credentialIDs.map(auditText) } : {}),
    sourceIPs: [request.peerAddress ?? "unknown"],
    ...(userAgent === undefined ? {} : { userAgent: auditText(userAgent) }),
    ...(clientAuditID === undefined ? {} : { clientAuditID }),
  };
}

function whatIsAskedFor(attributes: RequestContext["attributes"]): Record<string, unknown> {
  if (attributes.kind === "path") {
    return { verb: auditText(attributes.verb), path: auditText(attributes.path) };
  }
  const { verb, group, version, resource, subresource, namespace, name } = attributes;
  return {
    verb,
    ...(group === "" ? {} : { apiGroup: auditText(group) }),
    apiVersion: auditText(version),
    resource: auditText(resource),
    ...(subresource === "" ? {} : { subresource: auditText(subresource) }),
    ...(namespace === "" ? {} : { namespace: auditText(namespace) }),
    ...(name === "" ? {} : { name: auditText(name) }),
  };
}

/** Text that cannot pass for other lines or hide anything: control and format characters are written out, long text is cut. */
export function auditText(text: string): string {
  const short = text.length > MAXIMUM_TEXT ? `${text.slice(0, MAXIMUM_TEXT)}…` : text;
  // Most text is plain, and pays for this test alone.
  return /^[\x20-\x7e]*$/.test(short)
    ? short
    : short.replaceAll(
        /[\p{C}\p{Zl}\p{Zp}]/gu,
        (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
      );
}

function auditGroups(groups: readonly string[]): readonly string[] {
  const shown = groups.slice(0, MAXIMUM_GROUPS).map(auditText);
  return groups.length > MAXIMUM_GROUPS ? [...shown, `… and ${groups.length - MAXIMUM_GROUPS} more`] : shown;
}
