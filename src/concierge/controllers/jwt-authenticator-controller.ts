import type { Controller } from "../../kube/controller.ts";
import { messageOf } from "../../errors.ts";
import { jwtAuthenticators } from "../../resources/jwt-authenticator.ts";
import type { JWTAuthenticator } from "../../resources/jwt-authenticator.ts";
import type { TlsProfile } from "../../tls/profiles.ts";
import { parseGoUrl } from "../authenticators/go-url.ts";
import { checkIssuerUrl } from "../authenticators/issuer-url.ts";
import { createJwksSource } from "../authenticators/jwks-source.ts";
import { createJwtAuthenticator } from "../authenticators/jwt-authenticator.ts";
import { discoverProvider, httpsUrl } from "../authenticators/oidc-discovery.ts";
import { createOutboundHttp } from "../authenticators/outbound-http.ts";
import type { OutboundHttp } from "../authenticators/outbound-http.ts";
import type { ProxyForUrl } from "../authenticators/outbound-proxy.ts";
import {
  createAuthenticatorController,
  failure,
  success,
  unableToValidate,
} from "./authenticator-reconcile.ts";
import type { AuthenticatorControllerOptions, NetworkResult } from "./authenticator-reconcile.ts";

export interface JwtAuthenticatorControllerOptions extends AuthenticatorControllerOptions {
  readonly proxyForUrl: ProxyForUrl;
  /** Default: the Default profile of contract 8.1. */
  readonly tlsProfile?: TlsProfile | undefined;
  /** Default RS256 and ES256 (contract 4.5). */
  readonly algorithms?: readonly string[] | undefined;
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
    caPem: string | undefined,
    signal: AbortSignal,
  ): Promise<NetworkResult> => {
    const http = createOutboundHttp({
      caPem,
      profile: options.tlsProfile,
      proxyForUrl: options.proxyForUrl,
      clock: options.clock,
    });
    try {
      const result = await checkProvider(object, http, options, signal);
      if (result.authenticator === undefined) {
        http.close();
      }
      return result;
    } catch (error) {
      http.close();
      throw error;
    }
  };
  return createAuthenticatorController(
    {
      controllerName: "jwtcachefiller-controller",
      resource: jwtAuthenticators,
      kind: "JWTAuthenticator",
      checkUrl: (object) => checkIssuerUrl(object.spec.issuer),
      networkConditions: () => networkConditions,
      settings: ({ spec }) => ({ ...spec, tls: undefined }),
      checkNetwork,
    },
    options,
  );
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
  { spec }: JWTAuthenticator,
  http: OutboundHttp,
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
  return await fetchKeysAndBuild(spec, jwksUri, http, options, signal);
}

async function fetchKeysAndBuild(
  spec: JWTAuthenticator["spec"],
  jwksUri: string,
  http: OutboundHttp,
  options: JwtAuthenticatorControllerOptions,
  signal: AbortSignal,
): Promise<NetworkResult> {
  const { clock, log } = options;
  let jwks;
  try {
    const url = httpsUrl(jwksUri);
    jwks = createJwksSource({ url, http, clock, log, maximumStaleSeconds: maximumStaleSeconds(spec) });
    await jwks.start(signal);
  } catch (error) {
    jwks?.close();
    signal.throwIfAborted();
    return stoppedAt(
      "JWKSFetchValid",
      "InvalidCouldNotFetchJWKS",
      `could not fetch keys: fetching keys ${messageOf(error)}`,
    );
  }
  try {
    const authenticator = createJwtAuthenticator({
      issuer: spec.issuer,
      audience: spec.audience,
      usernameClaim: spec.claims?.username,
      groupsClaim: spec.claims?.groups,
      algorithms: options.algorithms,
      jwks,
      http,
      clock,
      log,
    });
    return { findings: networkConditions.map(([type, message]) => success(type, message)), authenticator };
  } catch (error) {
    jwks.close();
    return stoppedAt(
      "AuthenticatorValid",
      "InvalidAuthenticator",
      `could not initialize oidc authenticator: ${messageOf(error)}`,
    );
  }
}

/** `spec.jwks.maximumStaleSeconds` (S5), an additive field; whatever is not a whole number of seconds counts as absent. */
function maximumStaleSeconds(spec: JWTAuthenticator["spec"]): number | undefined {
  const { jwks } = spec as { readonly jwks?: { readonly maximumStaleSeconds?: unknown } };
  const seconds = jwks?.maximumStaleSeconds;
  return typeof seconds === "number" && Number.isSafeInteger(seconds) && seconds >= 0 ? seconds : undefined;
}

/** Long texts are cut unless they say what is wrong with the provider or its certificate (contract 4.4). */
function truncateUnlessTelling(text: string): string {
  const characters = Array.from(text);
  return characters.length <= 300 || text.includes("oidc:") || text.includes("x509:")
    ? text
    : `${characters.slice(0, 300).join("")} [truncated ${characters.length - 300} chars]`;
}
