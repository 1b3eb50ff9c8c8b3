import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap, ObjectMeta, Secret } from "../../kube/objects.ts";
import type { CertificateAuthorityDataSourceSpec, TLSSpec } from "../../resources/tls-spec.ts";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { resolveTlsSpec } from "./tls-spec.ts";

const { caPem, certificatePem } = await createLoopbackCertificate();
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const meta = (name: string): ObjectMeta => ({ name, namespace: "concierge" });
const secret = (name: string, type: string, data: Record<string, string>): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: meta(name),
  type,
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
});
const secretObjects = [
  secret("opaque", "Opaque", { "ca.crt": caPem, empty: "", text: "not pem" }),
  secret("tls", "kubernetes.io/tls", { "ca.crt": `junk\n${caPem}` }),
  secret("token", "kubernetes.io/service-account-token", { "ca.crt": caPem }),
];
const configMap: ConfigMap = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: meta("map"),
  data: { "ca.crt": caPem, empty: "", text: "é" },
};
const sources = {
  namespace: "concierge",
  secrets: {
    get: ({ name }: { name: string }) => secretObjects.find((object) => object.metadata.name === name),
  },
  configMaps: { get: ({ name }: { name: string }) => (name === "map" ? configMap : undefined) },
};
const resolve = (tls: TLSSpec | undefined) => resolveTlsSpec(tls, sources);
const source = (kind: string, name: string, key: string): TLSSpec => ({
  certificateAuthorityDataSource: { kind: kind as CertificateAuthorityDataSourceSpec["kind"], name, key },
});
const HINT = '(PEM certificates must begin with "-----BEGIN CERTIFICATE-----")';
const FIELD = "spec.tls.certificateAuthorityDataSource is invalid: ";

const refusals: readonly (readonly [TLSSpec, string])[] = [
  [
    { certificateAuthorityData: base64(caPem), ...source("Secret", "opaque", "ca.crt") },
    "spec.tls is invalid: both tls.certificateAuthorityDataSource and tls.certificateAuthorityData provided",
  ],
  [
    { certificateAuthorityData: "not base64" },
    "spec.tls.certificateAuthorityData is invalid: illegal base64 data at input byte 3",
  ],
  [
    { certificateAuthorityData: base64("hello") },
    `spec.tls.certificateAuthorityData is invalid: no base64-encoded PEM certificates found in 8 bytes of data ${HINT}`,
  ],
  [source("Secret", "none", "k"), `${FIELD}failed to get secret "concierge/none": secret "none" not found`],
  [
    source("ConfigMap", "none", "k"),
    `${FIELD}failed to get configmap "concierge/none": configmap "none" not found`,
  ],
  [
    source("Secret", "token", "ca.crt"),
    `${FIELD}secret "concierge/token" of type "kubernetes.io/service-account-token" cannot be used as a certificate authority data source`,
  ],
  [source("Secret", "opaque", "k"), `${FIELD}key "k" not found in secret "concierge/opaque"`],
  [source("Secret", "opaque", "toString"), `${FIELD}key "toString" not found in secret "concierge/opaque"`],
  [source("ConfigMap", "map", "k"), `${FIELD}key "k" not found in configmap "concierge/map"`],
  [source("Secret", "opaque", "empty"), `${FIELD}key "empty" has empty value in secret "concierge/opaque"`],
  [source("ConfigMap", "map", "empty"), `${FIELD}key "empty" has empty value in configmap "concierge/map"`],
  [
    source("Secret", "opaque", "text"),
    `${FIELD}key "text" with 7 bytes of data in secret "concierge/opaque" is not a PEM-encoded certificate ${HINT}`,
  ],
  [
    source("ConfigMap", "map", "text"),
    `${FIELD}key "text" with 2 bytes of data in configmap "concierge/map" is not a PEM-encoded certificate ${HINT}`,
  ],
  [source("sorcery", "x", "y"), `${FIELD}unsupported CA bundle source kind: sorcery`],
];

test("every invalid TLS configuration has its message (contract 4.3)", () => {
  for (const [tls, message] of refusals) {
    const result = resolve(tls);
    assert.deepEqual(result, {
      finding: { type: "TLSConfigurationValid", status: "False", reason: "InvalidTLSConfig", message },
      caPem: undefined,
      caHash: undefined,
    });
  }
});

test("no configuration means the system's roots", () => {
  for (const tls of [undefined, {}, { certificateAuthorityData: "" }]) {
    assert.deepEqual(resolve(tls), {
      finding: {
        type: "TLSConfigurationValid",
        status: "True",
        reason: "Success",
        message:
          "spec.tls is valid: no TLS configuration provided: using default root CA bundle from container image",
      },
      caPem: undefined,
      caHash: "",
    });
  }
});

test("a bundle is taken from any of its places", () => {
  for (const tls of [
    { certificateAuthorityData: base64(caPem) },
    source("Secret", "opaque", "ca.crt"),
    source("Secret", "tls", "ca.crt"),
    source("ConfigMap", "map", "ca.crt"),
  ]) {
    const { finding, caPem: found } = resolve(tls);
    assert.equal(finding.status, "True");
    assert.equal(finding.message, "spec.tls is valid: using configured CA bundle");
    assert.equal(found?.replaceAll(/\s/g, ""), caPem.replaceAll(/\s/g, ""));
  }
});

test("one parsable certificate is enough, the others do not hide it", () => {
  const broken = `-----BEGIN CERTIFICATE-----\n${base64("junk")}\n-----END CERTIFICATE-----\n`;
  const result = resolve({ certificateAuthorityData: base64(`${broken}${certificatePem}${broken}${caPem}`) });
  assert.equal(result.caPem?.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.equal(resolve({ certificateAuthorityData: base64(broken) }).finding.status, "False");
});

test("the hash follows the bundle", () => {
  const first = resolve({ certificateAuthorityData: base64(caPem) }).caHash;
  assert.match(first ?? "", /^[0-9a-f]{64}$/);
  assert.equal(resolve(source("ConfigMap", "map", "ca.crt")).caHash, first);
  assert.notEqual(resolve({ certificateAuthorityData: base64(`${caPem}\n`) }).caHash, first);
});
