import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { createTestLogin } from "../../../test/oidc/cli-login.ts";
import { PASSWORD_FLOW, SECRETS, useScriptedLogin } from "../../../test/oidc/cli-login-fixture.ts";
import { sendJson } from "../../../test/oidc/tls-server.ts";
import type { OidcLoginOptions } from "./login.ts";

describe("discovery", { timeout: 80_000 }, () => {
  const at = useScriptedLogin();

  const rows: readonly [
    name: string,
    arrange: () => Partial<OidcLoginOptions> | undefined,
    message: string | RegExp,
  ][] = [
    [
      "an issuer over http",
      () => ({ issuer: "http://issuer.example.com" }),
      'issuer must be an https URL, but had scheme "http" instead',
    ],
    [
      "an issuer without a scheme",
      () => ({ issuer: "issuer.example.com" }),
      'issuer must be an https URL, but had scheme "" instead',
    ],
    [
      "an issuer that is no URL",
      () => ({ issuer: "https://a b" }),
      /^issuer is not a valid URL: parse "https:\/\/a b": /,
    ],
    [
      "an authorize URL over http",
      () => {
        at.issuer.metadata = { authorization_endpoint: "http://x/" };
      },
      'discovered authorize URL from issuer must be an https URL, but had scheme "http" instead',
    ],
    [
      "a token URL over http",
      () => {
        at.issuer.metadata = { token_endpoint: "ftp://x/" };
      },
      'discovered token URL from issuer must be an https URL, but had scheme "ftp" instead',
    ],
    [
      "a key URL over http",
      () => {
        at.issuer.metadata = { jwks_uri: "http://x/" };
      },
      'discovered JWKS URL from issuer must be an https URL, but had scheme "http" instead',
    ],
    [
      "another issuer's document",
      () => {
        at.issuer.metadata = { issuer: `${at.issuer.url}/` };
      },
      /^could not perform OIDC discovery for "https:.*fd": the issuer in the answer must be the same text, expected "https:.*fd", got "https:.*fd\/"$/,
    ],
    [
      "no document",
      () => {
        at.issuer.answers.set("/.well-known/openid-configuration", (_request, response) =>
          response.writeHead(404, { "audit-id": "a-7" }).end("no\nsuch\u001bpage"),
        );
      },
      /^could not perform OIDC discovery for "https:.*fd": 404 Not Found: no such page \(audit ID a-7\)$/,
    ],
    [
      "a document that is not JSON",
      () => {
        at.issuer.answers.set("/.well-known/openid-configuration", (_request, response) =>
          response.writeHead(200).end("<html>"),
        );
      },
      /^could not perform OIDC discovery for "https:.*fd": the answer is not a JSON object$/,
    ],
    [
      "a list of identity providers elsewhere",
      () => {
        at.issuer.metadata = {
          "discovery.supervisor.pinniped.dev/v1alpha1": {
            pinniped_identity_providers_endpoint: "https://elsewhere.example.com/list",
          },
        };
      },
      /^the Pinniped IDP discovery document must always be hosted by the issuer: "https:.*fd"$/,
    ],
    [
      "no list of identity providers",
      () => {
        at.issuer.answers.set("/v1alpha1/pinniped_identity_providers", (_request, response) =>
          response.writeHead(500, { "audit-id": "a-8" }).end(),
        );
      },
      "unable to fetch IDP discovery data from issuer: unexpected http response status: 500 Internal Server Error (audit ID a-8)",
    ],
    [
      "a list of identity providers that is not JSON",
      () => {
        at.issuer.answers.set("/v1alpha1/pinniped_identity_providers", (_request, response) =>
          response.writeHead(200).end("<"),
        );
      },
      /^unable to fetch the Pinniped IDP discovery document: could not parse response JSON: /,
    ],
    [
      "a list of identity providers that breaks off",
      () => {
        at.issuer.answers.set("/v1alpha1/pinniped_identity_providers", (_request, response) =>
          response.destroy(),
        );
      },
      /^IDP Discovery response error: Get "https:/,
    ],
  ];
  for (const [name, arrange, message] of rows) {
    test(name, async () => {
      const changes = arrange() ?? {};
      await assert.rejects(at.login.run({ ...PASSWORD_FLOW, ...changes }), { message });
      assert.equal(
        at.issuer.requests.some(({ path }) => path.startsWith("/oauth2")),
        false,
      );
    });
  }

  test("documents may be elsewhere on https", async () => {
    at.issuer.answers.set("/.well-known/openid-configuration", (_request, response) =>
      response.writeHead(307, { location: "/fd/elsewhere" }).end(),
    );
    const { url } = at.issuer;
    at.issuer.answers.set("/elsewhere", (_request, response) =>
      sendJson(response, 200, {
        issuer: url,
        authorization_endpoint: `${url}/oauth2/authorize`,
        token_endpoint: `${url}/oauth2/token`,
        jwks_uri: `${url}/jwks.json`,
        id_token_signing_alg_values_supported: ["ES256"],
      }),
    );
    at.remember({ refresh: { token: SECRETS.refresh } });
    await at.login.run();
    at.issuer.answers.set("/elsewhere", (_request, response) =>
      response.writeHead(302, { location: "http://127.0.0.1/" }).end(),
    );
    await assert.rejects(at.login.run({ ...PASSWORD_FLOW, scopes: ["openid"] }), {
      message: /^could not perform OIDC discovery for ".*": redirected to http:\/\/, which is not https$/,
    });
    at.issuer.answers.set("/elsewhere", (_request, response) =>
      response.writeHead(302, { location: "elsewhere" }).end(),
    );
    await assert.rejects(
      at.login.run({ ...PASSWORD_FLOW, scopes: ["openid"] }),
      /stopped after 10 redirects$/,
    );
  });

  test("a CA that is not the given one", async () => {
    const { caPem } = await createLoopbackCertificate();
    const other = createTestLogin(at.context, { url: at.issuer.url, caPem });
    await assert.rejects(
      other.run(PASSWORD_FLOW),
      /could not perform OIDC discovery for ".*": .*unknown authority/,
    );
  });
});
