import { goQuote } from "../request/go-quote.ts";
import { invalid, StatusError } from "../request/status.ts";

/** Neither aggregated kind has a dry run: a 422 Status (contract 2.2, 3). `group` in its default form. */
export function refuseDryRun(group: string, name: string, dryRun: readonly string[]): void {
  if (dryRun.length > 0) {
    throw new StatusError(
      invalid({ group, kind: "" }, name, [
        {
          type: "FieldValueNotSupported",
          body: `Unsupported value: []string{${dryRun.map(goQuote).join(", ")}}`,
          field: "dryRun",
        },
      ]),
    );
  }
}
