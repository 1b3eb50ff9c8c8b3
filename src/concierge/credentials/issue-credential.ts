import { hash } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import { decodePem } from "../../pki/pem.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import type { ReadonlyHolder } from "../state/holder.ts";
import type { BearerCredential, BearerRequest } from "./bearer-credential.ts";
import {
  grantedSeconds,
  lifetimeBounds,
  lifetimeWithin,
  MAXIMUM_LIFETIME_SECONDS,
  MINIMUM_LIFETIME_SECONDS,
  reportedExpiry,
} from "./lifetime.ts";
import type { LifetimeBounds } from "./lifetime.ts";
import type { ClientCertificateCredential, Lifetime, Signer } from "./signer.ts";

/** What an answer carries: never both (S9). */
export type CredentialForm = "ClientCertificate" | "BearerToken";

/** Mints a bearer credential for the impersonation proxy (S9); throws when it cannot. */
export type IssueBearer = (request: BearerRequest) => BearerCredential | Promise<BearerCredential>;

/** What the exchange asks for, once it knows who it is. */
export interface CredentialRequest {
  readonly identity: Identity;
  /** As `formFor` chose it when the request came in. */
  readonly form: CredentialForm;
  /** Hex SHA-256 of the token. */
  readonly tokenID: string;
  /** `spec.expirationSeconds`, validated. */
  readonly requestedSeconds?: number | undefined;
  /** Of the authenticator (`spec.credential`). */
  readonly authenticatorMaximumSeconds?: number | undefined;
  /** Milliseconds since the epoch. */
  readonly tokenExpiresAt?: number | undefined;
  /** The caller's key as SubjectPublicKeyInfo DER, possession proven. */
  readonly publicKeyInfo?: Uint8Array | undefined;
  readonly signal: AbortSignal;
}

export interface IssuedCredential {
  /** Members of `status.credential` besides the time (contract 2.1). */
  readonly value:
    | { readonly token: string }
    | { readonly clientCertificateData: string; readonly clientKeyData?: string | undefined };
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** What the answer says; never later than `notAfter`. */
  readonly expirationTimestamp: Date;
  readonly grantedSeconds: number;
  /** Who issued it. */
  readonly signer: string;
  /** `X509SHA256=<hex>` or `JTI=<jti>`, as Kubernetes' audit lines name it; computed when asked. */
  credentialID(): string;
}

/** Identity in, credential out. */
export interface CredentialIssuing {
  /** S9: the form for a request that came, or did not come, through the impersonation proxy. */
  formFor(throughProxy: boolean): CredentialForm;
  /**
   * Asks the signers in their order; the first that can, issues (contract 2.4). Refusal: `credential.notIssued` with every
   * signer's error in one text, as `k8s.io/apimachinery/pkg/util/errors` joins them.
   */
  issue(request: CredentialRequest): Promise<IssuedCredential>;
}

export interface CredentialIssuingOptions {
  /** In the order of clarification 12. */
  readonly signers: readonly Signer[];
  readonly settings: ReadonlyHolder<CredentialSettings>;
  /** Absent: everybody gets a certificate. */
  readonly issueBearer?: IssueBearer | undefined;
  readonly clock: Pick<Clock, "now">;
}

/** As it is called in audit lines. */
export const BEARER_SIGNER_NAME = "impersonation-proxy-bearer-token";

export function createCredentialIssuing(options: CredentialIssuingOptions): CredentialIssuing {
  const { signers, settings, issueBearer, clock } = options;
  return {
    formFor: (throughProxy) =>
      throughProxy && issueBearer !== undefined && settings.current.proxyCredential === "BearerToken"
        ? "BearerToken"
        : "ClientCertificate",
    issue: async (request) => {
      const now = clock.now();
      const policy = settings.current.lifetimes;
      const bounds = lifetimeBounds({ ...request, now, policy });
      const lifetimeOf = (
        limits: Pick<Signer, "minimumLifetimeSeconds" | "maximumLifetimeSeconds">,
      ): Lifetime => {
        const lifetime = lifetimeWithin(bounds, limits, { now, policy });
        if (lifetime === undefined) {
          throw cannotGoAsShort(limits, bounds);
        }
        return lifetime;
      };
      const issued =
        request.form === "BearerToken" && issueBearer !== undefined
          ? await mintBearer(issueBearer, request, lifetimeOf)
          : await signCertificate(signers, request, lifetimeOf, now);
      return {
        ...issued,
        expirationTimestamp: reportedExpiry(issued.notAfter, now, policy),
        grantedSeconds: grantedSeconds(issued.notAfter, now),
      };
    },
  };
}

