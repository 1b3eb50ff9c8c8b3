import type { Identity } from "../../identity/identity.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import type { ClientCertificateCredential, Lifetime, Signer } from "./signer.ts";

export interface IssuedCredential {
  readonly credential: ClientCertificateCredential;
  /** The signer that issued it. */
  readonly signer: string;
}

/**
 * Asks the signers in their order; the first that can, issues (contract 2.4). Refusal: `credential.notIssued` with every
 * signer's error in one text, as `k8s.io/apimachinery/pkg/util/errors` joins them.
 */
export async function issueCredential(
  signers: readonly Signer[],
  identity: Identity,
  lifetime: Lifetime,
): Promise<IssuedCredential> {
  const errors: unknown[] = [];
  const messages: string[] = [];
  for (const signer of signers) {
    try {
      return {
        credential: await signer.issue({ identity, lifetime, signal: new AbortController().signal }),
        signer: signer.name,
      };
    } catch (error) {
      errors.push(error);
      messages.push(`${signer.name} failed to issue client cert: ${messageOf(error)}`);
    }
  }
  throw new LanyardError({
    code: "credential.notIssued",
    message: aggregate(messages),
    cause: errors.length === 0 ? undefined : new AggregateError(errors),
  });
}

/** One error stands alone, several in brackets, the same one twice once. */
function aggregate(messages: readonly string[]): string {
  const distinct = [...new Set(messages)];
  if (distinct.length <= 1) {
    return distinct[0] ?? "failed to issue cert";
  }
  return `[${distinct.join(", ")}]`;
}
