import { configMaps } from "../../kube/objects.ts";
import type { ConfigMap } from "../../kube/objects.ts";
import type { Controller } from "../../kube/controller.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { messageOf } from "../../errors.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { RequestHeaderConfiguration } from "../state/concierge-state.ts";
import type { Holder } from "../state/holder.ts";

const NAMESPACE = "kube-system";
const NAME = "extension-apiserver-authentication";

export interface RequestHeaderConfigurationOptions {
  readonly store: Pick<ResourceStore, "view">;
  readonly requestHeader: Holder<RequestHeaderConfiguration | undefined>;
  readonly clientCaPem: Holder<string | undefined>;
  readonly log: Logger;
}

/**
 * Follows ConfigMap `kube-system/extension-apiserver-authentication` (contract 1.4, A1, A2), so that a rotation reaches
 * the servers at once. Bundles and header names are configuration, not verdicts: when the ConfigMap is gone or says
 * something unusable, the last good values stay in force (S4).
 */
export function createRequestHeaderConfigurationController(
  options: RequestHeaderConfigurationOptions,
): Controller {
  const { store, requestHeader, clientCaPem } = options;
  const log = options.log.named("request-header-configuration-controller");
  const view = store.view(configMaps, { namespace: NAMESPACE, fieldSelector: `metadata.name=${NAME}` });
  return {
    name: "request-header-configuration-controller",
    watch: (enqueue) => view.subscribe(() => enqueue()),
    reconcile: async () => {
      const configMap = view.get({ namespace: NAMESPACE, name: NAME });
      if (configMap === undefined) {
        if (view.hasSynced()) {
          log.warning("ConfigMap not found; the last good values stay in force", {
            configMap: `${NAMESPACE}/${NAME}`,
          });
        }
        return;
      }
      attempt(log, "client-ca-file", () => publishClientCa(configMap, clientCaPem));
      attempt(log, "requestheader", () => publishRequestHeader(configMap, requestHeader, log));
    },
  };
}

function attempt(log: Logger, part: string, publish: () => void): void {
  try {
    publish();
  } catch (error) {
    log.error("ConfigMap holds an unusable value; the last good one stays in force", error, {
      configMap: `${NAMESPACE}/${NAME}`,
      part,
    });
  }
}

function publishClientCa({ data }: ConfigMap, holder: Holder<string | undefined>): void {
  const pem = data?.["client-ca-file"];
  if (pem === undefined) {
    // A cluster without x509 users has no such key; a bundle that was there stays until another one comes.
    return;
  }
  holder.set(requireBundle(pem, "client-ca-file"));
}

function publishRequestHeader(
  { data = {} }: ConfigMap,
  holder: Holder<RequestHeaderConfiguration | undefined>,
  log: Logger,
): void {
  const caPem = data["requestheader-client-ca-file"];
  if (caPem === undefined) {
    // The aggregation layer is off: no front proxy to trust, but a configuration that was there stays.
    return;
  }
  const next: RequestHeaderConfiguration = {
    clientCaPem: requireBundle(caPem, "requestheader-client-ca-file"),
    allowedNames: stringList(data, "requestheader-allowed-names"),
    usernameHeaders: headerNames(data, "requestheader-username-headers"),
    uidHeaders: headerNames(data, "requestheader-uid-headers"),
    groupHeaders: headerNames(data, "requestheader-group-headers"),
    extraHeaderPrefixes: headerNames(data, "requestheader-extra-headers-prefix"),
  };
  if (next.usernameHeaders.length === 0) {
    throw new TypeError("requestheader-username-headers is empty");
  }
  if (JSON.stringify(next) === JSON.stringify(holder.current)) {
    return;
  }
  if (next.allowedNames.length === 0) {
    log.warning("requestheader-allowed-names is empty: every certificate of its CA may speak for anybody");
  }
  holder.set(next);
}

function requireBundle(pem: string, key: string): string {
  if (parseCertificateBundle(pem).length === 0) {
    throw new TypeError(`${key} holds no certificate`);
  }
  return pem;
}

/** A key's value is a JSON array of strings; an absent key is an empty one (`k8s.io/apiserver` does the same). */
function stringList(data: Readonly<Record<string, string>>, key: string): readonly string[] {
  const text = data[key] ?? "";
  if (text === "") {
    return [];
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`${key} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  if (!Array.isArray(value) || !value.every((item): item is string => typeof item === "string")) {
    throw new TypeError(`${key} is not a JSON array of strings`);
  }
  return value;
}

/** Lower case, as they are compared; an empty name would match every header or none. */
function headerNames(data: Readonly<Record<string, string>>, key: string): readonly string[] {
  return stringList(data, key).map((name) => {
    const trimmed = name.trim().toLowerCase();
    if (trimmed === "") {
      throw new TypeError(`${key} holds an empty header name`);
    }
    return trimmed;
  });
}
