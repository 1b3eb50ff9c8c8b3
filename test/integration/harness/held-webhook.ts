import { createLoopbackCertificate } from "../../oidc/certificates.ts";
import { readBody, sendJson, startTlsServer } from "../../oidc/tls-server.ts";
import { inlineBundle } from "./authenticators.ts";

/** A webhook that knows everybody, and answers when it is told to. */
export interface HeldWebhook {
  /** Of a WebhookAuthenticator. */
  readonly spec: object;
  /** Reviews that wait for their answer. */
  held(): number;
  release(): void;
  close(): Promise<void>;
}

export async function startHeldWebhook(): Promise<HeldWebhook> {
  const certificate = await createLoopbackCertificate();
  const waiting: (() => void)[] = [];
  const server = await startTlsServer(certificate, async (request, response) => {
    await readBody(request);
    waiting.push(() =>
      sendJson(response, 200, {
        apiVersion: "authentication.k8s.io/v1beta1",
        kind: "TokenReview",
        status: { authenticated: true, user: { username: "jane", groups: [] } },
      }),
    );
  });
  return {
    spec: { endpoint: server.origin, tls: inlineBundle(certificate.caPem) },
    held: () => waiting.length,
    release: () => waiting.splice(0).forEach((answer) => answer()),
    close: () => server.stop(),
  };
}
