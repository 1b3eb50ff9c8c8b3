import type { AccessRule } from "./access-rule.ts";
import { KubernetesApiError } from "./api-error.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import { emptyMetadata, selfSubjectAccessReviews, subjectAccessReviews } from "./resources.ts";

/** Somebody else whose rights are asked for; SubjectAccessReview, not SelfSubjectAccessReview, answers then. */
export interface ReviewedSubject {
  readonly user?: string;
  readonly groups?: readonly string[];
}

export interface MissingRulesOptions {
  readonly client: Pick<KubernetesClient, "review">;
  readonly rules: readonly AccessRule[];
  /** Absent: ourselves. */
  readonly subject?: ReviewedSubject | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Each question wants a connection while it runs, and a handshake costs more than the question. */
const CONCURRENT_QUESTIONS = 4;

interface Question {
  readonly rule: AccessRule;
  readonly verb: string;
  readonly name: string | undefined;
}

/**
 * The part of each rule that the cluster's authorizers, whichever they are, do not grant: verbs and names that are granted
 * are left out, rules that are granted wholly too. Undefined when reviews themselves are refused. Throws as the client does
 * when there is no answer.
 */
export async function missingRules(options: MissingRulesOptions): Promise<readonly AccessRule[] | undefined> {
  const questions = options.rules.flatMap((rule) =>
    (rule.resourceNames ?? [undefined]).flatMap((name) => rule.verbs.map((verb) => ({ rule, verb, name }))),
  );
  const denied = new Set<Question>();
  const waiting = [...questions];
  const ask = async (): Promise<void> => {
    for (let question = waiting.shift(); question !== undefined; question = waiting.shift()) {
      if (!(await isAllowed(question, options))) {
        denied.add(question);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: CONCURRENT_QUESTIONS }, ask));
  } catch (error) {
    if (error instanceof KubernetesApiError && [403, 404, 405].includes(error.httpStatus)) {
      return undefined;
    }
    throw error;
  }
  // In the order that they were asked for, not in the order of the answers.
  return options.rules.flatMap((rule) =>
    narrowed(
      rule,
      questions.filter((each) => each.rule === rule && denied.has(each)),
    ),
  );
}

/** What was denied of a rule, as rules: names that lack the same verbs stay together. */
function narrowed(rule: AccessRule, denied: readonly Question[]): readonly AccessRule[] {
  const namesByVerbs = new Map<string, string[]>();
  for (const name of new Set(denied.map((question) => question.name))) {
    const verbs = denied.filter((question) => question.name === name).map(({ verb }) => verb);
    if (name === undefined) {
      return [{ ...rule, verbs }];
    }
    const key = verbs.join();
    namesByVerbs.set(key, [...(namesByVerbs.get(key) ?? []), name]);
  }
  return [...namesByVerbs].map(([verbs, resourceNames]) => ({
    ...rule,
    resourceNames,
    verbs: verbs.split(","),
  }));
}

async function isAllowed({ rule, verb, name }: Question, options: MissingRulesOptions): Promise<boolean> {
  const { client, subject, signal } = options;
  const [resource = "", subresource] = rule.resource.split("/");
  const resourceType = subject === undefined ? selfSubjectAccessReviews : subjectAccessReviews;
  const answer = await client.review(
    resourceType,
    {
      apiVersion: "authorization.k8s.io/v1",
      kind: resourceType.kind,
      metadata: emptyMetadata,
      spec: {
        ...subject,
        resourceAttributes: {
          group: rule.apiGroup,
          verb,
          resource,
          ...(subresource === undefined ? {} : { subresource }),
          ...(name === undefined ? {} : { name }),
          ...(rule.namespace === undefined ? {} : { namespace: rule.namespace }),
        },
      },
    },
    signal,
  );
  return answer.status?.allowed === true;
}