type Issued = Omit<IssuedCredential, "expirationTimestamp" | "grantedSeconds">;
type LifetimeOf = (limits: Pick<Signer, "minimumLifetimeSeconds" | "maximumLifetimeSeconds">) => Lifetime;

async function signCertificate(
  signers: readonly Signer[],
  request: CredentialRequest,
  lifetimeOf: LifetimeOf,
  now: number,
): Promise<Issued> {
  const { identity, publicKeyInfo, signal } = request;
  const refusals: { readonly name: string; readonly error: unknown }[] = [];
  for (const signer of signers) {
    if (signer.isActive?.() === false) {
      continue;
    }
    const { name } = signer;
    const problem = signer.problem?.();
    if (problem !== undefined) {
      refusals.push({ name, error: problem });
      continue;
    }
    try {
      if (publicKeyInfo !== undefined && !signer.acceptsPublicKeys) {
        throw refusal("signer.publicKey", "it does not certify keys of callers");
      }
      const lifetime = lifetimeOf(signer);
      const credential = await signer.issue({ identity, lifetime, publicKeyInfo, signal });
      requireAsAsked(credential, lifetime, now, signer);
      return {
        value: {
          clientCertificateData: credential.clientCertificateData,
          clientKeyData: publicKeyInfo === undefined ? credential.clientKeyData : undefined,
        },
        notBefore: credential.notBefore,
        notAfter: credential.notAfter,
        signer: signer.name,
        credentialID: () => certificateID(credential.clientCertificateData),
      };
    } catch (error) {
      refusals.push({ name, error });
    }
  }
  const errors = refusals.map(({ error }) => error);
  const messages = refusals.map(
    ({ name, error }) => `${name} failed to issue client cert: ${messageOf(error)}`,
  );
  throw notIssued(aggregate(messages), errors.length === 0 ? undefined : new AggregateError(errors));
}

async function mintBearer(
  issueBearer: IssueBearer,
  { identity, tokenID }: CredentialRequest,
  lifetimeOf: LifetimeOf,
): Promise<Issued> {
  try {
    const lifetime = lifetimeOf({
      minimumLifetimeSeconds: MINIMUM_LIFETIME_SECONDS,
      maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
    });
    const bearer = await issueBearer({ identity, lifetime, tokenID });
    return {
      value: { token: bearer.token },
      notBefore: bearer.notBefore,
      notAfter: bearer.notAfter,
      signer: BEARER_SIGNER_NAME,
      credentialID: () => `JTI=${bearer.jti}`,
    };
  } catch (error) {
    throw notIssued(`${BEARER_SIGNER_NAME} failed to issue token: ${messageOf(error)}`, error);
  }
}

function wholeSeconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}

/** Whoever signs: what the bounds leave is never exceeded, and what is about to end is of no use (S7). */
function requireAsAsked(
  { notAfter }: ClientCertificateCredential,
  lifetime: Lifetime,
  now: number,
  { minimumLifetimeSeconds, signingSeconds = 0 }: Signer,
): void {
  // A shortest lifetime that another's clock begins to count when it signs cannot end any earlier.
  const shortestEnd = (wholeSeconds(now) + minimumLifetimeSeconds + signingSeconds) * 1000;
  if (notAfter > lifetime.notAfter && (signingSeconds === 0 || notAfter.getTime() > shortestEnd)) {
    throw refusal("signer.lifetime", "it issued a certificate that lives longer than asked");
  }
  if (grantedSeconds(notAfter, now) < MINIMUM_LIFETIME_SECONDS) {
    throw refusal(
      "signer.lifetime",
      `its certificate would end in less than ${MINIMUM_LIFETIME_SECONDS} seconds, with its CA`,
    );
  }
}

function cannotGoAsShort(
  { minimumLifetimeSeconds }: { readonly minimumLifetimeSeconds: number },
  { maximumSeconds }: LifetimeBounds,
): LanyardError {
  return refusal(
    "signer.lifetime",
    `it issues for ${minimumLifetimeSeconds} seconds at least, and ${maximumSeconds} seconds are allowed at most`,
  );
}

function certificateID(pem: string): string {
  const [block] = decodePem(pem);
  return `X509SHA256=${block === undefined ? "" : hash("sha256", block.bytes, "hex")}`;
}

function refusal(code: string, message: string): LanyardError {
  return new LanyardError({ code, message });
}

function notIssued(message: string, cause: unknown): LanyardError {
  return new LanyardError({ code: "credential.notIssued", message, cause });
}

/** One error stands alone, several in brackets, the same one twice once. */
function aggregate(messages: readonly string[]): string {
  const distinct = [...new Set(messages)];
  if (distinct.length <= 1) {
    return distinct[0] ?? "failed to issue cert";
  }
  return `[${distinct.join(", ")}]`;
}
