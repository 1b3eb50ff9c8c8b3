import type { Identity } from "./identity.ts";

export interface ReservedIdentityOptions {
  /** The owner's exceptions for one authenticator (`spec.reservedIdentities`): exact names, never patterns. */
  readonly allowedUsernames?: readonly string[] | undefined;
  readonly allowedGroups?: readonly string[] | undefined;
  /** Further reserved prefixes from `concierge.yaml`. */
  readonly additionalPrefixes?: readonly string[] | undefined;
  /** Every name in `requestheader-allowed-names`: who holds one may speak for anybody. */
  readonly neverAllowedUsernames?: readonly string[] | undefined;
}

/** Which rule refuses the identity (never the name itself), or the identity to go on with. */
export type ReservedIdentityResult =
  | { readonly rule: string; readonly identity?: undefined }
  | { readonly identity: Identity; readonly rule?: undefined };

const reservedPrefixes: readonly string[] = ["system:", "kubeadm:", "eks:"];
const reservedUsernames: readonly string[] = ["kubernetes-admin", "kubernetes-super-admin"];
const neverAllowedNames: readonly string[] = [
  "system:masters",
  "system:nodes",
  "system:anonymous",
  "system:unauthenticated",
];
const neverAllowedPrefixes: readonly string[] = ["system:node:", "system:kube-"];

interface NameRules {
  readonly what: "username" | "group";
  readonly allowed: readonly string[];
  readonly exact: NameLists;
  /** The same lists as a reader would see them. */
  readonly seen: NameLists;
  /** Whether both are the same. */
  readonly plain: boolean;
}

interface NameLists {
  /** As configured and in the form to compare with. */
  readonly prefixes: readonly (readonly [configured: string, form: string])[];
  readonly reserved: readonly string[];
  readonly neverAllowed: readonly string[];
  readonly neverAllowedPrefixes: readonly string[];
}

/**
 * S1: the last step before signing. Reserved names are refused unless the cluster's owner allows them one by one, some always;
 * the group `system:authenticated` is dropped. Names that only look like reserved ones are refused too (clarification 25).
 * The audit line's `err` is `reserved identity: <rule>`.
 */
export function reservedIdentityRule(
  identity: Identity,
  options: ReservedIdentityOptions,
): ReservedIdentityResult {
  const { usernameRules, groupRules } = rulesOf(options);
  const usernameRule = refusedBy(identity.username, usernameRules);
  if (usernameRule !== undefined) {
    return { rule: usernameRule };
  }
  // The API server adds this group to everybody by itself.
  const groups = identity.groups.filter((group) => group !== "system:authenticated");
  for (const group of groups) {
    const rule = refusedBy(group, groupRules);
    if (rule !== undefined) {
      return { rule };
    }
  }
  return { identity: groups.length === identity.groups.length ? identity : { ...identity, groups } };
}

interface Rules {
  readonly options: ReservedIdentityOptions;
  readonly usernameRules: NameRules;
  readonly groupRules: NameRules;
}

/** Of the last logins; each authenticator has its own. Folding the lists for look-alikes costs more than judging with them. */
const lastRules: Rules[] = [];
const MAXIMUM_RULES = 16;

function rulesOf(options: ReservedIdentityOptions): Rules {
  const known = lastRules.find(
    ({ options: each }) =>
      sameNames(each.allowedUsernames, options.allowedUsernames) &&
      sameNames(each.allowedGroups, options.allowedGroups) &&
      sameNames(each.additionalPrefixes, options.additionalPrefixes) &&
      sameNames(each.neverAllowedUsernames, options.neverAllowedUsernames),
  );
  if (known !== undefined) {
    return known;
  }
  const prefixes = [...reservedPrefixes, ...(options.additionalPrefixes ?? [])];
  const rules: Rules = {
    options: structuredClone(options),
    usernameRules: nameRules("username", {
      allowed: options.allowedUsernames ?? [],
      prefixes,
      reserved: reservedUsernames,
      neverAllowed: [...neverAllowedNames, ...(options.neverAllowedUsernames ?? [])],
    }),
    groupRules: nameRules("group", {
      allowed: options.allowedGroups ?? [],
      prefixes,
      reserved: [],
      neverAllowed: neverAllowedNames,
    }),
  };
  lastRules.unshift(rules);
  lastRules.length = Math.min(lastRules.length, MAXIMUM_RULES);
  return rules;
}

function sameNames(a: readonly string[] = [], b: readonly string[] = []): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}

function nameRules(
  what: NameRules["what"],
  names: {
    readonly allowed: readonly string[];
    readonly prefixes: readonly string[];
    readonly reserved: readonly string[];
    readonly neverAllowed: readonly string[];
  },
): NameRules {
  const inForm = (form: (text: string) => string): NameLists => ({
    prefixes: names.prefixes
      .map((prefix) => [prefix, form(prefix)] as const)
      .filter(([, prefix]) => prefix !== ""),
    reserved: names.reserved.map(form),
    neverAllowed: names.neverAllowed.map(form),
    neverAllowedPrefixes: neverAllowedPrefixes.map(form),
  });
  return {
    what,
    allowed: names.allowed,
    exact: inForm((text) => text),
    seen: inForm(skeleton),
    plain: names.prefixes.every(isPlain) && names.neverAllowed.every(isPlain),
  };
}

function refusedBy(name: string, rules: NameRules): string | undefined {
  const exact = ruleFor(name, name, rules, rules.exact);
  // Most names are plain lower-case ASCII, where a second look could find nothing new.
  if (exact !== undefined || (rules.plain && isPlain(name))) {
    return exact;
  }
  const similar = ruleFor(name, skeleton(name), rules, rules.seen);
  return similar === undefined ? undefined : `${similar} (look-alike)`;
}

function ruleFor(name: string, shown: string, rules: NameRules, lists: NameLists): string | undefined {
  if (
    lists.neverAllowed.includes(shown) ||
    lists.neverAllowedPrefixes.some((prefix) => shown.startsWith(prefix))
  ) {
    return `${rules.what} is never allowed`;
  }
  if (rules.allowed.includes(name)) {
    return undefined;
  }
  const prefix = lists.prefixes.find(([, prefix]) => shown.startsWith(prefix));
  if (prefix !== undefined) {
    return `${rules.what} has the reserved prefix ${JSON.stringify(prefix[0])}`;
  }
  return lists.reserved.includes(shown) ? `${rules.what} is reserved` : undefined;
}

function isPlain(text: string): boolean {
  return /^[\x21-\x40\x5b-\x7e]*$/.test(text);
}

/** What is left of a name for a reader: no white space, nothing invisible, compatibility forms and letter case folded. */
function skeleton(text: string): string {
  const invisible = /[\p{White_Space}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;
  const folded = text.replace(invisible, "").normalize("NFKC").toUpperCase().toLowerCase();
  return folded.normalize("NFKC").replace(invisible, "");
}
