import { messageOf } from "../../errors.ts";
import type { Controller } from "../../kube/controller.ts";
import { webhookAuthenticators } from "../../resources/webhook-authenticator.ts";
import type { WebhookAuthenticator } from "../../resources/webhook-authenticator.ts";
import type { TlsProfile } from "../../tls/profiles.ts";
import { createOutboundHttp } from "../authenticators/outbound-http.ts";
import type { ProxyForUrl } from "../authenticators/outbound-proxy.ts";
import { createWebhookAuthenticator } from "../authenticators/webhook-authenticator.ts";
import { checkEndpointUrl, probeTlsServer } from "../authenticators/webhook-endpoint.ts";
import { failure, success, unableToValidate } from "./authenticator-findings.ts";
import { createAuthenticatorController } from "./authenticator-reconcile.ts";
import type { AuthenticatorControllerOptions, NetworkResult } from "./authenticator-reconcile.ts";

export interface WebhookAuthenticatorControllerOptions extends AuthenticatorControllerOptions {
  readonly proxyForUrl: ProxyForUrl;
  /** Default: the Default profile of contract 8.1. */
  readonly tlsProfile?: TlsProfile | undefined;
}

const CONNECTION = "WebhookConnectionValid";
const AUTHENTICATOR = "AuthenticatorValid";
const initialized = success(AUTHENTICATOR, "authenticator initialized");

/** Keeps the webhook authenticators in force and their status true (contract 4.6, 4.7). */
export function createWebhookAuthenticatorController(
  options: WebhookAuthenticatorControllerOptions,
): Controller {
  const { proxyForUrl, clock, tlsProfile } = options;

  const checkNetwork = async (
    object: WebhookAuthenticator,
    { caPem }: { readonly caPem: string | undefined },
    signal: AbortSignal,
  ): Promise<NetworkResult> => {
    const { endpoint } = checkEndpointUrl(object.spec.endpoint, proxyForUrl);
    if (endpoint === undefined) {
      return { findings: [unableToValidate(CONNECTION), unableToValidate(AUTHENTICATOR)] };
    }
    if (!endpoint.proxied) {
      try {
        const { host, port } = endpoint;
        await probeTlsServer({ host, port, caPem, profile: tlsProfile, clock, signal });
      } catch (error) {
        signal.throwIfAborted();
        return {
          findings: [
            failure(CONNECTION, "UnableToDialServer", `cannot dial server: ${messageOf(error)}`),
            unableToValidate(AUTHENTICATOR),
          ],
        };
      }
    }
    const connection = success(CONNECTION, connectionMessage(endpoint.proxied));
    let http;
    try {
      http = createOutboundHttp({ caPem, profile: tlsProfile, proxyForUrl, clock });
    } catch (error) {
      const message = `unable to create client for this webhook: ${messageOf(error)}`;
      return { findings: [connection, failure(AUTHENTICATOR, "UnableToCreateClient", message)] };
    }
    try {
      const authenticator = createWebhookAuthenticator({ url: endpoint.url, http, clock });
      return { findings: [connection, initialized], authenticator };
    } catch (error) {
      http.close();
      const message = `unable to instantiate webhook: ${messageOf(error)}`;
      return { findings: [connection, failure(AUTHENTICATOR, "UnableToInstantiateWebhook", message)] };
    }
  };

  return createAuthenticatorController(
    {
      controllerName: "webhookcachefiller-controller",
      resource: webhookAuthenticators,
      kind: "WebhookAuthenticator",
      checkUrl: ({ spec }) => checkEndpointUrl(spec.endpoint, proxyForUrl).finding,
      networkConditions: ({ spec }) => [
        [
          CONNECTION,
          connectionMessage(checkEndpointUrl(spec.endpoint, proxyForUrl).endpoint?.proxied === true),
        ],
        [AUTHENTICATOR, initialized.message],
      ],
      settings: ({ spec }) => ({ ...spec, tls: undefined }),
      source: ({ spec }) => spec.endpoint,
      checkNetwork,
    },
    options,
  );
}

function connectionMessage(proxied: boolean): string {
  return proxied
    ? "skipped dialing connection probe because HTTPS_PROXY is configured for use with the specified host"
    : "successfully dialed webhook server";
}
