import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { secrets } from "../../../kube/objects.ts";
import type { Secret } from "../../../kube/objects.ts";
import { issueServingCertificate } from "../../../pki/certificate-authority.ts";
import { secretTexts } from "../serving-certificate-secret.ts";
import { createProxyFixture, externalOnly, labels, names, newAuthority } from "./testing/proxy-fixture.ts";
import type { ProxyFixture } from "./testing/proxy-fixture.ts";

const HUNDRED_YEARS = 100 * 365 * 24 * 60 * 60 * 1000;
const FIVE_MINUTES = 5 * 60 * 1000;

async function present(fixture: ProxyFixture, name: string): Promise<Secret> {
  const secret = await fixture.get(secrets, name);
  assert.ok(secret !== undefined, `Secret ${name} is missing`);
  return secret;
}

const ownSecret = (fixture: ProxyFixture): Promise<Secret> =>
  present(fixture, names.impersonationTLSCertificateSecret);

async function running(spec: object = {}): Promise<ProxyFixture> {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: { ...externalOnly, ...spec } });
  await fixture.settle();
  return fixture;
}

test("the CA and the certificate have the contract's shapes (6.2)", async () => {
  const fixture = await running();
  const caSecret = await present(fixture, names.impersonationCACertificateSecret);
  assert.equal(caSecret.type, "Opaque");
  assert.deepEqual(caSecret.metadata.labels, labels);
  const caTexts = secretTexts(caSecret);
  assert.deepEqual(Object.keys(caTexts), ["ca.crt", "ca.key"]);
  assert.match(caTexts["ca.key"] ?? "", /^-----BEGIN EC PRIVATE KEY-----\n/);
  const authority = new X509Certificate(caTexts["ca.crt"] ?? "");
  assert.equal(authority.subject, "CN=Pinniped Impersonation Proxy Serving CA");

  const secret = await ownSecret(fixture);
  assert.equal(secret.type, "kubernetes.io/tls");
  assert.deepEqual(secret.metadata.labels, labels);
  const texts = secretTexts(secret);
  assert.deepEqual(Object.keys(texts), ["tls.crt", "tls.key"]);
  assert.match(texts["tls.key"] ?? "", /^-----BEGIN PRIVATE KEY-----\n/);
  const leaf = new X509Certificate(texts["tls.crt"] ?? "");
  assert.equal(leaf.subjectAltName, "DNS:proxy.example.com");
  assert.ok(leaf.verify(authority.publicKey) && leaf.checkIssued(authority));
  for (const certificate of [authority, leaf]) {
    assert.equal(certificate.validFromDate.getTime(), fixture.clock.now() - FIVE_MINUTES);
    assert.equal(certificate.validToDate.getTime(), fixture.clock.now() + HUNDRED_YEARS);
  }
  assert.deepEqual(fixture.state.proxyServingCertificate.current, {
    certificatePem: texts["tls.crt"],
    privateKeyPem: texts["tls.key"],
  });
});

test("a certificate that fits is kept, whatever form its address is written in", async () => {
  const fixture = await running({ externalEndpoint: "2001:DB8::0:1" });
  const { metadata } = await ownSecret(fixture);
  await fixture.settle();
  await fixture.configure({
    impersonationProxy: { ...externalOnly, externalEndpoint: "[2001:db8::1]:8443" },
  });
  await fixture.settle();
  assert.equal((await ownSecret(fixture)).metadata.uid, metadata.uid);
});

