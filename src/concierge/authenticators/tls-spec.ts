import { createHash, X509Certificate } from "node:crypto";
import type { ConditionFinding } from "../../kube/conditions.ts";
import type { ConfigMap, Secret } from "../../kube/objects.ts";
import type { ResourceView } from "../../kube/resource-store.ts";
import { decodePem, encodePem } from "../../pki/pem.ts";
import type { CertificateAuthorityDataSourceSpec, TLSSpec } from "../../resources/tls-spec.ts";
import { base64ErrorOffset, goQuote } from "../../go-text.ts";

/** Where certificate bundles of `certificateAuthorityDataSource` are found: the namespace of the Concierge. */
export interface CertificateAuthoritySources {
  readonly namespace: string;
  readonly secrets: Pick<ResourceView<Secret>, "get">;
  readonly configMaps: Pick<ResourceView<ConfigMap>, "get">;
}

/** The condition `TLSConfigurationValid`, and what to trust when it is True. */
export interface TlsSpecResult {
  readonly finding: ConditionFinding;
  /** Every parsable certificate of the bundle; absent means the system's roots. */
  readonly caPem: string | undefined;
  /** SHA-256 of the bundle as configured, hex; empty without one. Absent when the condition is False. */
  readonly caHash: string | undefined;
}

const PEM_HINT = '(PEM certificates must begin with "-----BEGIN CERTIFICATE-----")';

/** Secrets of other types cannot be a source (contract 4.3). */
export const CERTIFICATE_AUTHORITY_SECRET_TYPES: readonly string[] = ["Opaque", "kubernetes.io/tls"];

/** `type` of a Secret; an absent one is Opaque, as the API server fills it in. */
export function secretType(secret: Secret): string {
  return secret.type ?? "Opaque";
}

class TlsRefusal extends Error {}

/** Reads `spec.tls` (contract 4.3). */
export function resolveTlsSpec(
  tls: TLSSpec | undefined,
  sources: CertificateAuthoritySources,
): TlsSpecResult {
  try {
    const bundle = readBundle(tls, sources);
    const message =
      bundle === undefined
        ? "spec.tls is valid: no TLS configuration provided: using default root CA bundle from container image"
        : "spec.tls is valid: using configured CA bundle";
    return {
      finding: { type: "TLSConfigurationValid", status: "True", reason: "Success", message },
      caPem: bundle?.caPem,
      caHash: bundle === undefined ? "" : createHash("sha256").update(bundle.bytes).digest("hex"),
    };
  } catch (error) {
    if (!(error instanceof TlsRefusal)) {
      throw error;
    }
    return {
      finding: {
        type: "TLSConfigurationValid",
        status: "False",
        reason: "InvalidTLSConfig",
        message: error.message,
      },
      caPem: undefined,
      caHash: undefined,
    };
  }
}

function readBundle(
  tls: TLSSpec | undefined,
  sources: CertificateAuthoritySources,
): { readonly bytes: Buffer; readonly caPem: string } | undefined {
  const data = tls?.certificateAuthorityData ?? "";
  const source = tls?.certificateAuthorityDataSource;
  if (data !== "" && source !== undefined) {
    throw new TlsRefusal(
      "spec.tls is invalid: both tls.certificateAuthorityDataSource and tls.certificateAuthorityData provided",
    );
  }
  if (source !== undefined) {
    return readSource(source, sources);
  }
  return data === "" ? undefined : readInline(data);
}

function readInline(data: string): { readonly bytes: Buffer; readonly caPem: string } {
  const field = "spec.tls.certificateAuthorityData is invalid";
  const offset = base64ErrorOffset(data);
  if (offset !== undefined) {
    throw new TlsRefusal(`${field}: illegal base64 data at input byte ${offset}`);
  }
  const bytes = Buffer.from(data, "base64");
  const caPem = parsableCertificates(bytes);
  if (caPem === "") {
    const length = Buffer.byteLength(data);
    throw new TlsRefusal(
      `${field}: no base64-encoded PEM certificates found in ${length} bytes of data ${PEM_HINT}`,
    );
  }
  return { bytes, caPem };
}

function readSource(
  source: CertificateAuthorityDataSourceSpec,
  sources: CertificateAuthoritySources,
): { readonly bytes: Buffer; readonly caPem: string } {
  const field = "spec.tls.certificateAuthorityDataSource is invalid";
  // The API server refuses other kinds, a folder of manifests may hold them.
  const kind: string = source.kind;
  if (kind !== "Secret" && kind !== "ConfigMap") {
    throw new TlsRefusal(`${field}: unsupported CA bundle source kind: ${kind}`);
  }
  const noun = kind.toLowerCase();
  const shown = `${noun} ${goQuote(`${sources.namespace}/${source.name}`)}`;
  const values = kind === "Secret" ? secretValues(source, sources) : configMapValues(source, sources);
  if (values === undefined) {
    throw new TlsRefusal(`${field}: failed to get ${shown}: ${noun} ${goQuote(source.name)} not found`);
  }
  if (values.unusableType !== undefined) {
    throw new TlsRefusal(
      `${field}: ${shown} of type ${goQuote(values.unusableType)} cannot be used as a certificate authority data source`,
    );
  }
  const key = `key ${goQuote(source.key)}`;
  if (values.bytes === undefined) {
    throw new TlsRefusal(`${field}: ${key} not found in ${shown}`);
  }
  if (values.bytes.length === 0) {
    throw new TlsRefusal(`${field}: ${key} has empty value in ${shown}`);
  }
  const caPem = parsableCertificates(values.bytes);
  if (caPem === "") {
    throw new TlsRefusal(
      `${field}: ${key} with ${values.bytes.length} bytes of data in ${shown} is not a PEM-encoded certificate ${PEM_HINT}`,
    );
  }
  return { bytes: values.bytes, caPem };
}

interface SourceValues {
  readonly unusableType?: string;
  readonly bytes?: Buffer | undefined;
}

function secretValues(
  source: CertificateAuthorityDataSourceSpec,
  { namespace, secrets }: CertificateAuthoritySources,
): SourceValues | undefined {
  const secret = secrets.get({ namespace, name: source.name });
  if (secret === undefined) {
    return undefined;
  }
  if (!CERTIFICATE_AUTHORITY_SECRET_TYPES.includes(secretType(secret))) {
    return { unusableType: secretType(secret) };
  }
  const data = secret.data ?? {};
  return {
    bytes: Object.hasOwn(data, source.key) ? Buffer.from(data[source.key] ?? "", "base64") : undefined,
  };
}

function configMapValues(
  source: CertificateAuthorityDataSourceSpec,
  { namespace, configMaps }: CertificateAuthoritySources,
): SourceValues | undefined {
  const configMap = configMaps.get({ namespace, name: source.name });
  if (configMap === undefined) {
    return undefined;
  }
  const data = configMap.data ?? {};
  return { bytes: Object.hasOwn(data, source.key) ? Buffer.from(data[source.key] ?? "", "utf8") : undefined };
}

/** One parsable certificate is enough; OpenSSL would stop reading at the first that is not, so the others are left out. */
function parsableCertificates(bytes: Buffer): string {
  return decodePem(bytes.toString("latin1"))
    .filter((block) => block.type === "CERTIFICATE" && isCertificate(block.bytes))
    .map((block) => encodePem("CERTIFICATE", block.bytes))
    .join("");
}

function isCertificate(der: Buffer): boolean {
  try {
    return new X509Certificate(der).raw.length > 0;
  } catch {
    return false;
  }
}
