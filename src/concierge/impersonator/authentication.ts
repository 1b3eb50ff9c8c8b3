import { createHash } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import { anonymousIdentity, withAuthenticatedGroup } from "../request/authentication-chain.ts";
import { bearerToken, webSocketToken } from "../request/bearer-token.ts";
import type { TokenAuthenticator } from "../request/bearer-token.ts";
import { deniesTokens } from "../request/deny-list.ts";
import type { FrontProxyAuthenticator } from "../request/front-proxy.ts";
import { presentedCertificate } from "../request/presented-certificate.ts";
import type { PresentedCertificate } from "../request/presented-certificate.ts";
import { StatusError, unauthorized } from "../request/status.ts";
import type { ConciergeState } from "../state/concierge-state.ts";
import { attempt, createCertificateCallers, credentialIDsOf } from "./certificate-callers.ts";
import { isTokenCredentialRequest } from "./exchange-request.ts";
import { readOwnBearer } from "./own-bearers.ts";
import type { OwnBearer, OwnBearers } from "./own-bearers.ts";
import type { Caller, RequestContext } from "./request-context.ts";

export type AuthenticationState = Pick<
  ConciergeState,
  | "requestHeader"
  | "clientCaPem"
  | "proxySignerTrust"
  | "sharedAuthorityFault"
  | "credentialSettings"
  | "denyList"
>;

export interface ProxyAuthenticationOptions {
  readonly state: AuthenticationState;
  readonly clock: Clock;
  readonly log: Logger;
  readonly frontProxy: FrontProxyAuthenticator;
  /** TokenReview; absent: bearers of others are not known. */
  readonly tokens?: TokenAuthenticator | undefined;
  /** Absent: there are no bearer credentials of our own. */
  readonly bearers?: OwnBearers | undefined;
  /** What the probe of contract 7.2 found. */
  readonly anonymousAllowed: () => boolean;
}

export interface ProxyAuthentication {
  /** Who made the request, in the order of contract 7.3. Throws or rejects with a `StatusError`, mostly 401. */
  authenticate(context: RequestContext): Caller | Promise<Caller>;
  /** Whether the proxy's own signer is still believed about a certificate at a moment, milliseconds since the epoch (S10). */
  signerKnows(certificate: PresentedCertificate, at: number): boolean;
}

/** Authentication on 8444; only a question to the kube-apiserver makes anybody wait. */
export function createProxyAuthentication(options: ProxyAuthenticationOptions): ProxyAuthentication {
  const { state, log, tokens, anonymousAllowed } = options;
  const certificates = createCertificateCallers(options);

  const authenticate = (context: RequestContext): Caller | Promise<Caller> => {
    const { rawHeaders, socket } = context.request;
    const reasons: string[] = [];
    // Two Authorization headers are a 400 here, before anybody is believed (H4).
    const header = bearerToken(rawHeaders);
    context.bearer = header;
    const webSocket = attempt(reasons, "websocket-bearer-token", () => webSocketToken(rawHeaders));
    const own = requireOwnBearers(options, [header, webSocket]);
    const certificate = presentedCertificate(socket);

    const finish = (caller: Caller | undefined): Caller => {
      if (caller !== undefined) {
        return own.length === 0 ? caller : alsoOwn(caller, own);
      }
      if (reasons.length > 0) {
        log.debug("unable to authenticate the request", { reasons, auditID: context.auditID });
        throw new StatusError(unauthorized());
      }
      if (!anonymousAllowed() && !isTokenCredentialRequest(context.attributes)) {
        throw new StatusError(unauthorized());
      }
      return ANONYMOUS;
    };

    const byCertificate =
      certificate === undefined ? undefined : certificates.callerOf(certificate, rawHeaders, reasons);
    if (byCertificate !== undefined) {
      return finish(byCertificate);
    }
    const [first] = own;
    if (first !== undefined) {
      return finish(ownBearerCaller(first));
    }
    if (tokens === undefined || (header === undefined && webSocket === undefined)) {
      if (header !== undefined || webSocket !== undefined) {
        reasons.push("bearer-token: there is nobody to ask about tokens");
      }
      return finish(undefined);
    }
    return askAboutTokens(
      context,
      tokens,
      [
        ["bearer-token", header],
        ["websocket-bearer-token", webSocket],
      ],
      reasons,
    ).then(finish);
  };

  const askAboutTokens = async (
    context: RequestContext,
    reviewer: TokenAuthenticator,
    presented: readonly (readonly ["bearer-token" | "websocket-bearer-token", string | undefined])[],
    reasons: string[],
  ): Promise<Caller | undefined> => {
    for (const [method, token] of presented) {
      if (token === undefined) {
        continue;
      }
      try {
        const identity = await reviewer.authenticateToken(token, context.source());
        if (identity !== undefined) {
          return {
            identity: withAuthenticatedGroup(identity),
            method,
            leaf: undefined,
            credentialIDs: credentialIDsOf(identity),
            tokenIDs: tokenIDsOf(state.denyList, token),
            trust: undefined,
          };
        }
        reasons.push(`${method}: invalid bearer token`);
      } catch (error) {
        if (error instanceof StatusError) {
          throw error;
        }
        reasons.push(`${method}: ${messageOf(error)}`);
      }
    }
    return undefined;
  };

  return {
    authenticate,
    signerKnows: (certificate, at) => {
      try {
        certificates.signer.read(certificate, at);
        return true;
      } catch {
        return false;
      }
    },
  };

  function alsoOwn(caller: Caller, bearers: readonly OwnBearer[]): Caller {
    if (bearers.some(({ identity }) => identity.username !== caller.identity.username)) {
      log.debug("a bearer credential names somebody else than the request", { method: caller.method });
      throw new StatusError(unauthorized());
    }
    return {
      ...caller,
      credentialIDs: [...caller.credentialIDs, ...bearers.map(({ credentialID }) => credentialID)],
      tokenIDs: [...caller.tokenIDs, ...bearers.map(({ tokenID }) => tokenID)],
    };
  }

  /** S13: every bearer of ours in the request is good, or the request is not authenticated, whatever else it shows. */
  function requireOwnBearers(
    { bearers }: ProxyAuthenticationOptions,
    presented: readonly (string | undefined)[],
  ): readonly OwnBearer[] {
    if (bearers === undefined || presented.every((token) => token === undefined)) {
      return [];
    }
    return presented
      .filter((token) => token !== undefined && bearers.isOurs(token))
      .map((token) => {
        try {
          if (state.credentialSettings.current.proxyCredential !== "BearerToken") {
            throw new TypeError("bearer credentials are off");
          }
          return readOwnBearer(bearers, token ?? "");
        } catch (error) {
          log.debug("a bearer credential was refused", { reason: messageOf(error) });
          throw new StatusError(unauthorized(), { cause: error });
        }
      });
  }
}

const ANONYMOUS: Caller = {
  identity: anonymousIdentity,
  method: "anonymous",
  leaf: undefined,
  credentialIDs: [],
  tokenIDs: [],
  trust: undefined,
};

function ownBearerCaller({ identity, kid, expiresAt }: OwnBearer): Caller {
  return {
    identity: withAuthenticatedGroup(identity),
    method: "own-bearer",
    leaf: undefined,
    credentialIDs: [],
    tokenIDs: [],
    trust: { kind: "bearer-key", kid, notAfter: expiresAt },
  };
}

function tokenIDsOf(denyList: AuthenticationState["denyList"], token: string): readonly string[] {
  return denyList.current !== undefined && deniesTokens(denyList.current)
    ? [createHash("sha256").update(token).digest("hex")]
    : [];
}
