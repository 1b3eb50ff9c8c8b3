import { sign as signBytes } from "node:crypto";
import { createCertificateAuthority } from "../../../pki/certificate-authority.ts";
import {
  parseCertificationRequest,
  verifyCertificationRequest,
} from "../../../pki/certificate-signing-request.ts";
import {
  derBitString,
  derBoolean,
  derContext,
  derInteger,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derTime,
} from "../../../pki/der.ts";
import { derChildren, readDer } from "../../../pki/der-reader.ts";
import { parseKeyPair } from "../../../pki/key-pair.ts";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import { encodePem } from "../../../pki/pem.ts";
import type { Clock } from "../../../clock.ts";
import { KubernetesApiError } from "../../../kube/api-error.ts";
import type { KubernetesClient, KubernetesRequest } from "../../../kube/kubernetes-client.ts";
import type { ObjectMeta } from "../../../kube/objects.ts";
import type { CertificateSigningRequest, SubjectAccessReview } from "../../../kube/resources.ts";

type Conditions = NonNullable<NonNullable<CertificateSigningRequest["status"]>["conditions"]>;

/** A cluster that knows CertificateSigningRequests, and whose parts can be made to misbehave; for tests. */
export interface SigningCluster {
  readonly client: KubernetesClient;
  readonly objects: Map<string, CertificateSigningRequest>;
  /** `create`, `approve`, `delete <name>`, in order. */
  readonly calls: string[];
  readonly username: string;
  /** What admission makes of an object before it is stored. */
  mutate: (object: CertificateSigningRequest) => CertificateSigningRequest;
  /** What the signer answers for an approved request; undefined: nothing yet. */
  answer: (certificatePem: string) => string | undefined;
  /** What the signer makes different from what was asked. */
  certificate: Partial<TestCertificate>;
  /** Conditions that somebody sets once it is approved. */
  conditions: Conditions;
  /** Rights that are missing, as `verb resource`. */
  readonly missing: Set<string>;
  /** Holds every signature back until it is released. */
  hold(): () => void;
  /** What the clock of the signer's machine says beyond ours, in seconds. */
  skewSeconds: number;
  put(name: string, object: Partial<CertificateSigningRequest["spec"]>, metadata?: Partial<ObjectMeta>): void;
}

