import { createLoopbackCertificate } from "../../../../test/oidc/certificates.ts";
import { startTlsServer } from "../../../../test/oidc/tls-server.ts";

/** A Concierge of the contract: it makes the key itself, and ignores what it does not know. */
export interface FakeConcierge {
  readonly endpoint: string;
  /** base64 of PEM */
  readonly caBundleData: string;
  readonly caPem: string;
  /** The tokens it was given. */
  readonly tokens: string[];
  /** What it answers; may be replaced. */
  respond: (token: string) => {
    readonly status?: number;
    readonly headers?: Record<string, string>;
    readonly body: unknown;
  };
  stop(): Promise<void>;
}

export async function startFakeConcierge(
  answer: (token: string) => Record<string, string>,
): Promise<FakeConcierge> {
  const certificate = await createLoopbackCertificate();
  const server = await startTlsServer(certificate, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { spec } = JSON.parse(Buffer.concat(chunks).toString("utf8")) as { spec: { token: string } };
      fake.tokens.push(spec.token);
      const { status = 201, headers = {}, body } = fake.respond(spec.token);
      response
        .writeHead(status, { "content-type": "application/json", ...headers })
        .end(JSON.stringify(body));
    });
  });
  const fake: FakeConcierge = {
    endpoint: server.origin,
    caPem: certificate.caPem,
    caBundleData: Buffer.from(certificate.caPem).toString("base64"),
    tokens: [],
    respond: (token) => ({ body: { status: { credential: answer(token) } } }),
    stop: () => server.stop(),
  };
  return fake;
}
