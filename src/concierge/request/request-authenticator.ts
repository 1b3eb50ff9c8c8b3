import type { Identity } from "../../identity/identity.ts";
import type { PresentedCertificate } from "./presented-certificate.ts";

/** What an authenticator may look at. */
export interface AuthenticationRequest {
  /** Node's name and value pairs, text as latin1. */
  readonly rawHeaders: readonly string[];
  readonly certificate: PresentedCertificate | undefined;
  /** Whose budgets are used up (S18). */
  readonly source: string;
}

/** One way of saying who somebody is. */
export interface RequestAuthenticator {
  /** For the log. */
  readonly name: string;
  /** Undefined: the request holds nothing of this kind. Throws when what it holds is bad or could not be judged. */
  authenticate(request: AuthenticationRequest): Promise<Identity | undefined>;
}
