import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { createPrivateKey, KeyObject, webcrypto } from "node:crypto";
import { Agent, request as httpsRequest } from "node:https";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { createManualClock, systemClock } from "../../../clock.ts";
import type { ManualClock } from "../../../clock.ts";
import type { Identity } from "../../../identity/identity.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../../pki/certificate-authority.ts";
import { createClientCertificateIssuer } from "../../../pki/client-certificate.ts";
import { parseCertificateBundle } from "../../../pki/certificate.ts";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import type { AuditEvent } from "../../../telemetry/audit.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import { tlsProfiles } from "../../../tls/profiles.ts";
import type { Authenticator } from "../../authenticators/authenticator.ts";
import type { Limits } from "../../config/config.ts";
import type { AuthorizationDecision, Authorizer, RequestAttributes } from "../../request/authorizer.ts";
import type { TokenAuthenticator } from "../../request/bearer-token.ts";
import type { KeyPair, RequestHeaderConfiguration } from "../../state/concierge-state.ts";
import { createHolder } from "../../state/holder.ts";
import type { Holder } from "../../state/holder.ts";
import { createAggregatedApi } from "../aggregated-api.ts";
import type { AggregatedApi, AggregatedApiOptions } from "../aggregated-api.ts";

const HOUR = 3_600_000;

/** CA of a test, valid for a day around now. */
export async function testAuthority(commonName: string): Promise<KeyPairPem> {
  const now = systemClock.now();
  return await createCertificateAuthority({
    commonName,
    notBefore: new Date(now - 24 * HOUR),
    notAfter: new Date(now + 24 * HOUR),
  });
}

export interface TestClientCertificate {
  readonly cert: string;
  readonly key: string;
  readonly sha256Hex: string;
}

export async function testClientCertificate(
  authority: KeyPairPem,
  username: string,
  groups: readonly string[] = [],
  validity: { readonly notBefore?: Date; readonly notAfter?: Date } = {},
): Promise<TestClientCertificate> {
  const issued = await createClientCertificateIssuer(authority).issue({
    username,
    groups,
    notBefore: validity.notBefore ?? new Date(systemClock.now() - HOUR),
    notAfter: validity.notAfter ?? new Date(systemClock.now() + HOUR),
  });
  return { cert: issued.certificatePem, key: issued.privateKeyPem ?? "", sha256Hex: issued.sha256Hex };
}

/** A client certificate whose issuer is an intermediate CA of `root`; PEM of both. */
export async function certificateBelowIntermediate(
  root: KeyPairPem,
  username: string,
): Promise<TestClientCertificate & { readonly intermediate: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const [rootCertificate] = parseCertificateBundle(root.certificatePem);
  const keys: webcrypto.CryptoKeyPair = await webcrypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ]);
  const rootKey = createPrivateKey(root.privateKeyPem);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: new x509.Name([{ CN: [{ utf8String: "intermediate" }] }]),
      // From the bytes: the names of issuer and subject are compared as bytes.
      issuer: new x509.Name(rootCertificate?.subject ?? new Uint8Array()),
      publicKey: keys.publicKey,
      signingKey: await webcrypto.subtle.importKey(
        "pkcs8",
        rootKey.export({ format: "der", type: "pkcs8" }),
        algorithm,
        false,
        ["sign"],
      ),
      notBefore: new Date(systemClock.now() - HOUR),
      notAfter: new Date(systemClock.now() + HOUR),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    },
    webcrypto,
  );
  const intermediate = {
    certificatePem: `${certificate.toString("pem")}\n`,
    privateKeyPem: KeyObject.from(keys.privateKey).export({ format: "pem", type: "pkcs8" }),
  };
  const leaf = await testClientCertificate(intermediate, username, [], {
    notAfter: new Date(systemClock.now() + HOUR / 2),
  });
  return { ...leaf, intermediate: intermediate.certificatePem };
}

