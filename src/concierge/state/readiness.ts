/** One condition of a replica's readiness (design.md rule 4.8). */
export interface ReadinessCheck {
  /** As `/readyz?verbose` shows it. */
  readonly name: string;
  /** What is missing, for people; undefined when nothing is. Asked at every probe, so it must be cheap. */
  problem(): string | undefined;
}
