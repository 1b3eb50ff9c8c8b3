import type { Controller } from "../../kube/controller.ts";
import { messageOf } from "../../errors.ts";
import type { ClaimsMappingRules } from "../../identity/claims-mapping.ts";
import { jwtAuthenticators } from "../../resources/jwt-authenticator.ts";
import type { JWTAuthenticator } from "../../resources/jwt-authenticator.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { TlsProfile } from "../../tls/profiles.ts";
import { parseGoUrl } from "../authenticators/go-url.ts";
import { checkIssuerUrl } from "../authenticators/issuer-url.ts";
import { createJwksSource } from "../authenticators/jwks-source.ts";
import type { JwksSource } from "../authenticators/jwks-source.ts";
import { createJwtAuthenticator } from "../authenticators/jwt-authenticator.ts";
import type { JwtAuthenticatorOptions } from "../authenticators/jwt-authenticator.ts";
import { announcedAlgorithms } from "../authenticators/jwt-verification.ts";
import { discoverProvider, httpsUrl } from "../authenticators/oidc-discovery.ts";
import { createOutboundHttp } from "../authenticators/outbound-http.ts";
import type { OutboundHttp } from "../authenticators/outbound-http.ts";
import type { ProxyForUrl } from "../authenticators/outbound-proxy.ts";
import { checkClaims } from "./authenticator-expressions.ts";
import type { CheckedExpressions } from "./authenticator-expressions.ts";
import { failure, success, unableToValidate } from "./authenticator-findings.ts";
import { createAuthenticatorController } from "./authenticator-reconcile.ts";
import type { AuthenticatorControllerOptions, NetworkResult } from "./authenticator-reconcile.ts";

export interface JwtAuthenticatorControllerOptions extends AuthenticatorControllerOptions {
  readonly proxyForUrl: ProxyForUrl;
  /** Default: the Default profile of contract 8.1. */
  readonly tlsProfile?: TlsProfile | undefined;
  /** The Concierge's API group suffix: a domain that extra keys cannot use (S3). */
  readonly apiGroupSuffix: string;
  readonly metrics: Pick<Metrics, "jwksFetched" | "jwksForgotten">;
}

const trueMessages = {
  DiscoveryURLValid: "discovery performed successfully",
  JWKSURLValid: "jwks_uri is a valid URL",
  JWKSFetchValid: "successfully fetched jwks",
  AuthenticatorValid: "authenticator initialized",
} as const;

type NetworkCondition = keyof typeof trueMessages;

const networkConditions = Object.entries(trueMessages) as readonly [NetworkCondition, string][];

/** Keeps the JWT authenticators in force and their status true (contract 4.4, 4.7). */
export function createJwtAuthenticatorController(options: JwtAuthenticatorControllerOptions): Controller {
  const checkNetwork = async (
    object: JWTAuthenticator,
    { caPem, expressions }: { readonly caPem: string | undefined; readonly expressions: CheckedExpressions },
    signal: AbortSignal,
  ): Promise<NetworkResult> => {
    const http = createOutboundHttp({
      caPem,
      profile: options.tlsProfile,
      proxyForUrl: options.proxyForUrl,
      clock: options.clock,
    });
    try {
      const result = await checkProvider(object, http, expressions.claims, options, signal);
      if (result.authenticator === undefined) {
        http.close();
      }
      return result;
    } catch (error) {
      http.close();
      throw error;
    }
  };
  const objects = options.store.view(jwtAuthenticators);
  const controller = createAuthenticatorController(
    {
      controllerName: "jwtcachefiller-controller",
      resource: jwtAuthenticators,
      kind: "JWTAuthenticator",
      checkUrl: (object) => checkIssuerUrl(object.spec.issuer),
      networkConditions: () => networkConditions,
      settings: ({ spec }) => ({ ...spec, tls: undefined }),
      source: ({ spec }) => [spec.issuer, spec.audience, spec.jwks ?? null],
      checkExpressions: ({ spec }) => checkClaims(spec, { reservedDomains: [options.apiGroupSuffix] }),
      checkNetwork,
      dropped: (name) => options.metrics.jwksForgotten(name),
    },
    options,
  );
  return {
    ...controller,
    watch: (enqueue) => {
      const stops = [
        controller.watch(enqueue),
        objects.subscribe(({ name }) => {
          if (objects.get({ name }) === undefined) {
            options.metrics.jwksForgotten(name);
          }
        }),
      ];
      return () => {
        for (const stop of stops) {
          stop();
        }
      };
    },
  };
}

