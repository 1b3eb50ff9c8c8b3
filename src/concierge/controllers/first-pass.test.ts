import assert from "node:assert/strict";
import { test } from "node:test";
import type { CachedAuthenticator } from "../authenticators/authenticator-cache.ts";
import type { AuthenticatorObject } from "./authenticator-reconcile.ts";
import { withFirstPass } from "./first-pass.ts";

interface World {
  hasSynced: boolean;
  objects: readonly AuthenticatorObject[];
  readonly inForce: Set<string>;
  /** What the controller's run ends with. */
  run: () => Promise<void>;
}

function start(world: World): ReturnType<typeof withFirstPass> {
  return withFirstPass(
    { name: "c", reconcile: () => world.run(), watch: () => () => {} },
    {
      kind: "JWTAuthenticator",
      objects: { hasSynced: () => world.hasSynced, list: () => world.objects },
      cache: {
        entry: ({ name }) => (world.inForce.has(name) ? ({} as CachedAuthenticator) : undefined),
      },
    },
  );
}

const object = (name: string, phase: "Ready" | "Error"): AuthenticatorObject => ({
  apiVersion: "v",
  kind: "JWTAuthenticator",
  metadata: { name },
  spec: {},
  status: { phase, conditions: [] },
});
const signal = new AbortController().signal;

test("not ready before the objects are known, nor before each that is Ready is in force", () => {
  const world: World = { hasSynced: false, objects: [], inForce: new Set(), run: async () => {} };
  const { readiness } = start(world);
  assert.equal(readiness.problem(), "0 of kind JWTAuthenticator are not in force yet");
  world.hasSynced = true;
  world.objects = [object("a", "Ready"), object("b", "Ready"), object("c", "Error")];
  assert.equal(readiness.problem(), "2 of kind JWTAuthenticator are not in force yet");
  world.inForce.add("a");
  assert.equal(readiness.problem(), "1 of kind JWTAuthenticator are not in force yet");
  world.inForce.add("b");
  assert.equal(readiness.problem(), undefined, "one in phase Error is not waited for");
});

test("one whose issuer is down is waited for until it has been looked at once, and no later one", async () => {
  const world: World = {
    hasSynced: false,
    objects: [object("a", "Ready")],
    inForce: new Set(),
    run: async () => {},
  };
  const { controller, readiness } = start(world);
  await controller.reconcile(signal);
  assert.notEqual(readiness.problem(), undefined, "a run before the objects are known counts for nothing");
  world.hasSynced = true;
  world.run = () => Promise.reject(new Error("unreachable"));
  await assert.rejects(async () => controller.reconcile(signal), /unreachable/);
  assert.equal(readiness.problem(), undefined);
  world.objects = [object("a", "Ready"), object("new", "Ready")];
  assert.equal(readiness.problem(), undefined);
});
