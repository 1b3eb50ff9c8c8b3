import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { authenticatorType, caSource, chooseAuthenticator } from "./authenticator.ts";
import { chooseFrontend, frontendCaBundle, hasPendingStrategy, strategySummaries } from "./strategy.ts";
import { chooseUpstream, type Upstream, upstreamsIn } from "./upstream-choice.ts";

const issuerWith = (...strategies: readonly object[]): object => ({ status: { strategies } });
const proxyFrontend = {
  type: "ImpersonationProxy",
  impersonationProxyInfo: { endpoint: "https://proxy", certificateAuthorityData: "UEVN" },
};
const apiFrontend = {
  type: "TokenCredentialRequestAPI",
  tokenCredentialRequestInfo: { server: "https://other" },
};
const good = (frontend: object): object => ({ status: "Success", reason: "x", frontend });

describe("strategies", () => {
  test("the first in the list that works, has a known frontend and the right mode is taken", () => {
    const issuer = issuerWith(
      { ...good(proxyFrontend), status: "Error" },
      { status: "Success" },
      good({ type: "Tomorrow" }),
      good(apiFrontend),
      good(proxyFrontend),
    );
    assert.equal(chooseFrontend(issuer, undefined).mode, "TokenCredentialRequestAPI");
    const proxy = chooseFrontend(issuer, "ImpersonationProxy");
    assert.deepEqual(proxy, { mode: "ImpersonationProxy", endpoint: "https://proxy", caBundleData: "UEVN" });
    assert.equal(frontendCaBundle(proxy), "PEM");
  });

  test("none is an error that names the mode", () => {
    for (const issuer of [
      {},
      { status: { strategies: "x" } },
      issuerWith({ ...good(apiFrontend), status: "Error" }),
    ]) {
      assert.throws(() => chooseFrontend(issuer, undefined), {
        message: "could not autodiscover --concierge-mode",
      });
      assert.throws(() => chooseFrontend(issuer, "ImpersonationProxy"), {
        message: "could not find successful Concierge strategy matching --concierge-mode=ImpersonationProxy",
      });
    }
  });

  test("one that is pending is waited for", () => {
    assert.equal(hasPendingStrategy(issuerWith(good(apiFrontend), { reason: "Pending" })), true);
    assert.equal(hasPendingStrategy(issuerWith(good(apiFrontend))), false);
    assert.deepEqual(strategySummaries(issuerWith({ type: "T", message: 1 })), [
      { type: "T", status: "", reason: "", message: "" },
    ]);
  });
});

describe("authenticators", () => {
  const one = { type: "jwt", name: "a", spec: {} } as const;
  const two = { type: "webhook", name: "a", spec: {} } as const;

  test("types are read whatever their case", () => {
    assert.deepEqual(["", "JWT", "Webhook"].map(authenticatorType), [undefined, "jwt", "webhook"]);
    assert.throws(() => authenticatorType("x\u001b"), {
      message: 'invalid authenticator type "x\\x1b", supported values are "webhook" and "jwt"',
    });
  });

  test("the only one of the name is taken; several are reported", () => {
    const reported: string[] = [];
    const choose = (listed: Parameters<typeof chooseAuthenticator>[0], name: string) =>
      chooseAuthenticator(listed, name, (found) => reported.push(found.type));
    assert.equal(choose([one, { ...two, name: "b" }], "b").type, "webhook");
    assert.equal(choose([one], ""), one);
    assert.throws(() => choose([one], "b"), { message: "no authenticators were found" });
    assert.throws(() => choose([one, two], "a"), {
      message:
        "multiple authenticators were found, so the --concierge-authenticator-type/--concierge-authenticator-name flags must be specified",
    });
    assert.deepEqual(reported, ["jwt", "webhook"]);
  });

  test("the CA's source is the data, else the reference, else nothing", () => {
    const certificateAuthorityDataSource = { kind: "Secret", name: "n", key: "k" };
    assert.deepEqual(caSource({}), { kind: "none" });
    assert.deepEqual(caSource({ tls: { certificateAuthorityData: "d", certificateAuthorityDataSource } }), {
      kind: "inline",
      data: "d",
    });
    assert.deepEqual(caSource({ tls: { certificateAuthorityDataSource } }), {
      kind: "object",
      object: "Secret",
      name: "n",
      key: "k",
    });
    assert.deepEqual(caSource({ tls: { certificateAuthorityDataSource: { kind: "Pod" } } }), {
      kind: "unsupported",
      object: "Pod",
    });
  });
});

