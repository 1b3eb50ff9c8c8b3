import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startTlsServer } from "../../../test/oidc/tls-server.ts";
import { createManualClock } from "../../clock.ts";
import { createTestContext } from "../http/testing/context.ts";
import { encodeBase64 } from "./ca-bundle.ts";
import { createDeadline } from "./deadline.ts";
import { validateEndpoint } from "./validate-endpoint.ts";

const certificate = await createLoopbackCertificate();
let status = 403;
const authorizations: unknown[] = [];
const server = await startTlsServer(certificate, (request, response) => {
  authorizations.push(request.headers.authorization, request.url);
  response.writeHead(status, { "Audit-ID": "some-id" }).end();
});
after(() => server.stop());
const cluster = { server: server.origin, "certificate-authority-data": encodeBase64(certificate.caPem) };

/** Time passes as soon as somebody waits for it. */
function hurryingClock(onPause: (pauses: number) => void) {
  const clock = createManualClock();
  let pauses = 0;
  return {
    ...clock,
    sleep: async (milliseconds: number) => {
      onPause(++pauses);
      await clock.advance(milliseconds);
    },
  };
}

async function validate(
  target: object,
  options: { timeout?: number; onPause?: (pauses: number) => void } = {},
) {
  const clock = hurryingClock(options.onPause ?? (() => {}));
  const context = createTestContext({ clock });
  const deadline = createDeadline(context, options.timeout ?? 20_000);
  try {
    await validateEndpoint(context, target as Record<string, unknown>, { deadline, log: context.log });
    return context.lines;
  } catch (error) {
    return Object.assign(error as Error, { lines: context.lines });
  } finally {
    deadline.end();
  }
}

test("any answer below 500 will do, and no credential is shown", async () => {
  status = 403;
  const lines = await validate(cluster);
  assert.deepEqual(lines, [{ level: "info", message: "validated connection to the cluster", values: {} }]);
  assert.deepEqual(authorizations, [undefined, "/"]);
});

test("an answer of 500 is tried again until there is a better one", async () => {
  status = 500;
  const lines = await validate(cluster, {
    onPause: (pauses) => {
      status = pauses === 2 ? 200 : 500;
    },
  });
  assert.ok(Array.isArray(lines));
  assert.deepEqual(
    lines.map(({ level, message, values }) => [level, message, values]),
    [
      [
        "info",
        "could not immediately connect to the cluster but it may be initializing, will retry until timeout",
        { error: "unexpected status code 500" },
      ],
      [
        "error",
        "could not connect to cluster, retrying...",
        { error: "unexpected status code 500", attempts: 2, remaining: "18s" },
      ],
      ["info", "validated connection to the cluster", { attempts: 3 }],
    ],
  );
});

test("the time ends it", async () => {
  status = 500;
  const error = await validate(cluster, { timeout: 5_000 });
  assert.equal((error as Error).message, "context deadline exceeded");
});

test("only the cluster's own CA is trusted, and skipped verification is no trust", async () => {
  const other = await createLoopbackCertificate();
  const error = await validate(
    { ...cluster, "certificate-authority-data": encodeBase64(other.caPem), "insecure-skip-tls-verify": true },
    { timeout: 3_000 },
  );
  assert.equal((error as Error).message, "context deadline exceeded");
  assert.match(JSON.stringify((error as unknown as { lines: unknown }).lines), /unknown authority/);
  const unverified = await validate({ server: server.origin, "insecure-skip-tls-verify": true });
  assert.equal((unverified as unknown as Error).message, "invalid kubeconfig (no certificateAuthorityData)");
});

test("without a CA the system's roots are asked", async () => {
  const error = await validate({ server: server.origin }, { timeout: 3_000 });
  assert.match(JSON.stringify((error as unknown as { lines: unknown }).lines), /system's roots were asked/);
});