export async function testServingCertificate(authority: KeyPairPem): Promise<KeyPair> {
  return await issueServingCertificate(authority, {
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    notBefore: new Date(systemClock.now() - HOUR),
    notAfter: new Date(systemClock.now() + HOUR),
  });
}

export const testLimits: Limits = {
  failuresPerSource: { perSecond: 20, burst: 200 },
  failuresPerAuthenticator: { perSecond: 200, burst: 200 },
  tokenReviewsPerSource: { perSecond: 50, burst: 50 },
  tokenReviews: { perSecond: 200, burst: 200 },
  concurrentCreates: 200,
};

export interface Harness {
  readonly clock: ManualClock;
  readonly api: AggregatedApi;
  readonly port: number;
  readonly servingAuthority: KeyPairPem;
  readonly frontProxyAuthority: KeyPairPem;
  readonly clientAuthority: KeyPairPem;
  readonly frontProxy: TestClientCertificate;
  readonly servingCertificate: Holder<KeyPair | undefined>;
  readonly requestHeader: Holder<RequestHeaderConfiguration | undefined>;
  readonly clientCaPem: Holder<string | undefined>;
  readonly audit: AuditEvent[];
  /** What the authorizer was asked. */
  readonly asked: { readonly user: Identity; readonly attributes: RequestAttributes }[];
  readonly issued: Identity[];
  /** By JSON of [apiGroup, kind, name]. */
  readonly authenticators: Map<string, Authenticator>;
  call(options: CallOptions): Promise<Answer>;
  /** Keeps one connection. */
  keepAlive(options?: CallOptions): { call(options: CallOptions): Promise<Answer>; close(): void };
  /** Writes bytes on a TLS connection and answers all that comes back until the end. */
  raw(bytes: string | Buffer, options?: ConnectionOptions): Promise<string>;
  connect(options?: ConnectionOptions): Promise<TLSSocket>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly method?: string;
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders | readonly string[];
  readonly body?: string | Buffer;
  readonly certificate?: TestClientCertificate | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export type HarnessOverrides = Partial<AggregatedApiOptions> & {
  readonly authorize?: (user: Identity, attributes: RequestAttributes) => AuthorizationDecision;
  readonly authenticateToken?: TokenAuthenticator["authenticateToken"];
  readonly withoutServingCertificate?: boolean;
};

export async function startHarness(overrides: HarnessOverrides = {}): Promise<Harness> {
  const { authorize, authenticateToken, withoutServingCertificate, ...rest } = overrides;
  const [servingAuthority, frontProxyAuthority, clientAuthority] = await Promise.all(
    ["serving", "front-proxy-ca", "cluster-ca"].map(testAuthority),
  );
  if (servingAuthority === undefined || frontProxyAuthority === undefined || clientAuthority === undefined) {
    throw new TypeError("unreachable");
  }
  const clock = createManualClock(systemClock.now());
  const pair = await testServingCertificate(servingAuthority);
  const servingCertificate = createHolder<KeyPair | undefined>(
    withoutServingCertificate === true ? undefined : pair,
  );
  const requestHeader = createHolder<RequestHeaderConfiguration | undefined>({
    clientCaPem: frontProxyAuthority.certificatePem,
    allowedNames: ["front-proxy-client"],
    usernameHeaders: ["x-remote-user"],
    uidHeaders: ["x-remote-uid"],
    groupHeaders: ["x-remote-group"],
    extraHeaderPrefixes: ["x-remote-extra-"],
  });
  const clientCaPem = createHolder<string | undefined>(clientAuthority.certificatePem);
  const audit: AuditEvent[] = [];
  const asked: Harness["asked"] = [];
  const issued: Identity[] = [];
  const authenticators = new Map<string, Authenticator>();
  const authorizer: Authorizer = {
    authorize: async (user, attributes) => {
      asked.push({ user, attributes });
      return authorize?.(user, attributes) ?? { allowed: true, reason: "" };
    },
  };
  const api = await createAggregatedApi({
    clock,
    log: silentLogger,
    audit: { record: (event) => audit.push(event) },
    apiGroupSuffix: "pinniped.dev",
    extensions: false,
    version: {
      major: "0",
      minor: "1",
      gitVersion: "v0.1.0",
      gitCommit: "unknown",
      gitTreeState: "clean",
      buildDate: "2026-01-01T00:00:00Z",
      goVersion: "node",
      compiler: "node",
      platform: "linux/amd64",
    },
    state: {
      servingCertificate,
      requestHeader,
      clientCaPem,
      authenticators: {
        get: ({ apiGroup, kind, name }) => authenticators.get(JSON.stringify([apiGroup, kind, name])),
      },
    },
    tlsProfile: tlsProfiles.secureServer,
    authorizer,
    tokens: authenticateToken === undefined ? undefined : { authenticateToken },
    credentials: {
      formFor: () => "ClientCertificate",
      issue: async ({ identity }) => {
        issued.push(identity);
        return {
          value: { clientCertificateData: "CERT", clientKeyData: "KEY" },
          notBefore: new Date(Date.UTC(2026, 0, 1, 0, 0, 0, 123)),
          notAfter: new Date(Date.UTC(2026, 0, 1, 0, 10)),
          expirationTimestamp: new Date(Date.UTC(2026, 0, 1, 0, 9, 15)),
          grantedSeconds: 600,
          signer: "test",
          credentialID: () => "X509SHA256=test",
        };
      },
    },
    limits: testLimits,
    metrics: {
      exchangeFinished: () => {},
      exchangePhase: () => {},
      credentialIssued: () => {},
      stopwatch: () => 0,
      authenticatorCalled: () => {},
      rateLimited: () => {},
      render: async () => ({ contentType: "text/plain; version=0.0.4", body: "up 1\n" }),
    },
    ...rest,
  });
  const { port } = await api.listen({ host: "127.0.0.1", port: 0 });
  const frontProxy = await testClientCertificate(frontProxyAuthority, "front-proxy-client");

  const tls = (certificate?: TestClientCertificate): ConnectionOptions => ({
    ca: [servingAuthority.certificatePem],
    servername: "localhost",
    ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
  });
  const connectTls = async (options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({ host: "127.0.0.1", port, ...tls(), ...options });
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
    });
    return socket;
  };
  const call = (options: CallOptions, agent: Agent): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          host: "127.0.0.1",
          port,
          agent,
          method: options.method ?? "GET",
          path: options.path,
          headers: (Array.isArray(options.headers)
            ? ["Host", "localhost", ...(options.headers as readonly string[])]
            : options.headers) as OutgoingHttpHeaders,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              rawHeaders: response.rawHeaders,
              body: Buffer.concat(chunks).toString("utf8"),
            }),
          );
        },
      );
      outgoing.on("error", reject);
      outgoing.end(options.body);
    });

  return {
    clock,
    api,
    port,
    servingAuthority,
    frontProxyAuthority,
    clientAuthority,
    frontProxy,
    servingCertificate,
    requestHeader,
    clientCaPem,
    audit,
    asked,
    issued,
    authenticators,
    call: async (options) => {
      const agent = new Agent({ keepAlive: false, ...tls(options.certificate) });
      try {
        return await call(options, agent);
      } finally {
        agent.destroy();
      }
    },
    keepAlive: (base) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1, ...tls(base?.certificate) });
      return { call: (options) => call(options, agent), close: () => agent.destroy() };
    },
    connect: connectTls,
    raw: async (bytes, options) => {
      const socket = await connectTls(options);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      const ended = new Promise<void>((resolve) => {
        socket.once("close", () => resolve());
        socket.once("error", () => resolve());
      });
      socket.write(bytes);
      await ended;
      return Buffer.concat(chunks).toString("latin1");
    },
    close: async () => await api.close(1_000_000),
  };
}

export const LOGIN = "/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests";
export const WHO_AM_I = "/apis/identity.concierge.pinniped.dev/v1alpha1/whoamirequests";
