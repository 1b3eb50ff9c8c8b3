import assert from "node:assert/strict";
import { test } from "node:test";
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createManualClock, systemClock } from "../../clock.ts";
import { createFolderStore } from "../../kube/folder-store.ts";
import { validateManifest } from "../../resources/validate-manifest.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { credentialIssuers } from "../../resources/credential-issuer.ts";
import type { CredentialIssuerSpec } from "../../resources/credential-issuer-spec.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import { createHolder } from "../state/holder.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import { createCredentialSettingsController, credentialSettingsOf } from "./credential-settings.ts";

const impersonationProxy = { mode: "auto", service: {} } as const;

test("the named CredentialIssuer is in force at once, without it the defaults are", async () => {
  const store = createMemoryCluster(createManualClock()).client();
  const holder = createHolder<CredentialSettings>(defaultCredentialSettings);
  const changes: CredentialSettings[] = [];
  holder.subscribe((settings) => changes.push(settings));
  const controller = createCredentialSettingsController({ store, holder, credentialIssuerName: "config" });
  let triggers = 0;
  const stop = controller.watch(() => triggers++);
  const reconcile = (): Promise<unknown> => controller.reconcile(new AbortController().signal);
  const object = (name: string, spec: CredentialIssuerSpec) => ({
    apiVersion: "config.concierge.pinniped.dev/v1alpha1",
    kind: "CredentialIssuer",
    metadata: { name },
    spec,
  });

  await reconcile();
  assert.deepEqual(changes, []);
  await store.create(
    credentialIssuers,
    object("other", { impersonationProxy, clientCertificate: { lifetimeSeconds: 60 } }),
  );
  assert.equal(triggers, 0);
  await reconcile();
  assert.deepEqual(changes, []);

  const created = await store.create(
    credentialIssuers,
    object("config", { impersonationProxy, clientCertificate: { lifetimeSeconds: 900 } }),
  );
  assert.equal(triggers, 1);
  await reconcile();
  assert.equal(holder.current.lifetimes.lifetimeSeconds, 900);
  await reconcile();
  assert.equal(changes.length, 1, "the same again is no change");

  await store.update(credentialIssuers, { ...created, spec: { impersonationProxy } });
  await reconcile();
  assert.deepEqual(holder.current, defaultCredentialSettings);
  await store.update(credentialIssuers, {
    ...(await store.get(credentialIssuers, { name: "config" })),
    spec: { impersonationProxy: { ...impersonationProxy, credential: "BearerToken" } },
  });
  await reconcile();
  assert.equal(holder.current.proxyCredential, "BearerToken");
  await store.delete(credentialIssuers, { name: "config" });
  await reconcile();
  assert.deepEqual(holder.current, defaultCredentialSettings);
  stop();
});

test("every field counts, and an absent one is its default", () => {
  assert.deepEqual(credentialSettingsOf(undefined), defaultCredentialSettings);
  assert.deepEqual(credentialSettingsOf({ impersonationProxy }), defaultCredentialSettings);
  assert.deepEqual(
    credentialSettingsOf({
      impersonationProxy: { ...impersonationProxy, credential: "BearerToken", maximumStreamSeconds: 3600 },
      clientCertificate: {
        lifetimeSeconds: 600,
        maximumLifetimeSeconds: 7200,
        backdateSeconds: 0,
        refreshLeadSeconds: 0,
        boundToToken: false,
      },
      certificateSigningRequestAPI: { mode: "Enabled" },
    }),
    {
      lifetimes: {
        lifetimeSeconds: 600,
        maximumLifetimeSeconds: 7200,
        backdateSeconds: 0,
        refreshLeadSeconds: 0,
        boundToToken: false,
      },
      certificateSigningRequestApi: true,
      proxyCredential: "BearerToken",
      maximumStreamSeconds: 3600,
    },
  );
  const maximum = (lifetimeSeconds: number): number =>
    credentialSettingsOf({ impersonationProxy, clientCertificate: { lifetimeSeconds } }).lifetimes
      .maximumLifetimeSeconds;
  assert.equal(maximum(60), 300);
  assert.equal(maximum(900), 900);
});

test("a manifest in a folder counts as an object in a cluster does", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "lanyard-settings-"));
  t.after(() => rm(root, { recursive: true }));
  const manifestsFolder = join(root, "manifests");
  await mkdir(manifestsFolder, { mode: 0o700 });
  const write = async (lifetimeSeconds: number): Promise<void> => {
    const path = join(root, "next");
    await writeFile(
      path,
      `apiVersion: config.concierge.pinniped.dev/v1alpha1
kind: CredentialIssuer
metadata: { name: config }
spec:
  impersonationProxy: { mode: disabled }
  clientCertificate: { lifetimeSeconds: ${lifetimeSeconds} }
`,
    );
    await chmod(path, 0o600);
    await rename(path, join(manifestsFolder, "issuer.yaml"));
  };
  await write(600);
  const store = createFolderStore({
    manifestsFolder,
    stateFolder: join(root, "state"),
    resources: [credentialIssuers],
    validate: validateManifest,
    namespace: "standalone",
    clock: systemClock,
    log: silentLogger,
  });
  t.after(() => store.stop());
  const holder = createHolder<CredentialSettings>(defaultCredentialSettings);
  const controller = createCredentialSettingsController({ store, holder, credentialIssuerName: "config" });
  const signal = new AbortController().signal;
  await store.start();
  await store.waitForSync();
  await controller.reconcile(signal);
  assert.equal(holder.current.lifetimes.lifetimeSeconds, 600);
  const { promise: changed, resolve } = Promise.withResolvers<void>();
  t.after(controller.watch(resolve));
  await write(1200);
  await changed;
  await controller.reconcile(signal);
  assert.equal(holder.current.lifetimes.lifetimeSeconds, 1200);
});
