import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { AuthorizationDecision, Authorizer, RequestAttributes } from "./authorizer.ts";
import { subjectAccessReviews } from "./reviews.ts";
import type { SubjectAccessReview } from "./reviews.ts";
import { createVerdictCache } from "./verdict-cache.ts";

/** Anybody may ask for these, exactly spelled (contract 1.4). */
const ALWAYS_ALLOWED_PATHS = new Set(["/healthz", "/readyz", "/livez"]);
const PRIVILEGED_GROUP = "system:masters";

export interface SubjectAccessReviewOptions {
  readonly client: Pick<KubernetesClient, "review">;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "reviewCacheAsked">;
}

/** Asks the API server (contract 1.4); allow and deny count for 10 seconds, a review may take 10 seconds. */
export function createSubjectAccessReviewAuthorizer(options: SubjectAccessReviewOptions): Authorizer {
  const { client, clock, metrics } = options;
  const cache = createVerdictCache<AuthorizationDecision>({
    clock,
    lifetimeMilliseconds: 10_000,
    deadlineMilliseconds: 10_000,
    maximumEntries: 4096,
    maximumBytes: 10_000,
    onAsked: (hit) => metrics.reviewCacheAsked("access", hit),
  });
  return {
    authorize: (user, attributes) => {
      const decision = withoutAsking(user, attributes);
      if (decision !== undefined) {
        return Promise.resolve(decision);
      }
      const key = keyOf(user, attributes);
      return cache.get(key, Buffer.byteLength(key), async (signal) => {
        const answer = await client.review(subjectAccessReviews, reviewOf(specOf(user, attributes)), signal);
        return decisionOf(answer);
      });
    },
    known: (user, attributes) =>
      withoutAsking(user, attributes) ?? cache.known(keyOf(user, attributes))?.verdict,
  };
}

const whoKeys = new WeakMap<Identity, string>();

/** JSON of every field: no separator that a name could contain (S4). One JSON text after the other is still unambiguous. */
function keyOf(user: Identity, attributes: RequestAttributes): string {
  let who = whoKeys.get(user);
  if (who === undefined) {
    who = JSON.stringify([user.username, user.uid ?? "", user.groups, user.extra]);
    // The same object asks again when it belongs to a certificate (S12); identities are never changed.
    whoKeys.set(user, who);
  }
  if (attributes.kind === "path") {
    return `${JSON.stringify([attributes.verb, attributes.path])}${who}`;
  }
  const { namespace, verb, group, version, resource, subresource, name } = attributes;
  return `${JSON.stringify([namespace, verb, group, version, resource, subresource, name])}${who}`;
}

/** The decision that needs no review, if there is one. */
export function withoutAsking(
  user: Identity,
  attributes: RequestAttributes,
): AuthorizationDecision | undefined {
  if (user.groups.includes(PRIVILEGED_GROUP)) {
    return { allowed: true, reason: "" };
  }
  if (attributes.kind === "path" && ALWAYS_ALLOWED_PATHS.has(attributes.path)) {
    return { allowed: true, reason: "" };
  }
  return undefined;
}

function specOf(user: Identity, attributes: RequestAttributes): SubjectAccessReview["spec"] {
  const who = {
    user: user.username,
    groups: user.groups,
    extra: user.extra,
    ...(user.uid === undefined || user.uid === "" ? {} : { uid: user.uid }),
  };
  if (attributes.kind === "path") {
    return { nonResourceAttributes: { path: attributes.path, verb: attributes.verb }, ...who };
  }
  const { namespace, verb, group, version, resource, subresource, name } = attributes;
  return { resourceAttributes: { namespace, verb, group, version, resource, subresource, name }, ...who };
}

function reviewOf(spec: SubjectAccessReview["spec"]): SubjectAccessReview {
  return {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    metadata: { name: "" },
    spec,
  };
}

function decisionOf({ status }: SubjectAccessReview): AuthorizationDecision {
  if (status === undefined) {
    throw new LanyardError({
      code: "request.reviewMalformed",
      message: "a SubjectAccessReview came back without status",
    });
  }
  if (status.allowed === true && status.denied === true) {
    throw new LanyardError({
      code: "request.reviewMalformed",
      message: "a SubjectAccessReview came back both allowed and denied",
    });
  }
  return { allowed: status.allowed === true, reason: status.reason ?? "" };
}
