#!/usr/bin/env -S node --disable-sigusr1
// What is started. The program is imported only when this Node is new enough, as an older one would fail at an import.
import { complaintAboutNode } from "../required-node.ts";

const complaint = complaintAboutNode("lanyard-concierge", process.version);
if (complaint === undefined) {
  await import("./program.ts");
} else {
  process.stderr.write(`${complaint}\n`);
  process.exitCode = 1;
}