test("a certificate that does not fit is made anew (6.6)", async (t) => {
  interface Variant {
    readonly title: string;
    /** The texts that are put into the Secret. */
    readonly texts: (
      fixture: ProxyFixture,
      good: Readonly<Record<string, string>>,
    ) => Promise<object> | object;
  }
  const leafOf = async (
    fixture: ProxyFixture,
    dnsNames: readonly string[],
    {
      ipAddresses = [],
      lifetime = HUNDRED_YEARS,
      ca,
    }: {
      readonly ipAddresses?: readonly string[];
      readonly lifetime?: number;
      readonly ca?: Awaited<ReturnType<typeof newAuthority>>;
    } = {},
  ): Promise<object> => {
    const texts = secretTexts(await present(fixture, names.impersonationCACertificateSecret));
    const own = { certificatePem: texts["ca.crt"] ?? "", privateKeyPem: texts["ca.key"] ?? "" };
    const leaf = await issueServingCertificate(ca ?? own, {
      dnsNames,
      ipAddresses,
      notBefore: new Date(fixture.clock.now() - FIVE_MINUTES),
      notAfter: new Date(fixture.clock.now() + lifetime),
    });
    return { "tls.crt": leaf.certificatePem, "tls.key": leaf.privateKeyPem };
  };
  const right = ["proxy.example.com"];
  const variants: readonly Variant[] = [
    { title: "no PEM", texts: (_, good) => ({ ...good, "tls.crt": "x" }) },
    { title: "no key", texts: (_, good) => ({ "tls.crt": good["tls.crt"] ?? "" }) },
    {
      title: "a certificate that cannot be read",
      texts: (_, good) => ({
        ...good,
        "tls.crt": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      }),
    },
    {
      title: "a key of another certificate",
      texts: async (fixture, good) => ({ ...(await leafOf(fixture, right)), "tls.crt": good["tls.crt"] }),
    },
    {
      title: "another CA's",
      texts: async (fixture) => leafOf(fixture, right, { ca: await newAuthority(fixture.clock) }),
    },
    { title: "expired", texts: (fixture) => leafOf(fixture, right, { lifetime: -1000 }) },
    { title: "another name", texts: (fixture) => leafOf(fixture, ["other.example.com"]) },
    { title: "a name too many", texts: (fixture) => leafOf(fixture, [...right, "other.example.com"]) },
    {
      title: "an address too many",
      texts: (fixture) => leafOf(fixture, right, { ipAddresses: ["192.0.2.1"] }),
    },
  ];
  for (const { title, texts } of variants) {
    await t.test(title, async () => {
      const fixture = await running();
      const before = await ownSecret(fixture);
      const replaced = { ...secretTexts(before) };
      await fixture.makeSecret(
        names.impersonationTLSCertificateSecret,
        "kubernetes.io/tls",
        (await texts(fixture, replaced)) as Readonly<Record<string, string>>,
      );
      await fixture.settle();
      const after = await ownSecret(fixture);
      assert.notEqual(after.metadata.uid, before.metadata.uid);
      const pair = fixture.state.proxyServingCertificate.current;
      assert.equal(pair?.certificatePem, secretTexts(after)["tls.crt"]);
      assert.equal(new X509Certificate(pair?.certificatePem ?? "").subjectAltName, "DNS:proxy.example.com");
      assert.equal((await fixture.strategy())?.reason, "Listening");
    });
  }
  await t.test("a CA that was made anew", async () => {
    const fixture = await running();
    await fixture.admin.delete(secrets, {
      namespace: "ns",
      name: names.impersonationCACertificateSecret,
    });
    await fixture.settle();
    const authority = new X509Certificate(
      secretTexts(await present(fixture, names.impersonationCACertificateSecret))["ca.crt"] ?? "",
    );
    const leaf = new X509Certificate(secretTexts(await ownSecret(fixture))["tls.crt"] ?? "");
    assert.ok(leaf.verify(authority.publicKey));
  });
  await t.test("addresses in another order", async () => {
    const fixture = await running();
    const { services } = await import("../../../kube/resources.ts");
    await fixture.configure({ impersonationProxy: { mode: "enabled", service: { type: "ClusterIP" } } });
    await fixture.settle();
    for (const clusterIPs of [
      ["10.0.0.1", "fd00::1"],
      ["fd00::1", "10.0.0.1"],
    ]) {
      const name = names.impersonationClusterIPService;
      const service = await fixture.admin.get(services, { namespace: "ns", name });
      await fixture.admin.update(services, {
        ...service,
        spec: { ...service.spec, clusterIP: clusterIPs[0] ?? "", clusterIPs },
      });
      await fixture.settle();
      const leaf = new X509Certificate(secretTexts(await ownSecret(fixture))["tls.crt"] ?? "");
      const expected = { "10.0.0.1": "10.0.0.1", "fd00::1": "FD00:0:0:0:0:0:0:1" };
      assert.equal(
        leaf.subjectAltName,
        clusterIPs.map((ip) => `IP Address:${expected[ip as keyof typeof expected]}`).join(", "),
      );
    }
  });
});

test("a CA that cannot be used is never replaced, as kubeconfigs hold it", async () => {
  const fixture = await running();
  const before = await fixture.makeSecret(names.impersonationCACertificateSecret, "Opaque", {
    "ca.crt": "x",
    "ca.key": "y",
  });
  await fixture.settle();
  assert.equal(
    (await fixture.strategy())?.message,
    "Secret ns/my-ca holds no usable certificate authority: could not load CA: tls: failed to find any PEM data in certificate input; restore it, or delete it to have another one made that clients have to be told of",
  );
  assert.deepEqual(await present(fixture, names.impersonationCACertificateSecret), before);
  assert.ok(fixture.state.proxyServingCertificate.current !== undefined);
});

