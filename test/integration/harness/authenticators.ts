import type { Cluster } from "../../../hack/cluster/cluster.ts";
import { kubectl } from "./concierge.ts";
import { eventually } from "./eventually.ts";
import { type AuthenticatorName, authenticationGroup } from "./exchange.ts";

/** Creates or changes an authenticator, as an administrator would. */
export async function applyAuthenticator(
  cluster: Cluster,
  { kind, name }: AuthenticatorName,
  spec: object,
): Promise<void> {
  const object = { apiVersion: `${authenticationGroup}/v1alpha1`, kind, metadata: { name }, spec };
  await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(object));
}

/** `spec.tls` with the bundle in it. */
export function inlineBundle(caPem: string): { readonly certificateAuthorityData: string } {
  return { certificateAuthorityData: Buffer.from(caPem).toString("base64") };
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

export interface AuthenticatorObject {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string };
  readonly status?: { readonly phase: string; readonly conditions?: readonly Condition[] };
}

export async function getAuthenticator(
  cluster: Cluster,
  { kind, name }: AuthenticatorName,
): Promise<AuthenticatorObject> {
  return JSON.parse(
    await kubectl(cluster, ["get", kind.toLowerCase(), name, "--output=json"]),
  ) as AuthenticatorObject;
}

/** Waits, at most the 30 s that contract 4.7 gives a change, for a phase that is about the spec as it is now. */
export async function authenticatorInPhase(
  cluster: Cluster,
  authenticator: AuthenticatorName,
  phase: "Ready" | "Error",
): Promise<AuthenticatorObject> {
  return await eventually(
    `phase ${phase} of ${authenticator.kind} ${authenticator.name}`,
    async () => {
      const object = await getAuthenticator(cluster, authenticator);
      const isCurrent = object.status?.conditions?.every(
        ({ observedGeneration }) => observedGeneration === object.metadata.generation,
      );
      return object.status?.phase === phase && isCurrent === true ? object : undefined;
    },
    { seconds: 30 },
  );
}

/** A condition without what differs from run to run: type, status, reason, message. */
export type ConditionText = readonly [type: string, status: string, reason: string, message: string];

export function conditionTexts({ status }: AuthenticatorObject): readonly ConditionText[] {
  return (status?.conditions ?? []).map(({ type, status, reason, message }) => [
    type,
    status,
    reason,
    message,
  ]);
}

const trueMessages = {
  JWTAuthenticator: {
    AuthenticatorValid: "authenticator initialized",
    DiscoveryURLValid: "discovery performed successfully",
    IssuerURLValid: "issuer is a valid URL",
    JWKSFetchValid: "successfully fetched jwks",
    JWKSURLValid: "jwks_uri is a valid URL",
    Ready: "the JWTAuthenticator is ready",
    TLSConfigurationValid: "spec.tls is valid: using configured CA bundle",
  },
  WebhookAuthenticator: {
    AuthenticatorValid: "authenticator initialized",
    EndpointURLValid: "spec.endpoint is a valid URL",
    Ready: "the WebhookAuthenticator is ready",
    TLSConfigurationValid: "spec.tls is valid: using configured CA bundle",
    WebhookConnectionValid: "successfully dialed webhook server",
  },
} as const;

/** What follows a check that failed. */
export const unable = [
  "Unknown",
  "UnableToValidate",
  "unable to validate; see other conditions for details",
] as const;

/**
 * All conditions of an authenticator in their order (contract 4.2 to 4.4, 4.6): those given differ from the good ones.
 * With any that is not True, Ready is False.
 */
export function expectedConditions(
  kind: AuthenticatorName["kind"],
  differing: Readonly<Record<string, readonly [status: string, reason: string, message: string]>> = {},
): readonly ConditionText[] {
  const broken = Object.keys(differing).length > 0;
  return Object.entries(trueMessages[kind]).map(([type, message]): ConditionText => {
    if (type === "Ready" && broken) {
      return [type, "False", "NotReady", `the ${kind} is not ready: see other conditions for details`];
    }
    const [status, reason, text] = differing[type] ?? ["True", "Success", message];
    return [type, status, reason, text];
  });
}
