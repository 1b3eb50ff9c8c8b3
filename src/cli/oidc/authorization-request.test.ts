import assert from "node:assert/strict";
import { test } from "node:test";
import { authorizationUrl, createAuthorizationSecrets } from "./authorization-request.ts";
import type { OidcLoginOptions } from "./login.ts";

const options = {
  clientId: "pinniped-cli",
  scopes: ["openid", "username", "offline_access", "groups", "pinniped:request-audience"],
} as unknown as OidcLoginOptions;
const secrets = {
  state: "0123456789abcdef0123456789abcdef",
  nonce: "fedcba9876543210fedcba9876543210",
  codeVerifier: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
};

test("the query's parameters are those of the contract, in alphabetical order", () => {
  const provider = { authorizationEndpoint: "https://sup.example.com/fd/oauth2/authorize", formPost: true };
  const redirectUri = "http://127.0.0.1:4711/callback";
  assert.equal(
    authorizationUrl({ options }, provider, { flow: "browser_authcode" }, secrets, redirectUri),
    "https://sup.example.com/fd/oauth2/authorize?access_type=offline&client_id=pinniped-cli" +
      "&code_challenge=Koq_qMuZBikEN4VBk8prykHU1OJtHUVL1mo1FYCV5zc&code_challenge_method=S256" +
      "&nonce=fedcba9876543210fedcba9876543210&redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2Fcallback" +
      "&response_mode=form_post&response_type=code" +
      "&scope=groups+offline_access+openid+pinniped%3Arequest-audience+username" +
      "&state=0123456789abcdef0123456789abcdef",
  );
});

test("names of identity providers are escaped as Go escapes them; a password is not answered by a form", () => {
  const provider = { authorizationEndpoint: "https://sup.example.com/a?tenant=x", formPost: true };
  const identityProvider = { name: "Ann's *idp* ~1 & co", type: "oidc" };
  const url = authorizationUrl(
    { options },
    provider,
    { flow: "cli_password", identityProvider },
    secrets,
    "http://127.0.0.1:0/callback",
  );
  assert.match(
    url,
    /&pinniped_idp_name=Ann%27s\+%2Aidp%2A\+~1\+%26\+co&pinniped_idp_type=oidc&redirect_uri=/,
  );
  assert.match(url, /&state=[0-9a-f]{32}&tenant=x$/);
  assert.doesNotMatch(url, /response_mode/);
});

test("secrets are 16 and 32 random bytes in hex", () => {
  const first = createAuthorizationSecrets();
  const second = createAuthorizationSecrets();
  assert.match(first.state, /^[0-9a-f]{32}$/);
  assert.match(first.nonce, /^[0-9a-f]{32}$/);
  assert.match(first.codeVerifier, /^[0-9a-f]{64}$/);
  assert.equal(new Set([...Object.values(first), ...Object.values(second)]).size, 6);
});
