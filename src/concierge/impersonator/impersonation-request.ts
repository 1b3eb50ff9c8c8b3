import type { Identity } from "../../identity/identity.ts";
import {
  ANONYMOUS_USER,
  AUTHENTICATED_GROUP,
  UNAUTHENTICATED_GROUP,
} from "../request/authentication-chain.ts";
import type { RequestAttributes } from "../request/authorizer.ts";
import { decodeHeaderText } from "../request/raw-headers.ts";

/** One item that somebody asks to be (`core/v1 ObjectReference`, as far as it is used). */
export interface ImpersonationItem {
  readonly kind: "User" | "ServiceAccount" | "Group" | "UserExtra" | "UID";
  readonly namespace: string;
  readonly name: string;
  /** Of `UserExtra`. */
  readonly key: string;
}

const USER = "impersonate-user";
const GROUP = "impersonate-group";
const UID = "impersonate-uid";
const EXTRA = "impersonate-extra-";
const AUTHENTICATION_GROUP = "authentication.k8s.io";

/**
 * What the `Impersonate-*` headers ask for, in the order in which it is reviewed: user, groups in header order, extras, UID
 * (contract 7.4, `k8s.io/apiserver pkg/endpoints/filters/impersonation.go`). `unknown` is set when a header of that prefix
 * asks for nothing that is known.
 */
export function impersonationItems(rawHeaders: readonly string[]): {
  readonly items: readonly ImpersonationItem[];
  readonly unknown: boolean;
} {
  let user = "";
  let uid = "";
  const groups: ImpersonationItem[] = [];
  const extras: ImpersonationItem[] = [];
  let userSeen = false;
  let uidSeen = false;
  let unknown = false;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    if (!name.startsWith("impersonate")) {
      continue;
    }
    const value = decodeHeaderText(rawHeaders[index + 1] ?? "", name);
    if (name === USER) {
      // As Go's `Header.Get`: the first one counts, an empty one is none.
      user = userSeen ? user : value;
      userSeen = true;
    } else if (name === UID) {
      uid = uidSeen ? uid : value;
      uidSeen = true;
    } else if (name === GROUP) {
      groups.push({ kind: "Group", namespace: "", name: value, key: "" });
    } else if (name.startsWith(EXTRA)) {
      extras.push({
        kind: "UserExtra",
        namespace: "",
        name: value,
        key: unescapeKey(name.slice(EXTRA.length)),
      });
    } else {
      unknown = true;
    }
  }
  const items: ImpersonationItem[] = [
    ...(user === "" ? [] : [userItem(user)]),
    ...groups,
    ...byKey(extras),
    ...(uid === "" ? [] : [{ kind: "UID" as const, namespace: "", name: uid, key: "" }]),
  ];
  return { items, unknown: unknown || (items.length === 0 && (userSeen || uidSeen)) };
}

/** The values of one header together, headers in the order of their first value. */
function byKey(extras: readonly ImpersonationItem[]): ImpersonationItem[] {
  return [...Map.groupBy(extras, ({ key }) => key).values()].flat();
}

/** A key that is not valid percent-encoding is kept as it came. */
function unescapeKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

const SERVICE_ACCOUNT = "system:serviceaccount:";
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

/** `serviceaccount.SplitUsername`: what only looks like a service account is a user. */
function userItem(username: string): ImpersonationItem {
  const [namespace = "", name = "", ...more] = username.startsWith(SERVICE_ACCOUNT)
    ? username.slice(SERVICE_ACCOUNT.length).split(":")
    : [];
  return more.length === 0 && LABEL.test(namespace) && name.length <= 253 && SUBDOMAIN.test(name)
    ? { kind: "ServiceAccount", namespace, name, key: "" }
    : { kind: "User", namespace: "", name: username, key: "" };
}

/** Go's `%v` of the references, for the answer to those who name no user. */
export function printItems(items: readonly ImpersonationItem[]): string {
  const printed = items.map(({ kind, namespace, name, key }) => {
    const apiVersion = kind === "UserExtra" || kind === "UID" ? `${AUTHENTICATION_GROUP}/v1` : "";
    return `{${[kind, namespace, name, "", apiVersion, "", key].join(" ")}}`;
  });
  return `[${printed.join(" ")}]`;
}

/** The question whether somebody may be this. */
export function impersonationAttributes({
  kind,
  namespace,
  name,
  key,
}: ImpersonationItem): RequestAttributes {
  const ask = (
    resource: string,
    more: Partial<Extract<RequestAttributes, { kind: "resource" }>> = {},
  ): RequestAttributes => ({
    kind: "resource",
    verb: "impersonate",
    group: "",
    version: "",
    resource,
    subresource: "",
    namespace: "",
    name,
    ...more,
  });
  const authentication = { group: AUTHENTICATION_GROUP, version: "v1" };
  const questions: Readonly<Record<ImpersonationItem["kind"], () => RequestAttributes>> = {
    User: () => ask("users"),
    ServiceAccount: () => ask("serviceaccounts", { namespace }),
    Group: () => ask("groups"),
    UserExtra: () => ask("userextras", { ...authentication, subresource: key }),
    UID: () => ask("uids", authentication),
  };
  return questions[kind]();
}

/** Who results; nothing of the original user is inherited. The first item is a user or a service account. */
export function impersonatedIdentity(items: readonly ImpersonationItem[]): Identity {
  const [who] = items;
  const account = who?.kind === "ServiceAccount" ? who : undefined;
  const username =
    account === undefined ? (who?.name ?? "") : `${SERVICE_ACCOUNT}${account.namespace}:${account.name}`;
  const named = items.filter(({ kind }) => kind === "Group").map(({ name }) => name);
  const groups =
    named.length === 0 && account !== undefined
      ? ["system:serviceaccounts", `system:serviceaccounts:${account.namespace}`]
      : named;
  const extra = new Map<string, string[]>();
  for (const { kind, key, name } of items) {
    if (kind === "UserExtra") {
      extra.set(key, [...(extra.get(key) ?? []), name]);
    }
  }
  const uid = items.find(({ kind }) => kind === "UID")?.name;
  return {
    username,
    ...(uid === undefined ? {} : { uid }),
    groups: withDefaultGroup(username, groups),
    extra: Object.fromEntries(extra),
  };
}

function withDefaultGroup(username: string, groups: readonly string[]): readonly string[] {
  if (groups.includes(UNAUTHENTICATED_GROUP)) {
    return groups;
  }
  if (username === ANONYMOUS_USER) {
    return [...groups, UNAUTHENTICATED_GROUP];
  }
  return groups.includes(AUTHENTICATED_GROUP) ? groups : [...groups, AUTHENTICATED_GROUP];
}
