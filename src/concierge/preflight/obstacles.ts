import { permissionText } from "../../kube/access-rule.ts";
import type { AccessRule } from "../../kube/access-rule.ts";
import { defaultApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import type { ConciergeConfig } from "../config/config.ts";

/** One thing without which this process cannot start, and which somebody can put right while it waits. */
export interface Obstacle {
  /** As `/readyz` names it, behind `preflight/`; without blanks. */
  readonly name: string;
  /** What is missing, for people. */
  readonly text: string;
  /** What to do about it; the same words for all of a kind. */
  readonly remedy: string;
}

/** A permission: the rule as it can be pasted into a Role. */
export function missingPermission(rule: AccessRule): Obstacle {
  const group = rule.apiGroup === "" ? "" : `.${rule.apiGroup}`;
  const names = rule.resourceNames === undefined ? "" : `[${rule.resourceNames.join()}]`;
  const place = rule.namespace ?? "cluster";
  return {
    name: `permission/${place}/${rule.resource}${group}${names}:${rule.verbs.join()}`,
    text: permissionText(rule),
    remedy:
      "put the chart's roles back (helm upgrade), or add each rule to a role that is bound to this Pod's ServiceAccount",
  };
}

/** A CustomResourceDefinition, with the command that brings all of them (clarification 40). */
export function missingCustomResourceDefinition(
  name: string,
  config: Pick<ConciergeConfig, "apiGroupSuffix" | "extensions">,
): Obstacle {
  const values = [
    ...(config.apiGroupSuffix === defaultApiGroupSuffix ? [] : [`apiGroupSuffix=${config.apiGroupSuffix}`]),
    ...(config.extensions.enabled ? [] : ["extensions.enabled=false"]),
  ];
  const set = values.length === 0 ? "" : ` --set ${values.join()}`;
  return {
    name: `custom-resource-definition/${name}`,
    text: `CustomResourceDefinition: ${name}`,
    remedy: `helm template lanyard-concierge-crds charts/lanyard-concierge-crds${set} | kubectl apply --server-side --force-conflicts --filename=-`,
  };
}
