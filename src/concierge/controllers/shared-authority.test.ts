import assert from "node:assert/strict";
import { before, test } from "node:test";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createAuthenticatorCache } from "../authenticators/authenticator-cache.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import { createConciergeState } from "../state/state.ts";
import type { WritableConciergeState } from "../state/state.ts";
import { createSharedAuthorityController } from "./shared-authority.ts";

let front: KeyPair;
let other: KeyPair;

before(async () => {
  const make = (): Promise<KeyPair> =>
    createCertificateAuthority({
      commonName: "test",
      notBefore: new Date(0),
      notAfter: new Date(Date.UTC(2100, 0)),
    });
  [front, other] = [await make(), await make()];
});

function watched(allowedNames: readonly string[]): WritableConciergeState {
  const state = createConciergeState({ authenticators: createAuthenticatorCache() });
  createSharedAuthorityController({ state, log: silentLogger }).watch(() => {});
  state.requestHeader.set({
    clientCaPem: `${other.certificatePem}${front.certificatePem}`,
    allowedNames,
    usernameHeaders: ["x-remote-user"],
    uidHeaders: [],
    groupHeaders: [],
    extraHeaderPrefixes: [],
  });
  return state;
}

const shares: Readonly<Record<string, (state: WritableConciergeState) => void>> = {
  "client-ca-file": (state) => state.clientCaPem.set(front.certificatePem),
  "the cluster's signing key": (state) => state.clusterSigningKey.set(front),
  "the impersonation proxy's signer": (state) => state.proxySigningKey.set(front),
};

test("S11: no certificate authority may be both front proxies' and users' while any name may speak", () => {
  for (const [what, share] of Object.entries(shares)) {
    const state = watched([]);
    assert.equal(state.sharedAuthorityFault.current, undefined);
    share(state);
    assert.match(
      state.sharedAuthorityFault.current ?? "",
      new RegExp(
        `^requestheader-allowed-names is empty, and requestheader-client-ca-file shares a key with ${what}: `,
      ),
    );
    const named = watched(["front-proxy-client"]);
    share(named);
    assert.equal(named.sharedAuthorityFault.current, undefined, "named front proxies are told apart");
  }
  const trusted = watched([]);
  trusted.proxySignerTrust.set(front.certificatePem);
  assert.ok(
    trusted.sharedAuthorityFault.current !== undefined,
    "a CA that signed until a minute ago counts too",
  );
});

test("S11: the fault goes as soon as its cause does, and a certificate of its own changes nothing", async () => {
  const state = watched([]);
  state.requestHeader.set({ ...state.requestHeader.current!, clientCaPem: front.certificatePem });
  state.clientCaPem.set(other.certificatePem);
  assert.equal(state.sharedAuthorityFault.current, undefined);
  state.clientCaPem.set(front.certificatePem);
  assert.ok(state.sharedAuthorityFault.current !== undefined);
  state.requestHeader.set({ ...state.requestHeader.current!, allowedNames: ["aggregator"] });
  assert.equal(state.sharedAuthorityFault.current, undefined);
});

test("S11: what was there before the controller counts as well", async () => {
  const state = createConciergeState({ authenticators: createAuthenticatorCache() });
  const { current } = watched([]).requestHeader;
  state.requestHeader.set(current);
  state.clientCaPem.set(other.certificatePem);
  const controller = createSharedAuthorityController({ state, log: silentLogger });
  await controller.reconcile(new AbortController().signal);
  assert.ok(state.sharedAuthorityFault.current !== undefined);
});
