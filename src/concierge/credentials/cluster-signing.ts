import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import { isNotFound } from "../../kube/api-error.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import type { ObjectMeta } from "../../kube/objects.ts";
import { resourcePath } from "../../kube/resource-path.ts";
import { certificateSigningRequests } from "../../kube/resources.ts";
import type { CertificateSigningRequest } from "../../kube/resources.ts";
import { apiErrorOf } from "../../kube/status-response.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { createCertificationRequest } from "../../pki/create-certification-request.ts";
import { encodeRewrittenClientSubject } from "../../pki/distinguished-name.ts";
import { generateP256KeyPair } from "../../pki/p256-key-pair.ts";
import { encodePem } from "../../pki/pem.ts";
import type { Logger } from "../../telemetry/log.ts";
import { readSignedCertificate } from "./signed-certificate.ts";

/** The cluster's signer whose certificates the kube-apiserver accepts (Kubernetes `certificates.k8s.io/v1`). */
export const CLUSTER_SIGNER = "kubernetes.io/kube-apiserver-client";

/** The API takes no shorter `spec.expirationSeconds`. */
export const MINIMUM_CLUSTER_SIGNING_SECONDS = 600;

/** How long creating, approving and signing may take. */
export const SIGNING_SECONDS = 10;

/** On every CertificateSigningRequest that is made here; together with `spec.username` it says whose it is (S6). */
export const REQUEST_LABEL = { "concierge.pinniped.dev/credential": "certificate-signing-request" } as const;

const GENERATE_NAME = "lanyard-concierge-";
const USAGES: readonly string[] = ["client auth"];
const FIRST_POLL_MILLISECONDS = 20;
const LARGEST_POLL_MILLISECONDS = 500;

