// npm start: serves a folder of manifests until it is interrupted.
import "./demo/require-node.js";

// Imported only now, so that a Node that is too old says so instead of failing at an import.
const { serveExample } = await import("./demo/serve-example.ts");
const { runToTheEnd } = await import("./demo/run-to-the-end.ts");

// Being interrupted is how this program ends.
await runToTheEnd("start", (run) => serveExample(run, process.argv.slice(2)), { interruptedExitCode: 0 });
