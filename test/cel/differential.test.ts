import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { startCelOracle, type OracleAnswer } from "../cel-oracle/cel-oracle.ts";
import { corpus } from "./corpus.ts";
import { worlds, type World } from "./environments.ts";
import { expressions } from "./generator.ts";
import { askEngine, judge, type EngineAnswer, type Verdict } from "./judge.ts";
import { knownDifference, knownInCorpus } from "./known-differences.ts";

const runs = Number(process.env["LANYARD_CEL_RUNS"] ?? 2000);
const seed = Number(process.env["LANYARD_CEL_SEED"] ?? 20_261_122);
const oracle = await startCelOracle();
after(() => oracle.stop());

type Counts = Record<Verdict | "known", number>;

function noCounts(): Counts {
  return { exact: 0, position: 0, refused: 0, bounded: 0, different: 0, known: 0 };
}

function figures(counts: Counts): string {
  return (
    `${counts.exact} exact, ${counts.position} refused at the same place in other words, ` +
    `${counts.refused} refused at another place, ${counts.bounded} refused for our limits only, ` +
    `${counts.known} known differences, ${counts.different} disagreements`
  );
}

function shown(world: World, expression: string, theirs: OracleAnswer, ours: EngineAnswer): string {
  return `${world.name}: ${expression}\n  cel-go: ${JSON.stringify(theirs)}\n  ours:   ${JSON.stringify(ours)}`;
}

test("the corpus has the expressions that the issue asks for", () => {
  assert.ok(corpus.length >= 400, `${corpus.length} expressions`);
});

test("values, types and errors of the corpus are those of cel-go", async (context) => {
  const answers = await oracle.ask(
    corpus.map(({ world, expression }) => ({
      expression,
      environment: world.oracle,
      bindings: world.bindings,
    })),
  );
  const counts = noCounts();
  const disagreements: string[] = [];
  const seen = new Set<string>();
  for (const [index, { world, expression, origin }] of corpus.entries()) {
    const theirs = answers[index] ?? assert.fail(`no answer to ${origin}`);
    const ours = askEngine(world, expression);
    const verdict = judge(theirs, ours);
    if (verdict === "different" && knownInCorpus.has(expression)) {
      seen.add(expression);
      counts.known += 1;
      continue;
    }
    counts[verdict] += 1;
    if (verdict === "different") {
      disagreements.push(`${origin} ${shown(world, expression, theirs, ours)}`);
    }
  }
  context.diagnostic(`${corpus.length} expressions of the corpus: ${figures(counts)}`);
  assert.deepEqual(disagreements, []);
  // A difference that is gone leaves the list.
  assert.deepEqual(
    [...knownInCorpus.keys()].filter((expression) => !seen.has(expression)),
    [],
  );
});

for (const [index, world] of worlds.entries()) {
  test(`values, types and errors of generated expressions over ${world.name} are those of cel-go`, async (context) => {
    const counts = noCounts();
    await fc.assert(
      fc.asyncProperty(expressions(world), async (expression) => {
        const [theirs] = await oracle.ask([
          { expression, environment: world.oracle, bindings: world.bindings },
        ]);
        assert.ok(theirs);
        const ours = askEngine(world, expression);
        const verdict = judge(theirs, ours);
        if (verdict === "different" && knownDifference(theirs, ours) !== undefined) {
          counts.known += 1;
          return;
        }
        counts[verdict] += 1;
        assert.notEqual(verdict, "different", shown(world, expression, theirs, ours));
      }),
      { numRuns: Math.ceil(runs / worlds.length), seed: seed + index },
    );
    context.diagnostic(`generated over ${world.name} (seed ${seed + index}): ${figures(counts)}`);
  });
}
