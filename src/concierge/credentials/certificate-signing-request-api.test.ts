import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import type { ManualClock } from "../../clock.ts";
import { generateP256KeyPair } from "../../pki/p256-key-pair.ts";
import { encodeClientSubject } from "../../pki/distinguished-name.ts";
import { subjectOf } from "../../pki/certificate.ts";
import type { CertificateSigningRequest } from "../../kube/resources.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import { createHolder } from "../state/holder.ts";
import type { Holder } from "../state/holder.ts";
import {
  MAXIMUM_REQUESTS_IN_FLIGHT,
  createCertificateSigningRequestSigner,
  expirationFor,
} from "./certificate-signing-request-api.ts";
import { REQUEST_LABEL, createClusterSigning } from "./cluster-signing.ts";
import { createCredentialIssuing } from "./issue-credential.ts";
import type { ClientCertificateCredential, Signer } from "./signer.ts";
import { letTimePass } from "./testing/let-time-pass.ts";
import { createSigningCluster } from "./testing/signing-cluster.ts";
import type { SigningCluster } from "./testing/signing-cluster.ts";

const identity = { username: "ann", groups: ["zebras", "apes*", "é"], extra: {} };

interface World {
  readonly clock: ManualClock;
  readonly cluster: SigningCluster;
  readonly signer: Signer;
  readonly settings: Holder<CredentialSettings>;
  readonly fault: Holder<string | undefined>;
  /** Asks for so many seconds, and lets time pass until there is an answer. */
  issue(seconds?: number, signal?: AbortSignal): Promise<ClientCertificateCredential>;
}

async function createWorld(): Promise<World> {
  const clock = createManualClock(Date.UTC(2026, 5, 1, 12, 0, 0, 700));
  const cluster = await createSigningCluster(clock);
  const settings = createHolder<CredentialSettings>({
    ...defaultCredentialSettings,
    certificateSigningRequestApi: true,
  });
  const fault = createHolder<string | undefined>(undefined);
  const signing = createClusterSigning({
    client: cluster.client,
    clock,
    log: silentLogger,
    username: cluster.username,
    labels: { app: "lanyard-concierge" },
  });
  const signer = createCertificateSigningRequestSigner({ signing, clock, settings, fault });
  return {
    clock,
    cluster,
    signer,
    settings,
    fault,
    issue: async (seconds = 900, signal = new AbortController().signal) => {
      const second = Math.floor(clock.now() / 1000) * 1000;
      const lifetime = {
        notBefore: new Date(second - 300_000),
        notAfter: new Date(second + seconds * 1000),
      };
      return letTimePass(clock, signer.issue({ identity, lifetime, signal }));
    },
  };
}

test("the cluster signs for a key of our own, and nothing stays behind", async () => {
  const { cluster, issue, clock } = await createWorld();
  const sent: CertificateSigningRequest[] = [];
  cluster.mutate = (object) => {
    sent.push(object);
    return object;
  };
  const issued = await issue(900);
  const certificate = new X509Certificate(issued.clientCertificateData);
  assert.ok(certificate.checkPrivateKey(createPrivateKey(issued.clientKeyData ?? "")));
  const { commonName, organizations } = subjectOf(certificate.raw);
  assert.equal(commonName, "ann");
  assert.deepEqual(organizations.toSorted(), identity.groups.toSorted());
  const [{ metadata, spec } = assert.fail()] = sent;
  assert.match(metadata.name, /^lanyard-concierge-/);
  assert.deepEqual(metadata.labels, { app: "lanyard-concierge", ...REQUEST_LABEL });
  const { request: _, username: __, ...rest } = spec;
  assert.deepEqual(rest, {
    signerName: "kubernetes.io/kube-apiserver-client",
    usages: ["client auth"],
    expirationSeconds: 890,
  });
  assert.ok(issued.notAfter.getTime() <= clock.now() - (clock.now() % 1000) + 900_000);
  assert.deepEqual(cluster.calls, ["create", "approve", `delete ${metadata.name}`]);
  assert.equal(cluster.objects.size, 0);
});

