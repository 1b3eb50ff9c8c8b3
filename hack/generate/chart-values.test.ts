import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ValuesSchema, chartValues, chartValuesFiles, readValues } from "./chart-values.ts";

describe("values of the charts", () => {
  for (const chart of ["lanyard-concierge", "lanyard-concierge-crds"] as const) {
    it(`of ${chart} have a comment, a rule and a row each`, () => {
      const values = chartValues(chart);
      assert.ok(values.length > 4);
      for (const { path, schema, comment, group } of values) {
        assert.notEqual(schema, undefined, `${path} is not in values.schema.json`);
        assert.ok(group || comment !== "", `${path} has no comment above it in values.yaml`);
      }
      const page = chartValuesFiles().get("docs/configuration-chart.md") ?? "";
      assert.ok(values.every(({ path }) => page.includes(`\`${path}\``)));
    });

    it(`of ${chart} are all that its schema knows, and no level takes others`, () => {
      const values = chartValues(chart);
      const paths = new Set(values.map(({ path }) => path));
      const groups = values.filter(({ group }) => group);
      for (const { path, schema } of groups) {
        assert.equal(schema?.additionalProperties, false, path);
        for (const name of Object.keys(schema.properties ?? {})) {
          assert.ok(paths.has(`${path}.${name}`), `${path}.${name} is not in values.yaml`);
        }
      }
    });
  }

  it("takes the comment right above a value, at its own depth, and the default as it stands", () => {
    const schema: ValuesSchema = {
      properties: {
        a: { type: "object", properties: { b: { type: "integer" }, c: { $ref: "#/definitions/text" } } },
        d: { type: "object" },
      },
      definitions: { text: { type: "string" } },
    };
    const text =
      "# About the file.\n\n# About a,\n# in two lines.\na:\n  # About b.\n  b: 1\n  c: x\nd: { e: [2] }\n";
    assert.deepEqual(
      readValues(text, schema).map(({ path, comment, defaultValue, group }) => [
        path,
        comment,
        defaultValue,
        group,
      ]),
      [
        ["a", "About a, in two lines.", { b: 1, c: "x" }, true],
        ["a.b", "About b.", 1, false],
        ["a.c", "", "x", false],
        ["d", "", { e: [2] }, false],
      ],
    );
    assert.equal(readValues(text, schema)[2]?.schema?.type, "string");
  });
});
