// A process of the proxy benches; each does one thing, so that the CPU and the memory of one of them are those of one program.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { processCpuMilliseconds } from "./process-cpu.ts";
import type { Memory, Order } from "./proxy-bench.ts";
import { load, unwatch, watch } from "./proxy-clients.ts";
import { serveBarePipe, serveBytePipe, serveLanyard, serveUpstream } from "./proxy-servers.ts";

const SETTLE_MILLISECONDS = 1_500;

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case "serve-upstream":
      return await serveUpstream(order.material, order.object);
    case "serve": {
      const serve = { lanyard: serveLanyard, bare: serveBarePipe, bytes: serveBytePipe }[order.what];
      return await serve(order.material, order.upstream);
    }
    case "load":
      return await load(order);
    case "watch":
      return await watch(order);
    case "unwatch":
      unwatch();
      return true;
    case "cpu":
      return processCpuMilliseconds(process.pid);
    default:
      await delay(SETTLE_MILLISECONDS);
      return memory();
  }
}

/** After what can be let go of was let go of. */
function memory(): Memory {
  for (let turn = 0; turn < 4; turn += 1) {
    globalThis.gc?.();
  }
  const { heapUsed, heapTotal, external } = process.memoryUsage();
  const status = readFileSync("/proc/self/status", "utf8");
  const resident = 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]);
  return { resident, heapUsed, heapTotal, external };
}

process.on("message", (order: Order) => {
  obey(order).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
// Whoever asked is gone.
process.on("disconnect", () => process.exit(0));