describe("upstream identity providers", () => {
  const upstreams: readonly Upstream[] = [
    { name: "corp", type: "oidc", flows: ["browser_authcode", "cli_password"] },
    { name: "corp", type: "ldap", flows: ["cli_password"] },
    { name: "<old>", type: "ldap", flows: [] },
  ];
  const shown =
    'Found these upstreams: [{"name":"corp","type":"oidc","flows":["browser_authcode","cli_password"]},{"name":"corp","type":"ldap","flows":["cli_password"]},{"name":"\\u003cold\\u003e","type":"ldap"}]';
  const flags = (name: string, type: string, flow = "") => ({ name, type, flow });

  test("an empty list leaves the flags alone", () => {
    assert.deepEqual(chooseUpstream([], flags("a", "", "f")), flags("a", "", "f"));
  });

  test("name, type and flow narrow it down to one", () => {
    for (const [given, chosen] of [
      [flags("corp", "ldap"), flags("corp", "ldap", "cli_password")],
      [flags("", "oidc", "cli_password"), flags("corp", "oidc", "cli_password")],
      [flags("<old>", ""), flags("<old>", "ldap")],
      [flags("<old>", "", "cli_password"), flags("<old>", "ldap", "cli_password")],
    ] as const) {
      assert.deepEqual(chooseUpstream(upstreams, given), chosen);
    }
    assert.deepEqual(chooseUpstream(upstreams.slice(0, 1), flags("", "")), {
      ...flags("corp", "oidc", "browser_authcode"),
      otherFlows: ["browser_authcode", "cli_password"],
    });
  });

  test("a pair that is listed twice is one provider", () => {
    const twice = [...upstreams, ...upstreams.slice(0, 1)];
    assert.equal(chooseUpstream(twice, flags("corp", "oidc", "cli_password")).name, "corp");
  });

  test("what does not is an error with the list", () => {
    const none = "no Supervisor upstream identity providers";
    const several = "multiple Supervisor upstream identity providers";
    for (const [given, message] of [
      [flags("x", "y"), `${none} with name "x" of type "y" were found. ${shown}`],
      [flags("", "y"), `${none} of type "y" were found. ${shown}`],
      [flags("x", ""), `${none} with name "x" were found. ${shown}`],
      [
        flags("", ""),
        `${several} were found, so the --upstream-identity-provider-name/--upstream-identity-provider-type flags must be specified. ${shown}`,
      ],
      [
        flags("", "ldap"),
        `${several} of type "ldap" were found, so the --upstream-identity-provider-name flag must be specified. ${shown}`,
      ],
      [
        flags("corp", ""),
        `${several} with name "corp" were found, so the --upstream-identity-provider-type flag must be specified. ${shown}`,
      ],
      [
        flags("corp", "oidc", "x"),
        'no client flow "x" for Supervisor upstream identity provider "corp" of type "oidc" were found. Found these flows: [browser_authcode cli_password]',
      ],
    ] as const) {
      assert.throws(() => chooseUpstream(upstreams, given), { message });
    }
  });

  test("a document that holds something else has no providers", () => {
    assert.deepEqual(upstreamsIn({ pinniped_identity_providers: [{ name: 1, flows: [1, "f"] }] }), [
      { name: "", type: "", flows: ["f"] },
    ]);
    assert.deepEqual(upstreamsIn(null), []);
  });
});
