import { LanyardError } from "../../errors.ts";
import { createClientCertificateIssuer } from "../../pki/client-certificate.ts";
import type { ClientCertificateIssuer } from "../../pki/client-certificate.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import type { ReadonlyHolder } from "../state/holder.ts";
import { MINIMUM_LIFETIME_SECONDS } from "./lifetime.ts";
import type { Signer } from "./signer.ts";

/** Loading nothing fails with the very text that Go's `tls.X509KeyPair` has for it (contract 2.4). */
const NOTHING_LOADED: KeyPair = { certificatePem: "", privateKeyPem: "" };

/**
 * A signer with the CA that a holder has at the moment (contract 2.4). The CA is read and prepared once, when it changes.
 * One that cannot be used is treated as nothing new: the last good one goes on signing. Refusals of `issue`: those of
 * `ClientCertificateIssuer.issue` and of `parseSigningAuthority`.
 */
export function createCertificateSigner(options: {
  /** `CLUSTER_SIGNER_NAME` or `PROXY_SIGNER_NAME`. */
  readonly name: string;
  readonly keyPair: ReadonlyHolder<KeyPair | undefined>;
  /** S7: an hour for what the kube-apiserver itself accepts, a day otherwise. */
  readonly maximumLifetimeSeconds: number;
  /** Why nothing may be signed at the moment, whatever is loaded (S11). */
  readonly fault?: ReadonlyHolder<string | undefined> | undefined;
}): Signer {
  const { name, keyPair, maximumLifetimeSeconds, fault } = options;
  let prepared: ClientCertificateIssuer | undefined;
  let refusal: unknown;
  const prepare = (pair: KeyPair | undefined): void => {
    try {
      prepared = pair === undefined ? undefined : createClientCertificateIssuer(pair);
      refusal = undefined;
    } catch (error) {
      refusal = error;
    }
  };
  prepare(keyPair.current);
  keyPair.subscribe(prepare);
  const problem = (): unknown => {
    if (fault?.current !== undefined) {
      return new LanyardError({ code: "signer.fault", message: fault.current });
    }
    if (prepared === undefined) {
      // One error for all requests: where this signer is never used, each of them comes by here.
      refusal ??= whyNothingIsLoaded();
      return refusal;
    }
    return undefined;
  };
  return {
    name,
    minimumLifetimeSeconds: MINIMUM_LIFETIME_SECONDS,
    maximumLifetimeSeconds,
    acceptsPublicKeys: true,
    problem,
    issue: async ({ identity, lifetime, publicKeyInfo }) => {
      if (fault?.current !== undefined || prepared === undefined) {
        throw problem();
      }
      const issued = await prepared.issue({
        username: identity.username,
        groups: identity.groups,
        notBefore: lifetime.notBefore,
        // Nobody believes a certificate whose CA has expired (S7).
        notAfter: lifetime.notAfter < prepared.caNotAfter ? lifetime.notAfter : prepared.caNotAfter,
        publicKeySpki: publicKeyInfo,
      });
      return {
        clientCertificateData: issued.certificatePem,
        clientKeyData: issued.privateKeyPem,
        notBefore: issued.notBefore,
        notAfter: issued.notAfter,
      };
    },
  };
}

function whyNothingIsLoaded(): unknown {
  try {
    createClientCertificateIssuer(NOTHING_LOADED);
  } catch (error) {
    return error;
  }
  return new LanyardError({ code: "signer.empty", message: "could not load CA" });
}
