import { systemClock } from "../../../clock.ts";
import type { Clock } from "../../../clock.ts";
import { createCertificateAuthority } from "../../../pki/certificate-authority.ts";
import type { AuditEvent } from "../../../telemetry/audit.ts";
import { createExchange } from "../../api/token-credential-request/exchange.ts";
import { createCertificateSigner } from "../../credentials/certificate-signer.ts";
import { createCredentialIssuing } from "../../credentials/issue-credential.ts";
import type { IssuedCredential } from "../../credentials/issue-credential.ts";
import { MAXIMUM_LIFETIME_SECONDS } from "../../credentials/lifetime.ts";
import { createConcurrencyLimit, createFailureLimiter } from "../../request/limits.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import { defaultCredentialSettings } from "../../state/credential-settings.ts";
import { createHolder } from "../../state/holder.ts";
import { createAuthenticatorCache } from "../authenticator-cache.ts";
import type { AuthenticatorCache } from "../authenticator-cache.ts";
import { AUTHENTICATION_GROUP } from "../authenticator.ts";
import type { Authenticator, AuthenticatorReference } from "../authenticator.ts";

const HOUR = 3_600_000;
const plenty = { perSecond: 1_000_000, burst: 1_000_000 };

/** The exchange as the server has it, around authenticators of a test. */
export interface ExchangeBench {
  readonly cache: AuthenticatorCache;
  readonly audit: readonly AuditEvent[];
  /** Bounds that the signer was given, in order. */
  readonly bounds: readonly (number | undefined)[];
  reference(kind: AuthenticatorReference["kind"]): AuthenticatorReference;
  put(kind: AuthenticatorReference["kind"], authenticator: Authenticator): void;
  exchange(kind: AuthenticatorReference["kind"], token: string): Promise<IssuedCredential | undefined>;
}

/** Real certificates from a CA of its own, no rate limits. */
export async function createExchangeBench(options: { readonly clock?: Clock } = {}): Promise<ExchangeBench> {
  const { clock = systemClock } = options;
  const now = clock.now();
  const authority = await createCertificateAuthority({
    commonName: "exchange bench",
    notBefore: new Date(now - HOUR),
    notAfter: new Date(now + 24 * HOUR),
  });
  const signer = createCertificateSigner({
    name: "test",
    keyPair: createHolder<typeof authority | undefined>(authority),
    maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
  });
  const cache = createAuthenticatorCache();
  const audit: AuditEvent[] = [];
  const bounds: (number | undefined)[] = [];
  const metrics = {
    exchangeFinished: () => {},
    exchangePhase: () => {},
    credentialIssued: () => {},
    stopwatch: () => 0,
    authenticatorCalled: () => {},
    rateLimited: () => {},
  };
  const limits = {
    failuresPerSource: plenty,
    failuresPerAuthenticator: plenty,
    tokenReviewsPerSource: plenty,
    tokenReviews: plenty,
    concurrentCreates: 10_000,
  };
  const credentials = createCredentialIssuing({
    signers: [signer],
    settings: createHolder(defaultCredentialSettings),
    clock,
  });
  const exchange = createExchange({
    authenticators: cache,
    credentials: {
      issue: (request) => {
        bounds.push(request.authenticatorMaximumSeconds);
        return credentials.issue(request);
      },
    },
    reservedIdentities: () => ({ neverAllowedUsernames: ["front-proxy-client"] }),
    failures: createFailureLimiter({ limits, clock, metrics }),
    concurrency: createConcurrencyLimit({ maximum: 10_000, metrics }),
    audit: { record: (event) => audit.push(event) },
    log: silentLogger,
    clock,
    metrics,
  });
  const reference = (kind: AuthenticatorReference["kind"]): AuthenticatorReference => ({
    apiGroup: AUTHENTICATION_GROUP,
    kind,
    name: "x",
  });
  return {
    cache,
    audit,
    bounds,
    reference,
    put: (kind, authenticator) => cache.set(reference(kind), { authenticator, fingerprint: "" }),
    exchange: (kind, token) =>
      exchange({
        token,
        authenticator: reference(kind),
        auditID: "audit",
        source: "127.0.0.1",
        form: "ClientCertificate",
        name: "",
        signal: new AbortController().signal,
      }),
  };
}
