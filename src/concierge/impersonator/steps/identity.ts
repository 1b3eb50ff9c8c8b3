import { isDeepStrictEqual } from "node:util";
import type { Identity } from "../../../identity/identity.ts";
import type { Certificate } from "../../../pki/certificate.ts";
import { withAuthenticatedGroup } from "../../request/authentication-chain.ts";
import type { TokenAuthenticator } from "../../request/bearer-token.ts";
import { StatusError } from "../../request/status.ts";
import type { ConciergeState } from "../../state/concierge-state.ts";
import { isExchange } from "../exchange-request.ts";
import { impersonationHeaders, latin1OfUtf8 } from "../identity-headers.ts";
import type { OwnBearers } from "../own-bearers.ts";
import { failedCheck, noCredential, UNABLE_TO_ACT } from "../refusals.ts";
import type { RequestContext, Step, StepResult } from "../request-context.ts";

export interface IdentityStepOptions {
  readonly state: Pick<ConciergeState, "proxyToken">;
  readonly tokens?: TokenAuthenticator | undefined;
  readonly bearers?: Pick<OwnBearers, "isOurs"> | undefined;
}

/** How the user reaches the kube-apiserver (contract 7.6, S14); the last step. */
export function createIdentityStep(options: IdentityStepOptions): Step {
  const { state } = options;
  const headersOf = createPreparedHeaders();
  return {
    name: "identity",
    run: (context) => {
      const { caller, identity, nested, bearer } = context;
      context.bearer = undefined;
      if (caller === undefined || identity === undefined) {
        return failedCheck("invalid user");
      }
      if (identity.uid !== undefined && identity.uid !== "") {
        return nested || bearer === undefined
          ? failedCheck(UNABLE_TO_ACT)
          : passThrough(options, context, identity, bearer);
      }
      if (caller.method === "anonymous" && !nested && !isExchange(context.attributes)) {
        // No credential at all, so that the kube-apiserver's own rule for this path decides (S14).
        context.identityHeaders = [];
        return undefined;
      }
      const headers =
        nested || caller.leaf === undefined
          ? impersonationHeaders(identity, nested ? caller.identity : undefined)
          : headersOf.certificate(caller.leaf, identity);
      if (headers === undefined) {
        return failedCheck(UNABLE_TO_ACT);
      }
      const token = state.proxyToken.current?.token;
      if (token === undefined) {
        return noCredential;
      }
      context.identityHeaders = headersOf.withToken(headers, token);
      return undefined;
    },
  };
}

interface PreparedHeaders {
  /** Built once per leaf: the verifier answers one object for one SHA-256 (S12). */
  certificate(leaf: Certificate, identity: Identity): readonly string[] | undefined;
  withToken(headers: readonly string[], token: string): readonly string[];
}

function createPreparedHeaders(): PreparedHeaders {
  const perLeaf = new WeakMap<Certificate, readonly string[]>();
  let whole = new WeakMap<readonly string[], readonly string[]>();
  let tokenOfWhole: string | undefined;
  return {
    certificate: (leaf, identity) => {
      let headers = perLeaf.get(leaf);
      if (headers === undefined) {
        headers = impersonationHeaders(identity);
        if (headers !== undefined) {
          perLeaf.set(leaf, headers);
        }
      }
      return headers;
    },
    withToken: (headers, token) => {
      if (token !== tokenOfWhole) {
        whole = new WeakMap();
        tokenOfWhole = token;
      }
      let all = whole.get(headers);
      if (all === undefined) {
        all = ["Authorization", `Bearer ${token}`, ...headers];
        whole.set(headers, all);
      }
      return all;
    },
  };
}

/**
 * A user with a UID acts with the own token, if a TokenReview of it says exactly this user. Our own bearers never leave (S13).
 */
async function passThrough(
  { tokens, bearers }: IdentityStepOptions,
  context: RequestContext,
  identity: Identity,
  bearer: string,
): Promise<StepResult> {
  if (tokens === undefined || bearers?.isOurs(bearer) === true) {
    return failedCheck(UNABLE_TO_ACT);
  }
  let reviewed: Identity | undefined;
  try {
    reviewed = await tokens.authenticateToken(bearer, context.source());
  } catch (error) {
    if (error instanceof StatusError) {
      throw error;
    }
    // No answer is a refusal (S4).
    return failedCheck(UNABLE_TO_ACT);
  }
  if (reviewed === undefined || !sameUser(withAuthenticatedGroup(reviewed), identity)) {
    return failedCheck(UNABLE_TO_ACT);
  }
  context.identityHeaders = ["Authorization", `Bearer ${latin1OfUtf8(bearer)}`];
  return undefined;
}

function sameUser(a: Identity, b: Identity): boolean {
  return (
    a.username === b.username &&
    (a.uid ?? "") === (b.uid ?? "") &&
    isDeepStrictEqual(a.groups, b.groups) &&
    isDeepStrictEqual({ ...a.extra }, { ...b.extra })
  );
}
