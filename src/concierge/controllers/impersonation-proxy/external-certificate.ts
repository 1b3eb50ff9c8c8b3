import { messageOf } from "../../../errors.ts";
import { base64ErrorOffset, goQuote } from "../../../go-text.ts";
import type { Secret } from "../../../kube/objects.ts";
import type { ResourceView } from "../../../kube/resource-store.ts";
import { parseCertificateBundle } from "../../../pki/certificate.ts";
import { parseServingKeyPair } from "../../../pki/key-pair.ts";
import type { ImpersonationProxyTLSSpec } from "../../../resources/credential-issuer-spec.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import { secretTexts } from "../serving-certificate-secret.ts";
import { tlsPair } from "./own-certificate.ts";
import { setupFault } from "./setup-fault.ts";

const LOAD_PREFIX = "could not load the externally provided TLS secret for the impersonation proxy: ";
const DATA_PREFIX = "could not decode impersonationSpec.TLS.certificateAuthorityData: ";
const NOT_A_CERTIFICATE = "data is not a certificate";

/** The name in `spec.tls.secretName`; a fault when there is none (contract 5.3). */
export function externalSecretName({ secretName = "" }: ImpersonationProxyTLSSpec): string {
  if (secretName === "") {
    throw setupFault("must provide impersonationSpec.TLS.secretName if impersonationSpec.TLS is provided");
  }
  return secretName;
}

/** An administrator's serving certificate. */
export interface ExternalCertificate {
  readonly pair: KeyPair;
  /** PEM of `ca.crt`; undefined: the Secret has none. */
  readonly caPem: string | undefined;
}

/** Reads the Secret that `spec.tls` names; faults carry the contract's texts (5.3). */
export function readExternalCertificate(
  view: Pick<ResourceView<Secret>, "get">,
  key: { readonly namespace: string; readonly name: string },
): ExternalCertificate {
  const secret = view.get(key);
  if (secret === undefined) {
    throw setupFault(`${LOAD_PREFIX}secret ${goQuote(key.name)} not found`);
  }
  const pair = tlsPair(secret);
  try {
    parseServingKeyPair(pair);
  } catch (error) {
    throw setupFault(
      `${LOAD_PREFIX}could not parse TLS cert PEM data from Secret: ${messageOf(error)}`,
      error,
    );
  }
  const caPem = secretTexts(secret)["ca.crt"] ?? "";
  if (caPem === "") {
    return { pair, caPem: undefined };
  }
  if (!isBundle(caPem)) {
    throw setupFault(`${LOAD_PREFIX}unable to read provided ca.crt: ${NOT_A_CERTIFICATE}`);
  }
  return { pair, caPem };
}

/**
 * What clients are told to trust: `spec.tls.certificateAuthorityData`, else the Secret's `ca.crt`. A kubeconfig without
 * either would trust every public CA, so that is a fault which names both fields.
 */
export function advertisedAuthority(
  { certificateAuthorityData: data = "", secretName = "" }: ImpersonationProxyTLSSpec,
  certificate: ExternalCertificate,
): string {
  if (data === "") {
    if (certificate.caPem === undefined) {
      throw setupFault(
        `${LOAD_PREFIX}secret ${goQuote(secretName)} has no ca.crt: add it, or set spec.impersonationProxy.tls.certificateAuthorityData to the certificate authority that clients are to trust`,
      );
    }
    return certificate.caPem;
  }
  const offset = base64ErrorOffset(data);
  if (offset !== undefined) {
    throw setupFault(`${DATA_PREFIX}illegal base64 data at input byte ${offset}`);
  }
  const pem = Buffer.from(data, "base64").toString("utf8");
  if (!isBundle(pem)) {
    throw setupFault(`${DATA_PREFIX}${NOT_A_CERTIFICATE}`);
  }
  return pem;
}

function isBundle(pem: string): boolean {
  return parseCertificateBundle(pem).length > 0;
}