/** Findings up to and with the one that failed; those after it cannot be judged. */
function stoppedAt(type: NetworkCondition, reason: string, message: string): NetworkResult {
  const failed = networkConditions.findIndex(([name]) => name === type);
  return {
    findings: networkConditions.map(([name, trueMessage], index) =>
      index < failed
        ? success(name, trueMessage)
        : index === failed
          ? failure(name, reason, message)
          : unableToValidate(name),
    ),
  };
}

async function checkProvider(
  { metadata, spec }: JWTAuthenticator,
  http: OutboundHttp,
  rules: ClaimsMappingRules | undefined,
  options: JwtAuthenticatorControllerOptions,
  signal: AbortSignal,
): Promise<NetworkResult> {
  let document;
  try {
    document = await discoverProvider(spec.issuer, http, signal);
  } catch (error) {
    signal.throwIfAborted();
    const text = truncateUnlessTelling(messageOf(error));
    return stoppedAt(
      "DiscoveryURLValid",
      "InvalidDiscoveryProbe",
      `could not perform oidc discovery on provider issuer: ${text}`,
    );
  }
  const jwksUri = document["jwks_uri"] ?? "";
  if (typeof jwksUri !== "string") {
    return stoppedAt(
      "JWKSURLValid",
      "InvalidProviderJWKSURL",
      "could not get provider jwks_uri: it is not a string",
    );
  }
  const parsed = parseGoUrl(jwksUri);
  if (parsed.url === undefined) {
    return stoppedAt(
      "JWKSURLValid",
      "InvalidProviderJWKSURL",
      `could not parse provider jwks_uri: ${parsed.error}`,
    );
  }
  if (parsed.url.scheme !== "https") {
    return stoppedAt(
      "JWKSURLValid",
      "InvalidProviderJWKSURLScheme",
      `jwks_uri ${jwksUri} has invalid scheme, require 'https'`,
    );
  }
  const keys = await fetchKeys(metadata.name, spec, jwksUri, { ...options, http }, signal);
  if ("findings" in keys) {
    return keys;
  }
  const algorithms = announcedAlgorithms(document["id_token_signing_alg_values_supported"]);
  return build(spec, { ...options, http, algorithms, rules, jwks: keys });
}

async function fetchKeys(
  name: string,
  spec: JWTAuthenticator["spec"],
  jwksUri: string,
  options: Pick<JwtAuthenticatorControllerOptions, "clock" | "log" | "metrics"> & {
    readonly http: OutboundHttp;
  },
  signal: AbortSignal,
): Promise<JwksSource | NetworkResult> {
  let jwks;
  try {
    jwks = createJwksSource({
      ...options,
      url: httpsUrl(jwksUri),
      maximumStaleSeconds: spec.jwks?.maximumStaleSeconds,
      onFetched: (succeeded) => options.metrics.jwksFetched(name, succeeded),
    });
    await jwks.start(signal);
    return jwks;
  } catch (error) {
    jwks?.close();
    signal.throwIfAborted();
    return stoppedAt(
      "JWKSFetchValid",
      "InvalidCouldNotFetchJWKS",
      `could not fetch keys: fetching keys ${messageOf(error)}`,
    );
  }
}

function build(
  { issuer, audience }: JWTAuthenticator["spec"],
  parts: Omit<JwtAuthenticatorOptions, "issuer" | "audience">,
): NetworkResult {
  try {
    const authenticator = createJwtAuthenticator({ ...parts, issuer, audience });
    return { findings: networkConditions.map(([type, message]) => success(type, message)), authenticator };
  } catch (error) {
    parts.jwks.close();
    return stoppedAt(
      "AuthenticatorValid",
      "InvalidAuthenticator",
      `could not initialize oidc authenticator: ${messageOf(error)}`,
    );
  }
}

/** Long texts are cut unless they say what is wrong with the provider or its certificate (contract 4.4). */
function truncateUnlessTelling(text: string): string {
  const characters = Array.from(text);
  return characters.length <= 300 || text.includes("oidc:") || text.includes("x509:")
    ? text
    : `${characters.slice(0, 300).join("")} [truncated ${characters.length - 300} chars]`;
}
