import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, beforeEach, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { sendJson, startTlsServer } from "../../../test/oidc/tls-server.ts";
import { createTestContext } from "../http/testing/context.ts";
import { createDeadline } from "./deadline.ts";
import { discoverIssuer } from "./supervisor-discovery.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const certificate = await createLoopbackCertificate();
let answers: Record<string, Handler>;
const asked: string[] = [];
const server = await startTlsServer(certificate, (request, response) => {
  asked.push(request.url ?? "");
  (answers[request.url ?? ""] ?? ((_, it) => it.writeHead(404).end("nothing here")))(request, response);
});
after(() => server.stop());
const issuer = `${server.origin}/path/`;
const documentPath = "/path/.well-known/openid-configuration";
const listPath = "/path/v1alpha1/pinniped_identity_providers";
const json =
  (value: unknown): Handler =>
  (_, response) =>
    sendJson(response, 200, value);
const supervisor = (more: object = {}): object => ({
  issuer,
  scopes_supported: ["openid", "username", "groups"],
  "discovery.supervisor.pinniped.dev/v1alpha1": {
    pinniped_identity_providers_endpoint: `${server.origin}${listPath}`,
  },
  ...more,
});
const corp = { name: "corp", type: "oidc", flows: ["browser_authcode", "cli_password"] };
const scopes = ["openid", "username", "groups"];
const none = { name: "", type: "", flow: "" };
beforeEach(() => {
  asked.length = 0;
  answers = {
    [documentPath]: json(supervisor()),
    [listPath]: json({ pinniped_identity_providers: [corp] }),
  };
});

async function discover(options: { upstream?: typeof none; issuer?: string; caBundle?: string } = {}) {
  const context = createTestContext();
  const deadline = createDeadline(context, 10_000);
  try {
    const found = await discoverIssuer(context, {
      issuer,
      caBundle: certificate.caPem,
      scopes,
      upstream: none,
      timeout: 5_000,
      deadline,
      log: context.log,
      ...options,
    });
    return { scopes: found.scopes, upstream: found.upstream, lines: context.lines };
  } finally {
    deadline.end();
  }
}
const fails = (message: string | RegExp, options = {}): Promise<void> =>
  assert.rejects(discover(options), { name: "CommandError", message });

test("an issuer that is no Supervisor changes nothing", async () => {
  answers[documentPath] = json({ issuer, scopes_supported: ["openid"] });
  const found = await discover({ upstream: { ...none, name: "given" } });
  assert.deepEqual(found, { scopes, upstream: { ...none, name: "given" }, lines: [] });
  assert.deepEqual(asked, [documentPath]);
});

test("a Supervisor's only provider is taken, with its first flow", async () => {
  const { upstream, lines } = await discover();
  assert.deepEqual(upstream, { name: "corp", type: "oidc", flow: "browser_authcode" });
  assert.deepEqual(lines, [
    {
      level: "info",
      message: "multiple client flows found, selecting first value as default",
      values: {
        idpName: "corp",
        idpType: "oidc",
        selectedFlow: "browser_authcode",
        availableFlows: ["browser_authcode", "cli_password"],
      },
    },
  ]);
});

test("a choice that is complete is not looked up", async () => {
  const upstream = { name: "a", type: "b", flow: "c" };
  assert.deepEqual((await discover({ upstream })).upstream, upstream);
  assert.deepEqual(asked, [documentPath]);
});

test("a Supervisor that knows not both of the scopes is asked for neither", async () => {
  answers[documentPath] = json(supervisor({ scopes_supported: ["openid", "username"] }));
  const found = await discover({ upstream: { name: "corp", type: "oidc", flow: "cli_password" } });
  assert.deepEqual(found.scopes, ["openid"]);
  assert.deepEqual(
    found.lines.map(({ message, values }) => [message, values]),
    ["username", "groups"].map((scope) => [
      "removed scope from --oidc-scopes list because it is not supported by this Supervisor",
      { scope },
    ]),
  );
});

test("a Supervisor without providers writes none", async () => {
  answers[listPath] = json({ pinniped_identity_providers: [] });
  assert.deepEqual((await discover()).upstream, none);
});

test("the issuer must call itself what it was called", async () => {
  answers[documentPath] = json({ issuer: "https://other\u001b[31m" });
  await fails(
    `while fetching OIDC discovery data from issuer: oidc: issuer URL provided to client ("${issuer}") did not match the issuer URL returned by provider ("https://other\\x1b[31m")`,
  );
});

test("a document that cannot be had says why, with the audit ID", async () => {
  const start = "while fetching OIDC discovery data from issuer: ";
  answers[documentPath] = (_, response) =>
    response.writeHead(500, { "Audit-ID": "some-id" }).end("broken\u001b[31m\n<b>\n");
  await fails(`${start}500 Internal Server Error: broken\\x1b[31m\\n<b> (audit ID some-id)`);
  answers[documentPath] = (_, response) => response.end("<html>");
  await fails(`${start}oidc: failed to decode provider discovery object: it is not a JSON object`);
  await fails(/^while fetching OIDC discovery data from issuer: the issuer must be an https URL: "http:/, {
    issuer: "http://localhost",
  });
  const { caPem } = await createLoopbackCertificate();
  await fails(/^while fetching OIDC discovery data from issuer: Get "https:.*unknown authority/, {
    caBundle: caPem,
  });
  await fails("unable to fetch OIDC discovery data from issuer: could not parse CA bundle", {
    caBundle: "x",
  });
});

test("a list that cannot be had says why", async () => {
  const start = "unable to fetch IDP discovery data from issuer: ";
  answers[listPath] = (_, response) => response.writeHead(503, { "Audit-ID": "some-id" }).end("x");
  await fails(`${start}unexpected http response status: 503 Service Unavailable (audit ID some-id)`);
  answers[listPath] = (_, response) =>
    response.writeHead(200, { "content-length": "100" }).write("{", () => response.destroy());
  await fails(new RegExp(`^${start}could not read response body: Get "${RegExp.escape(server.origin)}.*EOF`));
  answers[listPath] = (_, response) => response.end("[");
  await fails(`${start}could not parse response JSON: it is not a JSON object`);
  answers[documentPath] = json(
    supervisor({
      "discovery.supervisor.pinniped.dev/v1alpha1": {
        pinniped_identity_providers_endpoint: "file:///etc/passwd",
      },
    }),
  );
  await fails(`${start}the endpoint must be an https URL: "file:///etc/passwd"`);
});

test("the choice among a Supervisor's providers can fail", async () => {
  await fails(
    /^no Supervisor upstream identity providers with name "x" were found\. Found these upstreams: \[/,
    {
      upstream: { ...none, name: "x" },
    },
  );
});
