import type { ResourceStore } from "../../kube/resource-store.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import { credentialIssuers } from "../../resources/credential-issuer.ts";
import type { CredentialIssuer } from "../../resources/credential-issuer.ts";
import type { CredentialIssuerStrategy } from "../../resources/credential-issuer-status.ts";

/** Strategies come in this order, others behind them by name (contract 5.2). */
const ORDER: readonly string[] = ["KubeClusterSigningCertificate", "ImpersonationProxy"];

/** What a controller says about its strategy; when it changed is found here. */
export type StrategyReport = Omit<CredentialIssuerStrategy, "lastUpdateTime">;

/**
 * The strategies with the one of `report`'s type replaced, in the contract's order (5.2). `lastUpdateTime` moves only when
 * anything else about it does. Answers `strategies` itself when nothing changes.
 */
export function mergeStrategy(
  strategies: readonly CredentialIssuerStrategy[],
  report: StrategyReport,
  now: number,
): readonly CredentialIssuerStrategy[] {
  const present = strategies.find(({ type }) => type === report.type);
  const unchanged = present !== undefined && sameReport(present, report);
  const entry = unchanged
    ? present
    : { ...report, lastUpdateTime: new Date(now).toISOString().replace(/\.\d+Z$/, "Z") };
  const merged = [...strategies.filter(({ type }) => type !== report.type), entry].toSorted(byOrder);
  const same =
    merged.length === strategies.length && merged.every((each, index) => each === strategies[index]);
  return same ? strategies : merged;
}

/**
 * Writes a strategy into the status of the cached `issuer`; no call when nothing changes. A conflict is an error like any
 * other, and repeated. Refusal: `credentialIssuer.statusWrite` with the contract's prefix.
 */
export async function reportStrategy(options: {
  readonly store: Pick<ResourceStore, "updateStatus">;
  readonly issuer: CredentialIssuer;
  readonly report: StrategyReport;
  /** Milliseconds since the epoch. */
  readonly now: number;
}): Promise<void> {
  const { store, issuer, report, now } = options;
  await writeStrategies(store, issuer, mergeStrategy(issuer.status?.strategies ?? [], report, now));
}

/** Takes a strategy that is not in use out of the status; else as `reportStrategy`. */
export async function removeStrategy(options: {
  readonly store: Pick<ResourceStore, "updateStatus">;
  readonly issuer: CredentialIssuer;
  readonly type: CredentialIssuerStrategy["type"];
}): Promise<void> {
  const { store, issuer, type } = options;
  const present = issuer.status?.strategies ?? [];
  if (present.some((strategy) => strategy.type === type)) {
    await writeStrategies(
      store,
      issuer,
      present.filter((strategy) => strategy.type !== type),
    );
  }
}

async function writeStrategies(
  store: Pick<ResourceStore, "updateStatus">,
  issuer: CredentialIssuer,
  strategies: readonly CredentialIssuerStrategy[],
): Promise<void> {
  if (strategies === issuer.status?.strategies) {
    return;
  }
  try {
    await store.updateStatus(credentialIssuers, {
      ...issuer,
      status: { ...issuer.status, strategies: [...strategies] },
    });
  } catch (error) {
    throw new LanyardError({
      code: "credentialIssuer.statusWrite",
      message: `failed to update CredentialIssuer status: ${messageOf(error)}`,
      cause: error,
    });
  }
}

function byOrder(a: CredentialIssuerStrategy, b: CredentialIssuerStrategy): number {
  const rank = (type: string): number => (ORDER.includes(type) ? ORDER.indexOf(type) : ORDER.length);
  return rank(a.type) - rank(b.type) || (a.type < b.type ? -1 : Number(a.type > b.type));
}

function sameReport(present: CredentialIssuerStrategy, report: StrategyReport): boolean {
  const { lastUpdateTime: _, ...rest } = present;
  return canonical(rest) === canonical(report);
}

/** Key order carries no meaning in Kubernetes objects. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === "object" && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