test("what is not, byte for byte, what was sent, or not from us, is never approved, and deleted", async () => {
  const change =
    (spec: Partial<CertificateSigningRequest["spec"]>) => (object: CertificateSigningRequest) => ({
      ...object,
      spec: { ...object.spec, ...spec },
    });
  const tampered: Readonly<Record<string, (object: CertificateSigningRequest) => CertificateSigningRequest>> =
    {
      "spec.username": change({ username: "system:serviceaccount:concierge:other" }),
      "spec.signerName": change({ signerName: "kubernetes.io/kube-apiserver-client-kubelet" }),
      "spec.usages": change({ usages: ["client auth", "server auth"] }),
      "spec.expirationSeconds": change({ expirationSeconds: 86_400 }),
      "spec.request": (object) => change({ request: `${object.spec.request.slice(0, -4)}AAAA` })(object),
    };
  for (const [field, mutate] of Object.entries(tampered)) {
    const { cluster, issue } = await createWorld();
    cluster.mutate = mutate;
    await assert.rejects(issue(), { code: "clusterSigning.altered", message: new RegExp(`\\(${field}\\)`) });
    assert.ok(!cluster.calls.includes("approve"), field);
    assert.equal(cluster.objects.size, 0, field);
  }
  const { cluster, issue } = await createWorld();
  cluster.mutate = (object) => {
    const { expirationSeconds: _, ...spec } = object.spec;
    return { ...object, spec };
  };
  await assert.rejects(issue(), { code: "clusterSigning.altered" });
});

test("a certificate that does not say what was asked is not handed out", async () => {
  const now = Date.UTC(2026, 5, 1, 12, 0, 0);
  const wrong: readonly [string, SigningCluster["certificate"]][] = [
    ["subject", { subject: encodeClientSubject("bob", []) }],
    // The same names in another encoding are other bytes.
    ["subject", { subject: encodeClientSubject("ann", identity.groups) }],
    ["public key", { publicKeySpki: generateP256KeyPair().spki }],
    ["extended key usage", { extendedKeyUsages: [] }],
    ["extended key usage", { extendedKeyUsages: ["1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"] }],
    ["extended key usage", { extendedKeyUsages: ["2.5.29.37.0"] }],
    ["basic constraints", { isCa: true }],
    ["NotAfter \\(later", { notAfter: new Date(now + 901_000) }],
    ["NotAfter \\(less", { notAfter: new Date(now + 59_000) }],
  ];
  for (const [fault, certificate] of wrong) {
    const { cluster, issue } = await createWorld();
    cluster.certificate = certificate;
    await assert.rejects(issue(900), {
      code: "clusterSigning.certificate",
      message: new RegExp(`^the cluster's signer returned a certificate with another ${fault}`),
    });
    assert.equal(cluster.objects.size, 0);
  }
  for (const answer of ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
    const { cluster, issue } = await createWorld();
    cluster.answer = () => answer || "\n";
    await assert.rejects(issue(900), { code: "clusterSigning.certificate" });
  }
  const { cluster, issue } = await createWorld();
  cluster.certificate = { notAfter: new Date(now + 400_000) };
  assert.equal((await issue(900)).notAfter.getTime(), now + 400_000, "a signer may shorten");
});

test("a lifetime ends by the end asked for; only the shortest counts from the signing", async () => {
  const start = Date.UTC(2026, 5, 1, 12, 0, 0);
  const limits = (seconds: number): readonly number[] => {
    const { expirationSeconds, latestNotAfter } = expirationFor(
      new Date(start + seconds * 1000),
      start + 700,
    );
    return [expirationSeconds, (latestNotAfter - start) / 1000];
  };
  assert.deepEqual(limits(3600), [3590, 3600]);
  assert.deepEqual(limits(611), [601, 611]);
  assert.deepEqual(limits(610), [600, 610]);
  assert.deepEqual(limits(600), [600, 610]);
  for (const [seconds, skewSeconds, accepted] of [
    [3600, 9, true],
    [3600, 11, false],
    [600, 9, true],
    [600, 12, false],
  ] as const) {
    const { cluster, signer, settings, clock } = await createWorld();
    settings.set({
      ...settings.current,
      lifetimes: { ...settings.current.lifetimes, lifetimeSeconds: seconds, maximumLifetimeSeconds: seconds },
    });
    cluster.skewSeconds = skewSeconds;
    const issuing = createCredentialIssuing({ signers: [signer], settings, clock });
    const issued = issuing.issue({
      identity,
      form: "ClientCertificate",
      tokenID: "",
      signal: new AbortController().signal,
    });
    await (accepted ? assert.doesNotReject(issued) : assert.rejects(issued, /NotAfter \(later than asked\)/));
  }
});

