import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { test } from "node:test";
import { createCertificateAuthority, issueServingCertificate } from "../../pki/certificate-authority.ts";
import { CLUSTER_SIGNER_NAME, PROXY_SIGNER_NAME, createConciergeState } from "../state/state.ts";
import { createHolder } from "../state/holder.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import { createCertificateSigner } from "./certificate-signer.ts";
import { issueCredential } from "./issue-credential.ts";
import { decideLifetime } from "./lifetime.ts";

const now = Date.UTC(2026, 5, 1, 12, 0, 0, 700);
const lifetime = decideLifetime({ now });
const identity = { username: "ann", groups: ["a", "b"], extra: {} };
const newAuthority = (commonName: string): Promise<KeyPair> =>
  createCertificateAuthority({
    commonName,
    notBefore: new Date(now - 1000),
    notAfter: new Date(now + 3_600_000),
  });

function createWorld() {
  const state = createConciergeState({ authenticators: { get: () => undefined } });
  const signers = [
    createCertificateSigner({ name: CLUSTER_SIGNER_NAME, keyPair: state.clusterSigningKey }),
    createCertificateSigner({ name: PROXY_SIGNER_NAME, keyPair: state.proxySigningKey }),
  ];
  return { state, signers };
}

test("with no key the error is the contract's, byte for byte", async () => {
  const { signers } = createWorld();
  const cause =
    "failed to issue client cert: could not load CA: tls: failed to find any PEM data in certificate input";
  await assert.rejects(issueCredential(signers, identity, lifetime), {
    code: "credential.notIssued",
    message: `[concierge-kube-signing-cert ${cause}, impersonation-proxy-signing-cert ${cause}]`,
  });
  await assert.rejects(issueCredential([], identity, lifetime), { message: "failed to issue cert" });
  await assert.rejects(issueCredential(signers.slice(0, 1), identity, lifetime), {
    message: `concierge-kube-signing-cert ${cause}`,
  });
});

test("the cluster's key comes first, the proxy's second", async () => {
  const { state, signers } = createWorld();
  const proxy = await newAuthority("proxy");
  const cluster = await newAuthority("cluster");
  state.proxySigningKey.set(proxy);
  const second = await issueCredential(signers, identity, lifetime);
  assert.equal(second.signer, PROXY_SIGNER_NAME);
  state.clusterSigningKey.set(cluster);
  const { signer, credential } = await issueCredential(signers, identity, lifetime);
  assert.equal(signer, CLUSTER_SIGNER_NAME);
  const certificate = new X509Certificate(credential.clientCertificateData);
  assert.ok(certificate.verify(new X509Certificate(cluster.certificatePem).publicKey));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(credential.clientKeyData)));
  assert.equal(certificate.validToDate.getTime(), Date.UTC(2026, 5, 1, 12, 5, 0));
  assert.equal(certificate.validFromDate.getTime(), Date.UTC(2026, 5, 1, 11, 55, 0));
  state.clusterSigningKey.set(undefined);
  assert.equal((await issueCredential(signers, identity, lifetime)).signer, PROXY_SIGNER_NAME);
});

test("a holder refuses what cannot sign or serve and keeps what it has", async () => {
  const { state } = createWorld();
  const authority = await newAuthority("ca");
  const other = await newAuthority("other");
  const leaf = await issueServingCertificate(authority, {
    dnsNames: ["x"],
    ipAddresses: [],
    notBefore: new Date(now),
    notAfter: new Date(now + 1000),
  });
  state.clusterSigningKey.set(authority);
  const refusals: readonly (readonly [KeyPair, string])[] = [
    [leaf, "invalid CA certificate: passed in key pair is not a CA"],
    [
      { ...authority, certificatePem: authority.certificatePem + other.certificatePem },
      "invalid CA certificate: expected a single certificate, found 2 certificates",
    ],
    [
      { ...authority, privateKeyPem: other.privateKeyPem },
      "could not load CA: tls: private key does not match public key",
    ],
  ];
  for (const [pair, message] of refusals) {
    assert.throws(() => state.clusterSigningKey.set(pair), {
      code: "keyPair.invalid",
      message: `concierge-kube-signing-cert: attempt to set invalid key pair: ${message}`,
    });
    assert.equal(state.clusterSigningKey.current, authority);
  }
  assert.throws(() => state.servingCertificate.set(authority), /passed in key pair is a CA/);
  assert.equal(state.servingCertificate.current, undefined);
  state.servingCertificate.set(leaf);
  let changes = 0;
  state.servingCertificate.subscribe(() => changes++);
  state.servingCertificate.set({ ...leaf });
  assert.equal(changes, 0, "the same pair again is no change");
});

test("a signer goes on with its last good key", async () => {
  const good = await newAuthority("good");
  const holder = createHolder<KeyPair | undefined>(good);
  const signer = createCertificateSigner({ name: "s", keyPair: holder });
  holder.set({ certificatePem: "bad", privateKeyPem: "bad" });
  const { clientCertificateData } = await signer.issue(identity, lifetime);
  assert.match(clientCertificateData, /^-----BEGIN CERTIFICATE-----/);
  holder.set(undefined);
  await assert.rejects(signer.issue(identity, lifetime), /could not load CA/);
});

test("lifetimes are clamped into policy and bounds, in whole seconds", () => {
  const seconds = (request: Omit<Parameters<typeof decideLifetime>[0], "now">): number => {
    const { notAfter } = decideLifetime({ ...request, now });
    return (notAfter.getTime() - Math.floor(now / 1000) * 1000) / 1000;
  };
  const policy = { lifetimeSeconds: 900, maximumLifetimeSeconds: 1800, backdateSeconds: 60 };
  assert.equal(seconds({}), 300);
  assert.equal(seconds({ requestedSeconds: 10 }), 60);
  assert.equal(seconds({ requestedSeconds: 3600 }), 300);
  assert.equal(seconds({ policy }), 900);
  assert.equal(seconds({ policy, requestedSeconds: 3600 }), 1800);
  assert.equal(seconds({ policy, notAfterBounds: [new Date(now + 400_000), new Date(now + 500_000)] }), 400);
  assert.equal(decideLifetime({ now, policy }).notBefore.getTime(), Date.UTC(2026, 5, 1, 11, 59, 0));
});
