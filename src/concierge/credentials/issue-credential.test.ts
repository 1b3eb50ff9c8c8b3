import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { createCertificateAuthority, issueServingCertificate } from "../../pki/certificate-authority.ts";
import { CLUSTER_SIGNER_NAME, PROXY_SIGNER_NAME, createConciergeState } from "../state/state.ts";
import { createHolder } from "../state/holder.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import { createCertificateSigner } from "./certificate-signer.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import type { CredentialSettings, LifetimePolicy } from "../state/credential-settings.ts";
import { createCredentialIssuing } from "./issue-credential.ts";
import type { CredentialRequest, IssueBearer, IssuedCredential } from "./issue-credential.ts";
import { MAXIMUM_CLUSTER_LIFETIME_SECONDS, MAXIMUM_LIFETIME_SECONDS } from "./lifetime.ts";
import type { Signer, SigningRequest } from "./signer.ts";

const now = Date.UTC(2026, 5, 1, 12, 0, 0, 700);
const DAY = 86_400_000;
const identity = { username: "ann", groups: ["a", "b"], extra: {} };
const newAuthority = (commonName: string): Promise<KeyPair> =>
  createCertificateAuthority({
    commonName,
    notBefore: new Date(now - DAY),
    notAfter: new Date(now + 2 * DAY),
  });

function createWorld() {
  const state = createConciergeState({ authenticators: { get: () => undefined } });
  const signers = [
    createCertificateSigner({
      name: CLUSTER_SIGNER_NAME,
      keyPair: state.clusterSigningKey,
      maximumLifetimeSeconds: MAXIMUM_CLUSTER_LIFETIME_SECONDS,
      fault: state.sharedAuthorityFault,
    }),
    createCertificateSigner({
      name: PROXY_SIGNER_NAME,
      keyPair: state.proxySigningKey,
      maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
    }),
  ];
  return { state, signers };
}

/** Issues with these signers under this policy. */
function issueWith(
  signers: readonly Signer[],
  request: Partial<CredentialRequest> = {},
  settings: Partial<Omit<CredentialSettings, "lifetimes">> & {
    readonly lifetimes?: Partial<LifetimePolicy>;
  } = {},
  issueBearer?: IssueBearer,
): Promise<IssuedCredential> {
  const lifetimes = { ...defaultCredentialSettings.lifetimes, ...settings.lifetimes };
  const credentials = createCredentialIssuing({
    signers,
    settings: createHolder({ ...defaultCredentialSettings, ...settings, lifetimes }),
    issueBearer,
    clock: { now: () => now },
  });
  return credentials.issue({
    identity,
    form: credentials.formFor(false),
    tokenID: "f00d",
    signal: new AbortController().signal,
    ...request,
  });
}

const certificateOf = ({ value }: IssuedCredential): X509Certificate =>
  new X509Certificate("clientCertificateData" in value ? value.clientCertificateData : "");
const keyOf = ({ value }: IssuedCredential): string | undefined =>
  "clientKeyData" in value ? value.clientKeyData : undefined;

test("with no key the error is the contract's, byte for byte", async () => {
  const { signers } = createWorld();
  const cause =
    "failed to issue client cert: could not load CA: tls: failed to find any PEM data in certificate input";
  await assert.rejects(issueWith(signers), {
    code: "credential.notIssued",
    message: `[concierge-kube-signing-cert ${cause}, impersonation-proxy-signing-cert ${cause}]`,
  });
  await assert.rejects(issueWith([]), { message: "failed to issue cert" });
  await assert.rejects(issueWith(signers.slice(0, 1)), {
    message: `concierge-kube-signing-cert ${cause}`,
  });
});

