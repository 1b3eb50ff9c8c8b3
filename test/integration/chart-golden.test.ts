import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { goldenCases, goldenText, renderedText } from "./chart-golden.ts";
import { helmMajors } from "./chart-render.ts";

describe("manifests of the chart", () => {
  for (const golden of goldenCases) {
    for (const major of helmMajors) {
      it(`are those that were kept for "${golden.name}", by Helm ${major}`, async () => {
        assert.equal(
          await renderedText(golden, major),
          goldenText(golden),
          "when this is meant: node test/integration/chart-golden.ts --write",
        );
      });
    }
  }
});
