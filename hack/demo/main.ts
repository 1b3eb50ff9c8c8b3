// npm run demo: from an ID token to a certificate and its use, told step by step.
import "./require-node.js";

// Imported only now, so that a Node that is too old says so instead of failing at an import.
const { usage, parseDemoArguments } = await import("./arguments.ts");
const { runToTheEnd } = await import("./run-to-the-end.ts");

await runToTheEnd("demo", async (run) => {
  const asked = parseDemoArguments(process.argv.slice(2));
  if (asked === "help") {
    process.stdout.write(usage);
  } else if (asked === "cluster") {
    const { demonstrateCluster } = await import("./cluster.ts");
    await demonstrateCluster(run);
  } else {
    const { demonstrateStandalone } = await import("./standalone.ts");
    await demonstrateStandalone(run);
  }
});
