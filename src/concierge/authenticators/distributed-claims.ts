import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { claimOf } from "../../identity/claims-mapping.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { JwksSource } from "./jwks-source.ts";
import { createJwksSource } from "./jwks-source.ts";
import type { Claims } from "./jwt-verification.ts";
import { JwtRefusal, MAXIMUM_TOKEN_BYTES, readUnverifiedJwt, verifyJwt } from "./jwt-verification.ts";
import { discoverProvider, httpsUrl } from "./oidc-discovery.ts";
import type { OutboundHttp } from "./outbound-http.ts";

export interface DistributedClaimsOptions {
  readonly http: OutboundHttp;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Fetches a claim that a token only points at (OpenID Connect Core 1.0 section 5.6.2). */
export interface DistributedClaims {
  /** The claims with `name` filled in, or as they came when nothing points at it. Throws `JwtRefusal`. */
  resolve(claims: Claims, name: string, signal: AbortSignal): Promise<Claims>;
  close(): void;
}

/** Issuers of distributed claims are few; more than these are forgotten, the oldest first. */
const MAXIMUM_ISSUERS = 8;

export function createDistributedClaims(options: DistributedClaimsOptions): DistributedClaims {
  const sources = new Map<string, JwksSource>();
  let closed = false;

  const sourceOf = async (issuer: string, signal: AbortSignal): Promise<JwksSource> => {
    const known = sources.get(issuer);
    if (known !== undefined) {
      return known;
    }
    const document = await discoverProvider(issuer, options.http, signal);
    const jwksUri = document["jwks_uri"];
    const source = createJwksSource({
      ...options,
      url: httpsUrl(typeof jwksUri === "string" ? jwksUri : ""),
    });
    await source.start(signal);
    if (closed || sources.has(issuer)) {
      source.close();
      return sources.get(issuer) ?? source;
    }
    const [oldest] = sources.keys();
    if (sources.size >= MAXIMUM_ISSUERS && oldest !== undefined) {
      sources.get(oldest)?.close();
      sources.delete(oldest);
    }
    sources.set(issuer, source);
    return source;
  };

  const fetchClaims = async (
    endpoint: string,
    accessToken: unknown,
    signal: AbortSignal,
  ): Promise<Claims> => {
    const answer = await options.http.send({
      method: "GET",
      url: httpsUrl(endpoint),
      headers:
        typeof accessToken === "string" && accessToken !== ""
          ? { authorization: `Bearer ${accessToken}` }
          : {},
      maximumBytes: MAXIMUM_TOKEN_BYTES,
      signal,
    });
    if (answer.status !== 200) {
      throw new JwtRefusal(`the endpoint answered ${answer.statusLine}`);
    }
    const token = answer.body.toString("latin1").trim();
    const unverified = readUnverifiedJwt(token);
    const issuer = unverified === undefined ? undefined : claimOf(unverified.claims, "iss");
    if (unverified === undefined || typeof issuer !== "string") {
      throw new JwtRefusal("the endpoint did not answer a JWT with an issuer");
    }
    const source = await sourceOf(issuer, signal);
    return verifyJwt(unverified, source, { ...options, issuers: [issuer] }, signal);
  };

  return {
    resolve: async (claims, name, signal) => {
      const endpoint = endpointFor(claims, name);
      if (endpoint === undefined) {
        return claims;
      }
      try {
        const value = claimOf(await fetchClaims(endpoint.url, endpoint.accessToken, signal), name);
        if (value === undefined) {
          throw new JwtRefusal("the answer does not hold the claim");
        }
        return { ...claims, [name]: value };
      } catch (error) {
        signal.throwIfAborted();
        throw new JwtRefusal(`oidc: could not expand distributed claims: ${messageOf(error)}`, error);
      }
    },
    close: () => {
      closed = true;
      for (const source of sources.values()) {
        source.close();
      }
      sources.clear();
    },
  };
}

function endpointFor(claims: Claims, name: string): { url: string; accessToken: unknown } | undefined {
  const names = claimOf(claims, "_claim_names");
  if (Object.hasOwn(claims, name) || names === undefined) {
    return undefined;
  }
  const sourceName = claimOf(asObject(names, "_claim_names"), name);
  if (sourceName === undefined) {
    return undefined;
  }
  const sources = asObject(claimOf(claims, "_claim_sources"), "_claim_sources");
  const source = typeof sourceName === "string" ? claimOf(sources, sourceName) : undefined;
  if (source === undefined) {
    throw new JwtRefusal("oidc: _claim_names names a source that _claim_sources does not hold");
  }
  const { endpoint, access_token: accessToken } = asObject(source, "_claim_sources") as {
    readonly endpoint?: unknown;
    readonly access_token?: unknown;
  };
  // A source without an endpoint holds an aggregated claim, which is not used (contract 4.5).
  return typeof endpoint === "string" && endpoint !== "" ? { url: endpoint, accessToken } : undefined;
}

function asObject(value: unknown, what: string): Claims {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new JwtRefusal(`oidc: ${what} is not an object`);
  }
  return value as Claims;
}