test("the cluster's key comes first, the proxy's second", async () => {
  const { state, signers } = createWorld();
  const proxy = await newAuthority("proxy");
  const cluster = await newAuthority("cluster");
  state.proxySigningKey.set(proxy);
  const second = await issueWith(signers);
  assert.equal(second.signer, PROXY_SIGNER_NAME);
  state.clusterSigningKey.set(cluster);
  const credential = await issueWith(signers);
  assert.equal(credential.signer, CLUSTER_SIGNER_NAME);
  const certificate = certificateOf(credential);
  assert.ok(certificate.verify(new X509Certificate(cluster.certificatePem).publicKey));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(keyOf(credential) ?? "")));
  assert.equal(certificate.validToDate.getTime(), Date.UTC(2026, 5, 1, 12, 5, 0));
  assert.equal(certificate.validFromDate.getTime(), Date.UTC(2026, 5, 1, 11, 55, 0));
  state.clusterSigningKey.set(undefined);
  assert.equal((await issueWith(signers)).signer, PROXY_SIGNER_NAME);
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
  const signer = createCertificateSigner({
    name: "s",
    keyPair: holder,
    maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
  });
  holder.set({ certificatePem: "bad", privateKeyPem: "bad" });
  assert.ok(
    certificateOf(await issueWith([signer])).verify(new X509Certificate(good.certificatePem).publicKey),
  );
  holder.set(undefined);
  await assert.rejects(issueWith([signer]), /could not load CA/);
});

test("while its authority is shared, the cluster's key signs nothing (S11)", async () => {
  const { state, signers } = createWorld();
  state.clusterSigningKey.set(await newAuthority("cluster"));
  state.sharedAuthorityFault.set("a CA is shared");
  await assert.rejects(issueWith(signers.slice(0, 1)), {
    message: "concierge-kube-signing-cert failed to issue client cert: a CA is shared",
  });
  state.proxySigningKey.set(await newAuthority("proxy"));
  assert.equal((await issueWith(signers)).signer, PROXY_SIGNER_NAME);
});

/** A signer that says what it was asked for. */
function recordingSigner(options: Partial<Signer> = {}) {
  const asked: SigningRequest[] = [];
  const signer: Signer = {
    name: "slow",
    minimumLifetimeSeconds: 600,
    maximumLifetimeSeconds: 3600,
    acceptsPublicKeys: false,
    issue: async (request) => {
      asked.push(request);
      return { clientCertificateData: "CERT", clientKeyData: "KEY", ...request.lifetime };
    },
    ...options,
  };
  return { signer, asked };
}

test("a signer that cannot go as short as the bound is skipped, with the reason (S7)", async () => {
  const { state, signers } = createWorld();
  const { signer, asked } = recordingSigner();
  const reason =
    "slow failed to issue client cert: it issues for 600 seconds at least, and 300 seconds are allowed at most";
  await assert.rejects(issueWith([signer]), { code: "credential.notIssued", message: reason });
  assert.deepEqual(asked, []);
  state.proxySigningKey.set(await newAuthority("proxy"));
  assert.equal((await issueWith([signer, ...signers.slice(1)])).signer, PROXY_SIGNER_NAME);
  // Nobody asked for less than it can: it gives what it must, within the bound.
  const lifetimes = { maximumLifetimeSeconds: 900 };
  assert.equal((await issueWith([signer], {}, { lifetimes })).grantedSeconds, 600);
  await assert.rejects(
    issueWith([signer], { requestedSeconds: 599 }, { lifetimes }),
    /599 seconds are allowed/,
  );
  assert.equal((await issueWith([signer], { requestedSeconds: 700 }, { lifetimes })).grantedSeconds, 700);
});

test("a signer that does not certify callers' keys is skipped when one is brought (S6)", async () => {
  const { state, signers } = createWorld();
  state.proxySigningKey.set(await newAuthority("proxy"));
  const { signer, asked } = recordingSigner({ minimumLifetimeSeconds: 60 });
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const publicKeyInfo = publicKey.export({ format: "der", type: "spki" });
  const credential = await issueWith([signer, ...signers.slice(1)], { publicKeyInfo });
  assert.deepEqual(asked, []);
  assert.equal(credential.signer, PROXY_SIGNER_NAME);
  assert.ok(certificateOf(credential).publicKey.equals(publicKey));
  assert.equal(keyOf(credential), undefined);
  await assert.rejects(issueWith([signer], { publicKeyInfo }), {
    message: "slow failed to issue client cert: it does not certify keys of callers",
  });
});