export async function createSigningCluster(clock: Clock): Promise<SigningCluster> {
  const authority = await createCertificateAuthority({
    commonName: "Cluster CA",
    notBefore: new Date(clock.now() - 3_600_000),
    notAfter: new Date(clock.now() + 86_400_000),
  });
  const objects = new Map<string, CertificateSigningRequest>();
  const calls: string[] = [];
  let count = 0;
  let held: Promise<void> | undefined;

  const fail = (code: number, reason: string): KubernetesApiError =>
    new KubernetesApiError({ kind: "Status", apiVersion: "v1", metadata: {}, reason, code, message: reason });

  /** As the kube-controller-manager does it: names, key and lifetime are the request's. */
  const sign = (object: CertificateSigningRequest): string => {
    const request = parseCertificationRequest(Buffer.from(object.spec.request, "base64").toString());
    verifyCertificationRequest(request);
    const [, subject] = derChildren(readDer(request.info));
    const now = clock.now() + cluster.skewSeconds * 1000;
    return signTestCertificate(authority, {
      subject: subject?.raw ?? Buffer.alloc(0),
      publicKeySpki: request.publicKeyInfo,
      notBefore: new Date(now - 300_000),
      notAfter: new Date(now + (object.spec.expirationSeconds ?? 0) * 1000),
      ...cluster.certificate,
    });
  };

  const client = {
    create: (
      _resource: unknown,
      object: CertificateSigningRequest & { metadata: { generateName?: string } },
    ) => {
      count++;
      calls.push("create");
      const name = `${object.metadata.generateName ?? ""}${count}`;
      const stored = cluster.mutate({
        ...object,
        metadata: {
          ...object.metadata,
          name,
          uid: `uid-${count}`,
          resourceVersion: String(count),
          creationTimestamp: new Date(clock.now()).toISOString(),
        },
        spec: { ...object.spec, username: cluster.username },
      });
      objects.set(name, stored);
      return Promise.resolve(structuredClone(stored));
    },
    raw: ({ path, body }: KubernetesRequest) => {
      const object = body as CertificateSigningRequest;
      const name = object.metadata.name;
      calls.push("approve");
      if (path !== `/apis/certificates.k8s.io/v1/certificatesigningrequests/${name}/approval`) {
        throw new Error(path);
      }
      const stored = objects.get(name);
      if (stored?.metadata.resourceVersion !== object.metadata.resourceVersion || stored === undefined) {
        return Promise.resolve({ status: 409, headers: {}, text: "" });
      }
      const conditions = [...(object.status?.conditions ?? []), ...cluster.conditions];
      objects.set(name, { ...stored, status: { conditions } });
      const certificate = cluster.answer(sign(stored));
      void (held ?? Promise.resolve()).then(() => {
        if (certificate !== undefined && objects.has(name)) {
          objects.set(name, {
            ...stored,
            status: { conditions, certificate: Buffer.from(certificate).toString("base64") },
          });
        }
      });
      return Promise.resolve({ status: 200, headers: {}, text: "{}" });
    },
    get: (_resource: unknown, { name }: { name: string }) => {
      const object = objects.get(name);
      return object === undefined ? Promise.reject(fail(404, "NotFound")) : Promise.resolve(object);
    },
    list: () =>
      Promise.resolve({ resourceVersion: "1", continueToken: undefined, items: [...objects.values()] }),
    delete: (_resource: unknown, { name }: { name: string }, preconditions?: { uid?: string }) => {
      calls.push(`delete ${name}`);
      const uid = objects.get(name)?.metadata.uid;
      if (uid === undefined || (preconditions?.uid !== undefined && preconditions.uid !== uid)) {
        return Promise.reject(
          fail(uid === undefined ? 404 : 409, uid === undefined ? "NotFound" : "Conflict"),
        );
      }
      objects.delete(name);
      return Promise.resolve();
    },
    review: (_resource: unknown, object: SubjectAccessReview) => {
      const { verb, resource, subresource } = object.spec.resourceAttributes ?? {};
      const right = `${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`;
      return Promise.resolve({ ...object, status: { allowed: !cluster.missing.has(right) } });
    },
  };

  const cluster: SigningCluster = {
    client: client as unknown as KubernetesClient,
    objects,
    calls,
    username: "system:serviceaccount:concierge:lanyard-concierge",
    mutate: (object) => object,
    answer: (pem) => pem,
    certificate: {},
    conditions: [],
    missing: new Set(),
    skewSeconds: 0,
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    put: (name, spec, metadata) => {
      objects.set(name, {
        apiVersion: "certificates.k8s.io/v1",
        kind: "CertificateSigningRequest",
        metadata: { name, uid: `uid-of-${name}`, ...metadata },
        spec: { request: "", signerName: "kubernetes.io/kube-apiserver-client", ...spec },
      });
    },
  };
  return cluster;
}

/** What a certificate of the tests says. */
export interface TestCertificate {
  readonly subject: Uint8Array;
  readonly publicKeySpki: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Default clientAuth alone. */
  readonly extendedKeyUsages?: readonly string[];
  readonly isCa?: boolean;
}

/** A certificate that says anything at all; PEM. */
export function signTestCertificate(authority: KeyPairPem, wish: TestCertificate): string {
  const { chain, privateKey } = parseKeyPair(authority);
  const { extendedKeyUsages = ["1.3.6.1.5.5.7.3.2"], isCa = false } = wish;
  const algorithm = derSequence(derObjectIdentifier("1.2.840.10045.4.3.2"));
  const extension = (type: string, value: Buffer): Buffer =>
    derSequence(derObjectIdentifier(type), derBoolean(true), derOctetString(value));
  const content = derSequence(
    derContext(0, derInteger(2)),
    derInteger(1),
    algorithm,
    chain[0].subject,
    derSequence(derTime(wish.notBefore), derTime(wish.notAfter)),
    wish.subject,
    wish.publicKeySpki,
    derContext(
      3,
      derSequence(
        ...(extendedKeyUsages.length === 0
          ? []
          : [extension("2.5.29.37", derSequence(...extendedKeyUsages.map(derObjectIdentifier)))]),
        extension("2.5.29.19", isCa ? derSequence(derBoolean(true)) : derSequence()),
      ),
    ),
  );
  const signature = signBytes("sha256", content, privateKey);
  return encodePem("CERTIFICATE", derSequence(content, algorithm, derBitString(signature)));
}
