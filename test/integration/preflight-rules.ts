// What RBAC objects grant, judged without a cluster: the least that the tests of the start need.
import { parse } from "yaml";
import type { ConciergeConfig } from "../../src/concierge/config/config.ts";
import { parseConfig } from "../../src/concierge/config/load-config.ts";
import type { AccessRule } from "../../src/kube/access-rule.ts";
import type { Manifest } from "./chart-render.ts";

/** `rbac.authorization.k8s.io/v1 PolicyRule`, resources only. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** One rule of one role that is bound, and where it holds. */
export interface BoundRule {
  readonly role: string;
  readonly kind: "Role" | "ClusterRole";
  /** Undefined: everywhere. */
  readonly namespace: string | undefined;
  /** Its place in the role. */
  readonly index: number;
  readonly rule: PolicyRule;
}

/** What Kubernetes brings along and the chart binds to. */
const builtIn: Readonly<Record<string, readonly PolicyRule[]>> = {
  "system:auth-delegator": [
    { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
    { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
  ],
  "extension-apiserver-authentication-reader": [
    {
      apiGroups: [""],
      resources: ["configmaps"],
      resourceNames: ["extension-apiserver-authentication"],
      verbs: ["get", "list", "watch"],
    },
  ],
};

/** Every rule that is bound to the ServiceAccount or the group of this name. */
export function boundRules(objects: readonly Manifest[], subject: string): readonly BoundRule[] {
  return objects
    .filter(({ kind }) => kind.endsWith("Binding"))
    .flatMap(({ metadata, ...binding }) => {
      const { roleRef, subjects } = binding as unknown as {
        readonly roleRef: { readonly kind: "Role" | "ClusterRole"; readonly name: string };
        readonly subjects: readonly { readonly name: string }[];
      };
      if (!subjects.some(({ name }) => name === subject)) {
        return [];
      }
      const role = objects.find(
        (object) =>
          object.kind === roleRef.kind &&
          object.metadata.name === roleRef.name &&
          object.metadata.namespace === metadata.namespace,
      );
      const rules = (role?.["rules"] as readonly PolicyRule[] | undefined) ?? builtIn[roleRef.name] ?? [];
      return rules.map((rule, index) => ({
        role: roleRef.name,
        kind: roleRef.kind,
        namespace: metadata.namespace,
        index,
        rule,
      }));
    });
}

/** One line for each verb on each object of these rules. */
export function singleRights(rules: readonly AccessRule[]): readonly string[] {
  return rules
    .flatMap(({ namespace, apiGroup, resource, resourceNames, verbs }) =>
      (resourceNames ?? [""]).flatMap((name) =>
        verbs.map((verb) => [verb, apiGroup, resource, name, namespace ?? ""].join(" ")),
      ),
    )
    .toSorted();
}

/** Those of them that no bound rule grants. */
export function notGranted(rights: readonly string[], bound: readonly BoundRule[]): readonly string[] {
  return rights.filter((right) => {
    const [verb = "", apiGroup = "", resource = "", name = "", namespace = ""] = right.split(" ");
    return !bound.some(
      (each) =>
        (each.namespace === undefined || each.namespace === namespace) &&
        each.rule.verbs.includes(verb) &&
        each.rule.apiGroups.includes(apiGroup) &&
        each.rule.resources.includes(resource) &&
        (each.rule.resourceNames === undefined || each.rule.resourceNames.includes(name)),
    );
  });
}

/** The rule that a person would paste from the line. */
export function ruleOf(text: string): AccessRule {
  const { rule = "", namespace } =
    /^permission: (?<rule>\{.*\}) \((?:ClusterRole|Role in namespace (?<namespace>\S+))\)$/.exec(text)
      ?.groups ?? {};
  const { apiGroups, resources, resourceNames, verbs } = parse(rule) as {
    readonly apiGroups: readonly [string];
    readonly resources: readonly [string];
    readonly resourceNames?: readonly string[];
    readonly verbs: readonly string[];
  };
  return { namespace, apiGroup: apiGroups[0], resource: resources[0], resourceNames, verbs };
}

/** Roles, one for each place, and their bindings to a ServiceAccount of the Concierge's namespace. */
export function rolesOf(rules: readonly AccessRule[], name: string): object {
  const apiGroup = "rbac.authorization.k8s.io";
  const subjects = [{ kind: "ServiceAccount", name, namespace: "concierge" }];
  const items = [...new Set(rules.map(({ namespace }) => namespace))].flatMap((namespace) => {
    const kind = namespace === undefined ? "ClusterRole" : "Role";
    const head = { apiVersion: `${apiGroup}/v1`, metadata: { name, namespace } };
    return [
      {
        ...head,
        kind,
        rules: rules
          .filter((rule) => rule.namespace === namespace)
          .map(({ apiGroup: group, resource, resourceNames, verbs }) => ({
            apiGroups: [group],
            resources: [resource],
            resourceNames,
            verbs,
          })),
      },
      { ...head, kind: `${kind}Binding`, subjects, roleRef: { apiGroup, kind, name } },
    ];
  });
  return { apiVersion: "v1", kind: "List", items };
}

/** The configuration that the chart rendered. */
export function configurationOf(objects: readonly Manifest[]): ConciergeConfig {
  const map = objects.find(({ kind }) => kind === "ConfigMap");
  const data = map?.["data"] as Readonly<Record<string, string>> | undefined;
  return parseConfig(data?.["pinniped.yaml"] ?? "");
}
