import { randomUUID } from "node:crypto";
import { isAlreadyExists } from "../../kube/api-error.ts";
import type { Controller } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { KubernetesObject, ResourceType } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { credentialIssuers } from "../../resources/credential-issuer.ts";
import type { Logger } from "../../telemetry/log.ts";
import { bearerAudience } from "../credentials/bearer-token-format.ts";
import type { Holder } from "../state/holder.ts";
import { secretData, secretTexts } from "./serving-certificate-secret.ts";

const KUBE_SYSTEM = "kube-system";
/** Never made anew, so its UID is the cluster's. */
const namespaces: ResourceType<KubernetesObject> = {
  group: "",
  version: "v1",
  kind: "Namespace",
  plural: "namespaces",
  namespaced: false,
};

/**
 * Publishes whose bearer credentials are ours (S9): those of this cluster, which the UID of namespace `kube-system` names,
 * and of this CredentialIssuer. What is known stays while the CredentialIssuer is away, so that its tokens are
 * recognized, and end here, all the same (S13).
 */
export function createBearerAudienceController(options: {
  readonly store: Pick<ResourceStore, "view">;
  readonly bearerAudience: Holder<string | undefined>;
  /** `names.credentialIssuer`. */
  readonly credentialIssuerName: string;
}): Controller {
  const { store, bearerAudience: holder, credentialIssuerName } = options;
  const systemNamespace = store.view(namespaces, { fieldSelector: `metadata.name=${KUBE_SYSTEM}` });
  const issuers = store.view(credentialIssuers);
  return {
    name: "bearer-audience-controller",
    watch: (enqueue) => {
      const stops = [
        systemNamespace.subscribe(() => enqueue()),
        issuers.subscribe(({ name }) => name === credentialIssuerName && enqueue()),
      ];
      return () => stops.forEach((stop) => stop());
    },
    reconcile: () => {
      const clusterUid = systemNamespace.get({ name: KUBE_SYSTEM })?.metadata.uid;
      const issuerUid = issuers.get({ name: credentialIssuerName })?.metadata.uid;
      if (clusterUid !== undefined && issuerUid !== undefined) {
        holder.set(bearerAudience(clusterUid, issuerUid));
      }
      return Promise.resolve();
    },
  };
}

/** The keys of the Secret that stands for the two UIDs where there is no cluster to have them. */
const CLUSTER_UID = "clusterUID";
const ISSUER_UID = "credentialIssuerUID";
const UID = /^[0-9a-f-]{36}$/;

/**
 * The same in standalone mode (S22): two UIDs of its own, made once and stored beside the keys. One set of them per
 * upstream cluster: with another, nobody believes the tokens.
 */
export function createStoredBearerAudienceController(options: {
  readonly store: ResourceStore;
  readonly log: Logger;
  readonly bearerAudience: Holder<string | undefined>;
  readonly namespace: string;
  readonly secretName: string;
  readonly labels: Readonly<Record<string, string>>;
}): Controller {
  const { store, log, bearerAudience: holder, namespace, secretName, labels } = options;
  const view = store.view(secrets, { namespace });
  return {
    name: "bearer-audience-controller",
    watch: (enqueue) => view.subscribe(({ name }) => name === secretName && enqueue()),
    reconcile: async () => {
      if (!view.hasSynced()) {
        return;
      }
      const secret = view.get({ namespace, name: secretName });
      if (secret !== undefined) {
        const { [CLUSTER_UID]: clusterUid = "", [ISSUER_UID]: issuerUid = "" } = secretTexts(secret);
        if (UID.test(clusterUid) && UID.test(issuerUid)) {
          holder.set(bearerAudience(clusterUid, issuerUid));
        } else {
          log.warning("the UIDs of bearer credentials cannot be used, keeping what is loaded", {
            secret: secretName,
          });
        }
        return;
      }
      try {
        await store.create(secrets, {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: secretName, namespace, labels },
          type: "Opaque",
          data: secretData({ [CLUSTER_UID]: randomUUID(), [ISSUER_UID]: randomUUID() }),
        });
      } catch (error) {
        // The view was behind; the event of that Secret is on its way.
        if (!isAlreadyExists(error)) {
          throw error;
        }
      }
    },
  };
}
