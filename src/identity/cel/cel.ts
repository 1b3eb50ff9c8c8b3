/** A CEL type as cel-go prints it; `list` and `map` have parameters. */
export type CelType =
  | {
      readonly kind:
        | "bool"
        | "int"
        | "uint"
        | "double"
        | "string"
        | "bytes"
        | "null_type"
        | "dyn"
        | "timestamp"
        | "duration";
    }
  /** A type as a value; `of` is what it describes, where that is known. */
  | { readonly kind: "type"; readonly of?: CelType }
  | { readonly kind: "list"; readonly element: CelType }
  | { readonly kind: "map"; readonly key: CelType; readonly value: CelType }
  | { readonly kind: "optional"; readonly value: CelType }
  /** A type with known fields only, such as `user` of Kubernetes' AuthenticationConfiguration. */
  | { readonly kind: "object"; readonly name: string; readonly fields: Readonly<Record<string, CelType>> };

/** Where an expression runs. */
export interface CelEnvironment {
  readonly variables: Readonly<Record<string, CelType>>;
  /** `homogeneousAggregates` as in contract/supervisor.md 3.1. */
  readonly homogeneousAggregates?: boolean;
  /** Sizes assumed of inputs when cost is estimated: 256 for strings, 100 for lists and maps. */
  readonly maximumLength?: number;
  /** Refused above; 10,000,000 unless set. */
  readonly maximumCost?: number;
  /** Code points of an expression; 10,240 unless set. */
  readonly maximumCharacters?: number;
}

/** Plain data as it comes out of JSON (numbers that are whole become int) or of an identity. */
export type CelInput =
  null | boolean | number | bigint | string | readonly CelInput[] | { readonly [key: string]: CelInput };

export interface CelProgram {
  /** The static type of the result. */
  readonly outputType: CelType;
  /** The text of a type as cel-go prints it: `list(string)`. */
  readonly outputTypeText: string;
  /** Worst case cost under the environment's size hints. */
  readonly estimatedCost: number;
  /** Paths of variables that are read, such as `claims.email`; for S3. */
  readonly references: readonly string[];
  /**
   * Runs it. Throws `CelEvaluationError` with cel-go's text (`no such key: x`, `division by zero`, `operation interrupted`).
   * Results are plain data: int as bigint, list as array, map as Map.
   */
  evaluate(
    bindings: Readonly<Record<string, CelInput>>,
    options?: { readonly deadlineMilliseconds?: number; readonly now?: () => number },
  ): unknown;
}
