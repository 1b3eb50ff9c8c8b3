import type { Transformation } from "../../identity/transformations.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Authenticator, AuthenticatorSettings } from "./authenticator.ts";

export interface TransformingAuthenticatorOptions {
  /** Absent: identities pass as they are. */
  readonly transformation?: Transformation | undefined;
  readonly settings: AuthenticatorSettings;
  readonly log: Logger;
  /** Of the authenticator's object, for the log. */
  readonly name: string;
}

/**
 * An authenticator with what its object says about identities (contract/supervisor.md chapter 3): transformations run after the
 * token has been accepted. A policy's refusal counts as a rejected token; its message goes to the log and nowhere else.
 */
export function createTransformingAuthenticator(
  authenticator: Authenticator,
  { transformation, settings, log, name }: TransformingAuthenticatorOptions,
): Authenticator {
  return {
    settings,
    authenticate: async (token, signal) => {
      const identity = await authenticator.authenticate(token, signal);
      if (identity === undefined || transformation === undefined) {
        return identity;
      }
      const result = transformation.apply(identity);
      if (result.identity === undefined) {
        log.info("an identity policy refused a login", {
          authenticator: name,
          policyMessage: result.rejected,
        });
        return undefined;
      }
      return { ...identity, ...result.identity };
    },
    close: () => authenticator.close(),
  };
}