test("no certificate outlives its CA, and none is given for less than a minute (S7)", async () => {
  const authority = (seconds: number): Promise<KeyPair> =>
    createCertificateAuthority({
      commonName: "ca",
      notBefore: new Date(now - DAY),
      notAfter: new Date(now + seconds * 1000),
    });
  const signerOf = (pair: KeyPair): Signer =>
    createCertificateSigner({
      name: "s",
      keyPair: createHolder<KeyPair | undefined>(pair),
      maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
    });
  const soon = await issueWith([signerOf(await authority(100))]);
  assert.equal(soon.grantedSeconds, 100);
  assert.equal(certificateOf(soon).validToDate.getTime(), soon.notAfter.getTime());
  assert.ok(soon.expirationTimestamp < soon.notAfter);
  for (const seconds of [59, -5]) {
    await assert.rejects(
      issueWith([signerOf(await authority(seconds))]),
      /would end in less than 60 seconds/,
    );
  }
});

test("a signer that gives more than it was asked for is not believed (S7)", async () => {
  const { signer } = recordingSigner({
    minimumLifetimeSeconds: 60,
    issue: async ({ lifetime }) => ({
      clientCertificateData: "CERT",
      notBefore: lifetime.notBefore,
      notAfter: new Date(lifetime.notAfter.getTime() + 1000),
    }),
  });
  await assert.rejects(issueWith([signer]), /lives longer than asked/);
});

test("a credential ID is the one of Kubernetes' audit lines", async () => {
  const { state, signers } = createWorld();
  state.clusterSigningKey.set(await newAuthority("cluster"));
  const credential = await issueWith(signers);
  const fingerprint = certificateOf(credential).fingerprint256.replaceAll(":", "").toLowerCase();
  assert.equal(credential.credentialID(), `X509SHA256=${fingerprint}`);
});

test("S9: a bearer credential for those who come through the proxy, and never a certificate", async () => {
  const { state, signers } = createWorld();
  state.clusterSigningKey.set(await newAuthority("cluster"));
  const asked: Parameters<IssueBearer>[0][] = [];
  const issueBearer: IssueBearer = async (request) => {
    asked.push(request);
    return { token: "TOKEN", jti: "id", ...request.lifetime };
  };
  const settings = createHolder<CredentialSettings>(defaultCredentialSettings);
  const clock = { now: () => now };
  const credentials = createCredentialIssuing({ signers, settings, issueBearer, clock });
  assert.equal(credentials.formFor(true), "ClientCertificate");
  settings.set({ ...defaultCredentialSettings, proxyCredential: "BearerToken" });
  assert.equal(credentials.formFor(true), "BearerToken");
  assert.equal(credentials.formFor(false), "ClientCertificate");
  assert.equal(createCredentialIssuing({ signers, settings, clock }).formFor(true), "ClientCertificate");

  const extra = { "example.com/team": ["x"] };
  const request = { form: "BearerToken", identity: { ...identity, extra } } as const;
  const credential = await issueWith([], request, {}, issueBearer);
  assert.deepEqual(credential.value, { token: "TOKEN" });
  assert.equal(credential.signer, "impersonation-proxy-bearer-token");
  assert.equal(credential.credentialID(), "JTI=id");
  assert.equal(credential.grantedSeconds, 300);
  assert.equal(asked[0]?.tokenID, "f00d");
  assert.deepEqual(asked[0]?.identity.extra, extra);

  const failing: IssueBearer = async () => {
    throw new Error("no key");
  };
  await assert.rejects(issueWith(signers, request, {}, failing), {
    code: "credential.notIssued",
    message: "impersonation-proxy-bearer-token failed to issue token: no key",
  });
});
