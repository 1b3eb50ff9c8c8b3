import assert from "node:assert/strict";
import { test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { CommandError } from "../command-error.ts";
import { checkConciergeParameters, type ConciergeFlags } from "./parameters.ts";

const { caPem } = await createLoopbackCertificate();
const SOUND: ConciergeFlags = {
  endpoint: "https://concierge.example.com",
  caBundleData: Buffer.from(caPem).toString("base64"),
  authenticatorType: "jwt",
  authenticatorName: "issuer",
  apiGroupSuffix: "pinniped.dev",
};
const RFC1123 =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

test("sound parameters, with types in any case and no CA for the system's roots", () => {
  assert.deepEqual(checkConciergeParameters(SOUND), {
    endpoint: SOUND.endpoint,
    caPem,
    authenticatorKind: "JWTAuthenticator",
    authenticatorName: "issuer",
    apiGroupSuffix: "pinniped.dev",
  });
  const other = checkConciergeParameters({ ...SOUND, authenticatorType: "WebHook", caBundleData: "" });
  assert.equal(other.authenticatorKind, "WebhookAuthenticator");
  assert.ok(!("caPem" in other));
});

test("addresses by number: whole and in any range, or refused", () => {
  for (const endpoint of [
    "https://127.0.0.1:6443",
    "https://10.255.249.200/k8s/clusters/c-1",
    "https://[::1]:443",
  ]) {
    assert.equal(checkConciergeParameters({ ...SOUND, endpoint }).endpoint, endpoint);
  }
  for (const endpoint of ["https://10.0.0.256", "https://1.2.3.4.5", "https://127.0.0.1:99999"]) {
    assert.throws(() => checkConciergeParameters({ ...SOUND, endpoint }), /invalid host or port/);
  }
});

// Each row is wrong in everything behind its own fault too, so that it shows the order: endpoint, CA, authenticator, suffix.
const wrongBehind: ConciergeFlags = {
  endpoint: "",
  caBundleData: "!",
  authenticatorType: "x",
  authenticatorName: "",
  apiGroupSuffix: "bad",
};
const rows: readonly (readonly [Partial<ConciergeFlags>, string])[] = [
  [{}, "endpoint must not be empty"],
  [{ endpoint: "%" }, 'invalid endpoint URL: parse "%": invalid URL escape "%"'],
  [
    { endpoint: "https://a b" },
    'invalid endpoint URL: parse "https://a b": invalid character " " in host name',
  ],
  [{ endpoint: "https://a:b" }, 'invalid endpoint URL: parse "https://a:b": invalid port ":b" after host'],
  [{ endpoint: "a\n" }, 'invalid endpoint URL: parse "a\\n": net/url: invalid control character in URL'],
  [{ endpoint: ":a" }, 'invalid endpoint URL: parse ":a": missing protocol scheme'],
  [{ endpoint: "1:a" }, 'invalid endpoint URL: parse "1:a": first path segment in URL cannot contain colon'],
  [{ endpoint: "http://a.test" }, 'invalid endpoint scheme "http" (must be "https")'],
  [{ endpoint: "a.test" }, 'invalid endpoint scheme "" (must be "https")'],
  [{ endpoint: SOUND.endpoint }, "invalid CA bundle data: illegal base64 data at input byte 0"],
  [{ endpoint: SOUND.endpoint, caBundleData: "aGk=" }, "invalid CA bundle data: no certificates found"],
  [
    {
      endpoint: SOUND.endpoint,
      caBundleData: Buffer.from("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").toString(
        "base64",
      ),
    },
    "invalid CA bundle data: no certificates found",
  ],
  [{ endpoint: SOUND.endpoint, caBundleData: SOUND.caBundleData }, "authenticator name must not be empty"],
  [
    { endpoint: SOUND.endpoint, caBundleData: "", authenticatorName: "n" },
    'invalid authenticator type: "x", supported values are "webhook" and "jwt"',
  ],
  [{ ...SOUND, apiGroupSuffix: "bad" }, "invalid API group suffix: must contain '.'"],
  [{ ...SOUND, apiGroupSuffix: ".bad" }, `invalid API group suffix: ${RFC1123}`],
  [{ ...SOUND, apiGroupSuffix: "Bad" }, `invalid API group suffix: [must contain '.', ${RFC1123}]`],
];

for (const [flags, text] of rows) {
  test(`refused: ${text.slice(0, 90)}`, () => {
    assert.throws(
      () => checkConciergeParameters({ ...wrongBehind, ...flags }),
      (error) => error instanceof CommandError && error.message === text,
    );
  });
}
