import type { Condition } from "./objects.ts";

/** What a controller found out about one condition; times and generations are added when it is merged. */
export type ConditionFinding = Pick<Condition, "type" | "status" | "reason" | "message">;

export interface MergeConditionsOptions {
  /** What the object's status holds now; absent for a new object. */
  readonly existing: readonly Condition[] | undefined;
  readonly findings: readonly ConditionFinding[];
  /** `metadata.generation` of the object that was looked at. */
  readonly observedGeneration: number;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** Types that are ours: removed when no finding names them. All others stay as they are. */
  readonly ownTypes?: readonly string[];
}

export interface MergedConditions {
  /** Sorted by type. */
  readonly conditions: readonly Condition[];
  /** Whether `conditions` differs from what the status holds now; without a difference nothing is written. */
  readonly changed: boolean;
}

/** RFC 3339 in whole seconds, UTC, as `metav1.Time` is written. */
export function formatTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/**
 * Brings findings into a list of `metav1.Condition` (contract 4.2): sorted by type, `observedGeneration` on each of ours,
 * `lastTransitionTime` kept while the status value stays the same, conditions of others untouched.
 */
export function mergeConditions(options: MergeConditionsOptions): MergedConditions {
  const existing = options.existing ?? [];
  const found = new Map(options.findings.map((finding) => [finding.type, finding]));
  if (found.size !== options.findings.length) {
    throw new TypeError("two findings have the same condition type");
  }
  const own = new Set(options.ownTypes);
  const foreign = existing.filter((condition) => !found.has(condition.type) && !own.has(condition.type));
  const ours = options.findings.map((finding) => merge(finding, existing, options));
  const conditions = [...foreign, ...ours].toSorted((a, b) =>
    a.type < b.type ? -1 : a.type > b.type ? 1 : 0,
  );
  return { conditions, changed: !sameConditions(existing, conditions) };
}

function merge(
  finding: ConditionFinding,
  existing: readonly Condition[],
  options: Pick<MergeConditionsOptions, "observedGeneration" | "now">,
): Condition {
  const before = existing.find((condition) => condition.type === finding.type);
  const keepsTime = before?.status === finding.status && !Number.isNaN(Date.parse(before.lastTransitionTime));
  return {
    type: finding.type,
    status: finding.status,
    reason: finding.reason,
    message: finding.message,
    observedGeneration: options.observedGeneration,
    lastTransitionTime: keepsTime ? before.lastTransitionTime : formatTime(options.now),
  };
}

function sameConditions(before: readonly Condition[], after: readonly Condition[]): boolean {
  return (
    before.length === after.length &&
    before.every((condition, index) => sameCondition(condition, after[index]))
  );
}

function sameCondition(a: Condition, b: Condition | undefined): boolean {
  return (
    a === b ||
    (b !== undefined &&
      a.type === b.type &&
      a.status === b.status &&
      a.reason === b.reason &&
      a.message === b.message &&
      a.observedGeneration === b.observedGeneration &&
      a.lastTransitionTime === b.lastTransitionTime)
  );
}