test("an external Secret serves, and its CA or the spec's is advertised", async () => {
  const fixture = await running();
  const ownCa = (await fixture.strategy())?.frontend?.impersonationProxyInfo?.certificateAuthorityData;
  const caBefore = await present(fixture, names.impersonationCACertificateSecret);
  const authority = await newAuthority(fixture.clock);
  const other = await newAuthority(fixture.clock);
  const leaf = await issueServingCertificate(authority, {
    dnsNames: ["proxy.example.com"],
    ipAddresses: [],
    notBefore: new Date(fixture.clock.now()),
    notAfter: new Date(fixture.clock.now() + FIVE_MINUTES),
  });
  const texts = { "tls.crt": leaf.certificatePem, "tls.key": leaf.privateKeyPem };
  const advertised = async (tls: object | undefined): Promise<string | undefined> => {
    await fixture.configure({
      impersonationProxy: { ...externalOnly, ...(tls === undefined ? {} : { tls }) },
    });
    await fixture.settle();
    const strategy = await fixture.strategy();
    return strategy?.frontend?.impersonationProxyInfo?.certificateAuthorityData ?? strategy?.message;
  };
  const base64 = (text: string): string => Buffer.from(text).toString("base64");

  await fixture.makeSecret("outside", "kubernetes.io/tls", { ...texts, "ca.crt": authority.certificatePem });
  assert.equal(await advertised({ secretName: "outside" }), base64(authority.certificatePem));
  assert.equal(await fixture.get(secrets, names.impersonationTLSCertificateSecret), undefined);
  assert.deepEqual(fixture.state.proxyServingCertificate.current, leaf);
  const data = base64(other.certificatePem);
  assert.equal(await advertised({ secretName: "outside", certificateAuthorityData: data }), data);
  await fixture.makeSecret("outside", "kubernetes.io/tls", texts);
  assert.equal(await advertised({ secretName: "outside", certificateAuthorityData: data }), data);

  assert.equal(await advertised(undefined), ownCa, "the own CA comes back unchanged");
  assert.deepEqual(await present(fixture, names.impersonationCACertificateSecret), caBefore);
  await ownSecret(fixture);
});

test("faults of an external Secret have their texts, and what serves goes on", async (t) => {
  const authority = await newAuthority((await createProxyFixture()).clock);
  const load = "could not load the externally provided TLS secret for the impersonation proxy: ";
  const decode = "could not decode impersonationSpec.TLS.certificateAuthorityData: ";
  const outside = { secretName: "outside" };
  const variants: readonly (readonly [
    title: string,
    tls: object,
    texts: ((good: object) => object) | undefined,
    message: string,
  ])[] = [
    [
      "no name",
      {},
      undefined,
      "must provide impersonationSpec.TLS.secretName if impersonationSpec.TLS is provided",
    ],
    ["no Secret", outside, undefined, `${load}secret "outside" not found`],
    [
      "no PEM",
      outside,
      () => ({ "tls.crt": "x", "tls.key": "y" }),
      `${load}could not parse TLS cert PEM data from Secret: tls: failed to find any PEM data in certificate input`,
    ],
    [
      "a CA",
      outside,
      () => ({ "tls.crt": authority.certificatePem, "tls.key": authority.privateKeyPem }),
      `${load}could not parse TLS cert PEM data from Secret: invalid serving certificate: passed in key pair is a CA`,
    ],
    [
      "a ca.crt that is none",
      outside,
      (good) => ({ ...good, "ca.crt": "x" }),
      `${load}unable to read provided ca.crt: data is not a certificate`,
    ],
    [
      "no CA at all",
      outside,
      (good) => good,
      `${load}secret "outside" has no ca.crt: add it, or set spec.impersonationProxy.tls.certificateAuthorityData to the certificate authority that clients are to trust`,
    ],
    [
      "data that is not base64",
      { ...outside, certificateAuthorityData: "abc?" },
      (good) => good,
      `${decode}illegal base64 data at input byte 3`,
    ],
    [
      "data that is no certificate",
      { ...outside, certificateAuthorityData: "YWJj" },
      (good) => good,
      `${decode}data is not a certificate`,
    ],
  ];
  for (const [title, tls, texts, message] of variants) {
    await t.test(title, async () => {
      const fixture = await running();
      const serving = fixture.state.proxyServingCertificate.current;
      assert.ok(serving !== undefined);
      if (texts !== undefined) {
        const good = { "tls.crt": serving.certificatePem, "tls.key": serving.privateKeyPem };
        await fixture.makeSecret(
          "outside",
          "kubernetes.io/tls",
          texts(good) as Readonly<Record<string, string>>,
        );
      }
      await fixture.configure({ impersonationProxy: { ...externalOnly, tls } });
      assert.deepEqual(await fixture.once(), { result: undefined }, "only a change helps");
      const strategy = await fixture.strategy();
      assert.deepEqual(
        { reason: strategy?.reason, message: strategy?.message },
        { reason: "ErrorDuringSetup", message },
      );
      assert.deepEqual(fixture.state.proxyServingCertificate.current, serving);
    });
  }
});