test("while it is switched off it is neither asked nor named, and a bound below 600 s passes it by", async () => {
  const { cluster, signer, settings, clock, fault } = await createWorld();
  const issuing = createCredentialIssuing({ signers: [signer], settings, clock });
  const request = {
    identity,
    form: "ClientCertificate",
    tokenID: "",
    signal: new AbortController().signal,
  } as const;
  const lifetimes = { ...settings.current.lifetimes, maximumLifetimeSeconds: 599 };
  settings.set({ ...settings.current, lifetimes });
  await assert.rejects(issuing.issue(request), {
    message:
      "certificate-signing-request-api failed to issue client cert: it issues for 600 seconds at least, and 599 seconds are allowed at most",
  });
  settings.set({ ...settings.current, lifetimes: { ...lifetimes, maximumLifetimeSeconds: 600 } });
  await assert.rejects(
    issuing.issue({ ...request, publicKeyInfo: generateP256KeyPair().spki }),
    /it does not certify keys of callers/,
    "S6: a request with a key of its own passes this strategy by",
  );
  fault.set("two CAs are one");
  await assert.rejects(issuing.issue(request), /two CAs are one/, "S11");
  fault.set(undefined);
  settings.set({ ...settings.current, certificateSigningRequestApi: false });
  await assert.rejects(issuing.issue(request), { message: "failed to issue cert" });
  assert.deepEqual(cluster.calls, []);
});

test("a denied, failed or forgotten request is an error that says so, and is deleted", async () => {
  for (const type of ["Denied", "Failed"]) {
    const { cluster, issue } = await createWorld();
    cluster.conditions = [{ type, status: "True", reason: "Policy", message: "not\non Sundays" }];
    cluster.answer = () => undefined;
    await assert.rejects(issue(), {
      code: `clusterSigning.${type.toLowerCase()}`,
      message: `the cluster's signer answered ${type}: Policy: not on Sundays`,
    });
    assert.equal(cluster.objects.size, 0);
  }
  const { cluster, issue, clock } = await createWorld();
  cluster.answer = () => undefined;
  const before = clock.now();
  await assert.rejects(issue(), {
    code: "clusterSigning.timeout",
    message: /^the cluster did not sign within 10 seconds: /,
  });
  assert.ok(clock.now() - before < 11_000);
  assert.equal(cluster.objects.size, 0);
});

test("a caller who leaves ends the waiting, and what was created is deleted", async () => {
  const { cluster, signer, clock } = await createWorld();
  const leaving = new AbortController();
  cluster.answer = () => undefined;
  const lifetime = { notBefore: new Date(clock.now()), notAfter: new Date(clock.now() + 900_000) };
  const issued = signer.issue({ identity, lifetime, signal: leaving.signal });
  issued.catch(() => {});
  await clock.advance(200);
  assert.equal(cluster.objects.size, 1);
  leaving.abort();
  await clock.advance(0);
  await assert.rejects(issued, { name: "AbortError" });
  assert.equal(cluster.objects.size, 0);
  const gone = createGone();
  await assert.rejects(signer.issue({ identity, lifetime, signal: gone }), { name: "AbortError" });
  assert.deepEqual(
    cluster.calls.filter((call) => call === "create").length,
    1,
    "who has left gets nothing begun",
  );
});

function createGone(): AbortSignal {
  const controller = new AbortController();
  controller.abort();
  return controller.signal;
}

test("more than 20 at a time are refused at once, so that the next signer is asked", async () => {
  const { cluster, signer, clock } = await createWorld();
  const release = cluster.hold();
  const signal = new AbortController().signal;
  const lifetime = { notBefore: new Date(clock.now()), notAfter: new Date(clock.now() + 900_000) };
  const all = Array.from({ length: MAXIMUM_REQUESTS_IN_FLIGHT }, () =>
    signer.issue({ identity, lifetime, signal }),
  );
  await assert.rejects(signer.issue({ identity, lifetime, signal }), { code: "signer.busy" });
  release();
  await clock.advance(3000);
  assert.equal((await Promise.all(all)).length, MAXIMUM_REQUESTS_IN_FLIGHT);
  assert.equal(cluster.objects.size, 0);
  const next = signer.issue({ identity, lifetime, signal });
  await clock.advance(3000);
  assert.ok((await next).clientKeyData);
});
