/** One `rbac.authorization.k8s.io/v1 PolicyRule` about one resource, with the place where it must hold. */
export interface AccessRule {
  /** A Role in it would do; undefined: a ClusterRole with a ClusterRoleBinding. */
  readonly namespace?: string | undefined;
  /** As the cluster knows it. */
  readonly apiGroup: string;
  /** Plural, with the subresource behind a slash. */
  readonly resource: string;
  /** Absent: any object. */
  readonly resourceNames?: readonly string[] | undefined;
  readonly verbs: readonly string[];
}

/** A rule as it can be put under `rules` of a Role or a ClusterRole: YAML in one line. */
export function policyRuleText({ apiGroup, resource, resourceNames, verbs }: AccessRule): string {
  const list = (texts: readonly string[]): string =>
    `[${texts.map((text) => (text === "" ? "''" : text === "*" ? "'*'" : text)).join(", ")}]`;
  const names = resourceNames === undefined ? "" : `, resourceNames: ${list(resourceNames)}`;
  return `{apiGroups: ${list([apiGroup])}, resources: ${list([resource])}${names}, verbs: ${list(verbs)}}`;
}

/** A rule and where it belongs, for people: `permission: {…} (Role in namespace x)`, or `(ClusterRole)`. */
export function permissionText(rule: AccessRule): string {
  const place = rule.namespace === undefined ? "ClusterRole" : `Role in namespace ${rule.namespace}`;
  return `permission: ${policyRuleText(rule)} (${place})`;
}
