/* A process of the lock's test: takes the lock named by its argument, says so, and holds it until it is killed. */
import { systemClock } from "../../../clock.ts";
import { loadFileLocking, lockFile } from "../file-lock.ts";

const [path = ""] = process.argv.slice(2);
const locking = await loadFileLocking(process.platform);
await lockFile({ path, limit: 5_000, clock: systemClock, locking });
process.stdout.write("locked\n");
setInterval(() => undefined, 60_000);
