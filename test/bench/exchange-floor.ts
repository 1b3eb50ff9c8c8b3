// The floor of an exchange, in a process of its own so that its CPU can be told: an empty Fastify POST over the server's TLS, and
// the cryptography that no exchange can do without, when the parent asks for it.
import Fastify from "fastify";
import type { JWK } from "jose";
import { importJWK, jwtVerify } from "jose";
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { AddressInfo } from "node:net";
import { serverTlsOptions, tlsProfiles } from "../../src/tls/profiles.ts";
import { createLoopbackCertificate } from "../oidc/certificates.ts";

export interface FloorSetup {
  readonly path: string;
  readonly answerBytes: number;
  readonly token: string;
  readonly issuer: string;
  readonly audience: string;
  readonly publicKey: JWK;
  readonly connections: number;
}

/** What the parent sends: the set-up first, answered with `FloorReady`, then orders, answered with the order. */
export type FloorMessage = FloorSetup | FloorOrder;

export interface FloorOrder {
  readonly work: FloorWork;
  readonly count: number;
}

/** All four parts of the floor in one handler. */
export const WHOLE_PATH = "/whole";

export const FLOOR_WORK = ["verify", "keyPair", "sign"] as const;
export type FloorWork = (typeof FLOOR_WORK)[number];

export interface FloorReady {
  readonly port: number;
  readonly caPem: string;
}

async function start(setup: FloorSetup): Promise<(work: FloorWork, count: number) => Promise<void>> {
  const certificate = await createLoopbackCertificate();
  const server = Fastify({
    logger: false,
    https: serverTlsOptions(tlsProfiles.secureServer, {
      certificateChainPem: certificate.certificatePem,
      privateKeyPem: certificate.privateKeyPem,
      clientCaPem: certificate.caPem,
      alpnProtocols: ["http/1.1"],
    }),
  });
  // Text, which Fastify sends in one piece with the head: the cheaper form.
  const answer = "x".repeat(setup.answerBytes);
  const publicKey = await importJWK(setup.publicKey, "RS256");
  const options = {
    algorithms: ["RS256"],
    issuer: setup.issuer,
    audience: setup.audience,
    requiredClaims: ["exp"],
  };
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  // As much as a certificate of a user with few groups has to be signed.
  const content = randomBytes(400);
  const works: Readonly<Record<FloorWork, () => unknown>> = {
    verify: () => jwtVerify(setup.token, publicKey, options),
    keyPair: () =>
      generateKeyPairSync("ec", {
        namedCurve: "P-256",
        publicKeyEncoding: { format: "raw-public", type: "uncompressed" },
        privateKeyEncoding: { format: "raw-private" },
      }),
    sign: () => sign("sha256", content, privateKey),
  };
  server.post(setup.path, (_request, reply) => reply.code(201).type("application/json").send(answer));
  server.post(WHOLE_PATH, async (_request, reply) => {
    await works.verify();
    works.keyPair();
    works.sign();
    return reply.code(201).type("application/json").send(answer);
  });
  await server.listen({ host: "127.0.0.1", port: 0 });
  const ready: FloorReady = {
    port: (server.server.address() as AddressInfo).port,
    caPem: certificate.caPem,
  };
  process.send?.(ready);
  return async (work, count) => {
    let left = count;
    const worker = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await works[work]();
      }
    };
    // As many at a time as there are connections, which is how an exchange does them.
    await Promise.all(Array.from({ length: setup.connections }, worker));
  };
}

let started: ReturnType<typeof start> | undefined;

if (process.send !== undefined) {
  process.on("message", (message: FloorMessage) => {
    void (async () => {
      if ("path" in message) {
        started = start(message);
        await started;
      } else {
        await (
          await started
        )?.(message.work, message.count);
        process.send?.(message);
      }
    })();
  });
}