export interface ClusterSigningOptions {
  readonly client: Pick<KubernetesClient, "create" | "get" | "delete" | "raw">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Our own, as `spec.username` of what we create shows it: `system:serviceaccount:<namespace>:<name>`. */
  readonly username: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ClusterSigningRequest {
  readonly username: string;
  readonly groups: readonly string[];
  /** From when the cluster signs. */
  readonly expirationSeconds: number;
  /** Milliseconds since the epoch; no certificate that ends later is accepted. */
  readonly latestNotAfter: number;
  /** Ends the waiting. Nothing that was begun is left behind. */
  readonly signal: AbortSignal;
}

export interface ClusterSignedCertificate {
  /** The leaf and what it chains through, as the cluster's signer gave it. */
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
  readonly certificate: Certificate;
}

/** Has the cluster sign a client certificate for a key of our own (S6). */
export interface ClusterSigning {
  /**
   * Refusals: `clusterSigning.altered` (the object created is not the one that was sent: never approved), `.denied`,
   * `.failed`, `.timeout`, `.gone`, `.certificate`, those of the Kubernetes client, and those of `refuseUnusableNames`.
   */
  sign(request: ClusterSigningRequest): Promise<ClusterSignedCertificate>;
}

export function createClusterSigning(options: ClusterSigningOptions): ClusterSigning {
  const { client, clock, labels } = options;
  const log = options.log.named("cluster-signing");

  const remove = async (created: CertificateSigningRequest): Promise<void> => {
    const { name, uid } = created.metadata;
    try {
      await client.delete(certificateSigningRequests, { name }, uid === undefined ? undefined : { uid });
    } catch (error) {
      if (!isNotFound(error)) {
        // The clean-up controller comes by later.
        log.warning("could not delete a CertificateSigningRequest", { name, reason: messageOf(error) });
      }
    }
  };

  const approve = async (created: CertificateSigningRequest, signal: AbortSignal): Promise<void> => {
    const response = await client.raw({
      method: "PUT",
      path: resourcePath(certificateSigningRequests, certificateSigningRequests.group, {
        name: created.metadata.name,
        subresource: "approval",
      }),
      body: {
        ...created,
        status: {
          ...created.status,
          conditions: [
            {
              type: "Approved",
              status: "True",
              reason: "LanyardCredentialRequest",
              message:
                "This certificate was asked for by the Concierge, for a user who showed a valid token.",
            },
          ],
        },
      },
      signal,
    });
    if (response.status < 200 || response.status > 299) {
      throw apiErrorOf(response, clock);
    }
  };

  const awaitCertificate = async (
    created: CertificateSigningRequest,
    deadline: AbortSignal,
    signal: AbortSignal,
  ): Promise<string> => {
    const { name, uid } = created.metadata;
    const waiting = AbortSignal.any([deadline, signal]);
    let pause = FIRST_POLL_MILLISECONDS;
    for (;;) {
      const present = await client.get(certificateSigningRequests, { name }, waiting);
      if (present.metadata.uid !== uid) {
        throw refusal("gone", "the CertificateSigningRequest was replaced by another of that name");
      }
      refuseUnlessPending(present);
      const certificate = present.status?.certificate;
      if (certificate !== undefined && certificate !== "") {
        return Buffer.from(certificate, "base64").toString("latin1");
      }
      await clock.sleep(pause, waiting);
      waiting.throwIfAborted();
      pause = Math.min(pause * 1.6, LARGEST_POLL_MILLISECONDS);
    }
  };

  const signInTime = async (
    request: ClusterSigningRequest,
    deadline: AbortSignal,
  ): Promise<ClusterSignedCertificate> => {
    const { username, groups, expirationSeconds, latestNotAfter, signal } = request;
    const keyPair = generateP256KeyPair();
    const asked = createCertificationRequest({
      username,
      groups,
      keyPair,
      encodeSubject: encodeRewrittenClientSubject,
    });
    const spec = {
      request: Buffer.from(asked.pem, "latin1").toString("base64"),
      signerName: CLUSTER_SIGNER,
      usages: USAGES,
      expirationSeconds,
    };
    // The caller's leaving does not end this call: what it may have created would be lost sight of.
    const created = await client.create(
      certificateSigningRequests,
      {
        apiVersion: "certificates.k8s.io/v1",
        kind: certificateSigningRequests.kind,
        metadata: {
          generateName: GENERATE_NAME,
          labels: { ...labels, ...REQUEST_LABEL },
        } as Partial<ObjectMeta> as ObjectMeta,
        spec,
      },
      deadline,
    );
    try {
      refuseAltered(created, { ...spec, username: options.username });
      signal.throwIfAborted();
      await approve(created, deadline);
      const pem = await awaitCertificate(created, deadline, signal);
      const { certificate, chain } = readSignedCertificate(pem, {
        subject: asked.subject,
        publicKeySpki: keyPair.spki,
        now: clock.now(),
        latestNotAfter,
      });
      return {
        certificatePem: chain,
        privateKeyPem: encodePem("PRIVATE KEY", keyPair.pkcs8),
        certificate,
      };
    } finally {
      await remove(created);
    }
  };

  return {
    sign: async (request) => {
      request.signal.throwIfAborted();
      const deadline = new AbortController();
      const cancel = clock.schedule(SIGNING_SECONDS * 1000, () => deadline.abort());
      try {
        return await signInTime(request, deadline.signal);
      } catch (error) {
        if (
          deadline.signal.aborted &&
          !(error instanceof LanyardError && error.code.startsWith("clusterSigning."))
        ) {
          throw refusal(
            "timeout",
            `the cluster did not sign within ${SIGNING_SECONDS} seconds: the kube-controller-manager may be down or run without a signer for ${CLUSTER_SIGNER}`,
            error,
          );
        }
        throw error;
      } finally {
        cancel();
      }
    },
  };
}

function refusal(code: string, message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: `clusterSigning.${code}`, message, cause });
}

type AskedSpec = Required<
  Pick<
    CertificateSigningRequest["spec"],
    "request" | "signerName" | "usages" | "expirationSeconds" | "username"
  >
>;

/** S6: only what came into being as it was sent, and by us, is approved. */
function refuseAltered(created: CertificateSigningRequest, asked: AskedSpec): void {
  const { spec } = created;
  const altered = (Object.keys(asked) as (keyof AskedSpec)[]).filter(
    (field) => JSON.stringify(spec[field]) !== JSON.stringify(asked[field]),
  );
  if (altered.length > 0 || created.metadata.uid === undefined) {
    throw refusal(
      "altered",
      `the CertificateSigningRequest is not the one that was sent (${altered.map((field) => `spec.${field}`).join(", ")}) and was not approved: look for mutating admission webhooks and policies on certificatesigningrequests`,
    );
  }
}

function refuseUnlessPending({ status }: CertificateSigningRequest): void {
  for (const { type, status: value, reason = "", message = "" } of status?.conditions ?? []) {
    if ((type === "Denied" || type === "Failed") && value === "True") {
      const text = [reason, message].filter((part) => part !== "").join(": ");
      throw refusal(
        type.toLowerCase(),
        `the cluster's signer answered ${type}${text === "" ? "" : `: ${oneLine(text)}`}`,
      );
    }
  }
}

/** What others wrote goes into statuses and logs: short and without control characters. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ").slice(0, 300);
}
