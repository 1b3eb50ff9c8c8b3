// The tests of the node tier with watches of ten minutes, and streams that see their credential renewed four times.
process.env["LANYARD_TEST_WATCH_SECONDS"] ??= "600";
await import("../cluster/proxy-client-go.test.ts");
