import type { Cluster } from "../../../hack/cluster/cluster.ts";
import { createLoopbackCertificate } from "../../oidc/certificates.ts";
import { readBody, sendJson, startTlsServer } from "../../oidc/tls-server.ts";
import { kubectl } from "./concierge.ts";

/** An admission webhook that widens the usages of every CertificateSigningRequest, and sees approvals. */
export interface AlteringAdmission {
  /** CertificateSigningRequests altered so far. */
  altered(): number;
  /** Approvals that were tried so far. */
  approvals(): number;
  close(): Promise<void>;
}

const name = "altering.example.com";

interface AdmissionReview {
  readonly request: { readonly uid: string; readonly subResource?: string };
}

export async function startAlteringAdmission(cluster: Cluster): Promise<AlteringAdmission> {
  const certificate = await createLoopbackCertificate();
  let altered = 0;
  let approvals = 0;
  const server = await startTlsServer(certificate, async (request, response) => {
    const { uid, subResource } = (JSON.parse(await readBody(request)) as AdmissionReview).request;
    const isCreate = subResource === undefined || subResource === "";
    if (isCreate) {
      altered++;
    } else {
      approvals++;
    }
    const patch = [{ op: "replace", path: "/spec/usages", value: ["client auth", "digital signature"] }];
    sendJson(response, 200, {
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: {
        uid,
        allowed: true,
        ...(isCreate
          ? { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }
          : {}),
      },
    });
  });
  const configuration = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name },
    webhooks: [
      {
        name,
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        failurePolicy: "Fail",
        clientConfig: {
          url: `${server.origin}/`,
          caBundle: Buffer.from(certificate.caPem).toString("base64"),
        },
        rules: [
          {
            apiGroups: ["certificates.k8s.io"],
            apiVersions: ["v1"],
            operations: ["CREATE", "UPDATE"],
            resources: ["certificatesigningrequests", "certificatesigningrequests/approval"],
          },
        ],
      },
    ],
  };
  await kubectl(cluster, ["create", "--filename=-"], JSON.stringify(configuration));
  return {
    altered: () => altered,
    approvals: () => approvals,
    close: async () => {
      await kubectl(cluster, ["delete", "mutatingwebhookconfiguration", name, "--ignore-not-found"]);
      await server.stop();
    },
  };
}
