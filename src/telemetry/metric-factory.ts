import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "prom-client";
import type { Clock } from "../clock.ts";

/** What every name of ours starts with. */
export const METRIC_PREFIX = "lanyard_concierge_";

/** Of everything that takes milliseconds to seconds. */
export const DURATION_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** A histogram that costs an addition or two per observation: its children are known beforehand and have numbers. */
export interface FixedHistogram {
  /** `child` is an index into the label's values, 0 where there is no label. */
  observe(child: number, value: number): void;
}

/** A metric without its values; docs/metrics.md lists them all. */
export interface MetricFamily {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
}

/** Makes metrics of one registry. Label values must come from closed sets, or be names that only administrators give. */
export interface MetricFactory {
  /** What was made so far. */
  readonly families: readonly MetricFamily[];
  counter<L extends string>(
    name: string,
    help: string,
    labelNames?: readonly L[],
    collect?: (self: Counter<L>) => void,
  ): Counter<L>;
  gauge<L extends string>(
    name: string,
    help: string,
    labelNames?: readonly L[],
    collect?: (self: Gauge<L>) => void,
  ): Gauge<L>;
  histogram<L extends string>(name: string, help: string, labelNames?: readonly L[]): Histogram<L>;
  fixedHistogram(options: {
    readonly name: string;
    readonly help: string;
    readonly label?: { readonly name: string; readonly values: readonly string[] };
    readonly buckets?: readonly number[];
  }): FixedHistogram;
  /** A gauge of the seconds since the last `mark` of each label value. */
  ageGauge(
    name: string,
    help: string,
    label: string,
  ): { mark(value: string, now?: number): void; forget(value: string): void };
}

export function createMetricFactory(registry: Registry, clock: Pick<Clock, "now">): MetricFactory {
  const registers = [registry];
  const families: MetricFamily[] = [];
  /** Notes a family, and answers what every kind of metric is made with. */
  const describe = <L extends string>(
    type: MetricFamily["type"],
    name: string,
    help: string,
    labels: readonly L[] = [],
  ) => {
    families.push({ name: METRIC_PREFIX + name, type, labels, help });
    return { name: METRIC_PREFIX + name, help, labelNames: [...labels], registers };
  };
  const gauge: MetricFactory["gauge"] = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    collect?: (self: Gauge<L>) => void,
  ) => {
    const self: Gauge<L> = new Gauge({
      ...describe("gauge", name, help, labelNames),
      ...(collect === undefined ? {} : { collect: () => collect(self) }),
    });
    return self;
  };
  return {
    families,
    gauge,
    counter: <L extends string>(
      name: string,
      help: string,
      labelNames: readonly L[] = [],
      collect?: (self: Counter<L>) => void,
    ) => {
      const self: Counter<L> = new Counter({
        ...describe("counter", name, help, labelNames),
        ...(collect === undefined ? {} : { collect: () => collect(self) }),
      });
      return self;
    },
    histogram: (name, help, labelNames) =>
      new Histogram({
        ...describe("histogram", name, help, labelNames),
        buckets: [...DURATION_BUCKETS],
      }),
    fixedHistogram: (options) => {
      const { name, help, label } = options;
      describe("histogram", name, help, label === undefined ? [] : [label.name]);
      return createFixedHistogram(registry, options);
    },
    ageGauge: (name, help, label) => {
      const marks = new Map<string, number>();
      gauge(name, help, [label], (self) => {
        self.reset();
        for (const [value, since] of marks) {
          self.set({ [label]: value }, Math.max(0, (clock.now() - since) / 1000));
        }
      });
      return {
        mark: (value, now = clock.now()) => void marks.set(value, now),
        forget: (value) => void marks.delete(value),
      };
    },
  };
}

function createFixedHistogram(
  registry: Registry,
  { name, help, label, buckets = DURATION_BUCKETS }: Parameters<MetricFactory["fixedHistogram"]>[0],
): FixedHistogram {
  const fullName = METRIC_PREFIX + name;
  const children: readonly Readonly<Record<string, string>>[] =
    label === undefined ? [{}] : label.values.map((value) => ({ [label.name]: value }));
  /** The last of each child's cells is what no bucket holds. */
  const cells = buckets.length + 1;
  const counts = new Float64Array(children.length * cells);
  const sums = new Float64Array(children.length);
  const metric = {
    name: fullName,
    get: async () => ({
      name: fullName,
      help,
      type: "histogram",
      values: children.flatMap((labels, child) => {
        let total = 0;
        const values = [...buckets, "+Inf"].map((le, cell) => ({
          labels: { le, ...labels },
          value: (total += counts[child * cells + cell] ?? 0),
          metricName: `${fullName}_bucket`,
        }));
        return [
          ...values,
          { labels, value: sums[child] ?? 0, metricName: `${fullName}_sum` },
          { labels, value: total, metricName: `${fullName}_count` },
        ];
      }),
    }),
  };
  // A registry asks its metrics for their name and, when it is rendered, for their values; nothing else.
  registry.registerMetric(metric as unknown as Histogram);
  return {
    observe: (child, value) => {
      let cell = 0;
      while (cell < buckets.length && value > (buckets[cell] ?? Infinity)) {
        cell += 1;
      }
      const index = child * cells + cell;
      counts[index] = (counts[index] ?? 0) + 1;
      sums[child] = (sums[child] ?? 0) + value;
    },
  };
}
