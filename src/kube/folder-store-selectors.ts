import type { KubernetesObject } from "./objects.ts";
import type { ViewScope } from "./resource-store.ts";

type Test = (object: KubernetesObject) => boolean;

/**
 * Whether an object is in a view's scope: its namespace, a label selector of equalities (`a=b`, `a==b`, `a!=b`, `a`, `!a`)
 * and a field selector on `metadata.name`, `metadata.namespace` or `type`.
 *
 * @throws TypeError for any other selector.
 */
export function compileScope(scope: ViewScope): Test {
  const tests = [
    ...(scope.namespace === undefined ? [] : [inNamespace(scope.namespace)]),
    ...requirements(scope.labelSelector).map(labelTest),
    ...requirements(scope.fieldSelector).map(fieldTest),
  ];
  return (object) => tests.every((test) => test(object));
}

function requirements(selector: string | undefined): string[] {
  return (selector ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function inNamespace(namespace: string): Test {
  return (object) => object.metadata.namespace === namespace;
}

function labelTest(requirement: string): Test {
  const match = /^(!?)([\w./-]+)\s*(?:(==?|!=)\s*([\w.-]*))?$/.exec(requirement);
  const [, not, key = "", operator, value] = match ?? [];
  if (match === null || (not === "!" && operator !== undefined)) {
    throw new TypeError(`not a label selector that is supported here: ${requirement}`);
  }
  if (operator === undefined) {
    return ({ metadata }) => Object.hasOwn(metadata.labels ?? {}, key) === (not === "");
  }
  const equal: Test = ({ metadata }) =>
    Object.hasOwn(metadata.labels ?? {}, key) && metadata.labels?.[key] === value;
  return operator === "!=" ? (object) => !equal(object) : equal;
}

function fieldTest(requirement: string): Test {
  const match = /^(metadata\.name|metadata\.namespace|type)\s*(==?|!=)\s*(\S*)$/.exec(requirement);
  if (match === null) {
    throw new TypeError(`not a field selector that is supported here: ${requirement}`);
  }
  const [, field = "", operator, value] = match;
  return (object) => (fieldOf(object, field) === value) === (operator !== "!=");
}

function fieldOf(object: KubernetesObject, field: string): unknown {
  switch (field) {
    case "metadata.name":
      return object.metadata.name;
    case "metadata.namespace":
      return object.metadata.namespace ?? "";
    default:
      return "type" in object ? object.type : "";
  }
}
