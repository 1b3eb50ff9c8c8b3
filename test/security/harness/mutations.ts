/** One way of breaking the proxy's source: `edits` replace text that is there exactly once. */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly edits: readonly (readonly [text: string, replacement: string])[];
  /** The smallest test that has to go red: a file, and a pattern of titles in it. */
  readonly red: { readonly file: string; readonly titles: string };
}

const PROXY = "src/concierge/impersonator/";
const identityTest = (titles: string): Mutation["red"] => ({
  file: "test/security/proxy-identity.test.ts",
  titles,
});
const callersTest = (titles: string): Mutation["red"] => ({
  file: "test/security/proxy-callers.test.ts",
  titles,
});
const certificatesTest = (titles: string): Mutation["red"] => ({
  file: "test/security/proxy-certificates.test.ts",
  titles,
});
const rotationTest = (titles: string): Mutation["red"] => ({
  file: "test/security/proxy-rotation.test.ts",
  titles,
});
const headersTest = (titles: string): Mutation["red"] => ({
  file: "test/security/proxy-headers.test.ts",
  titles,
});
const smugglingTest = (titles: string): Mutation["red"] => ({
  file: "test/security/proxy-smuggling.test.ts",
  titles,
});
const upgradesTest = (titles: string): Mutation["red"] => ({
  file: "test/security/proxy-upgrades.test.ts",
  titles,
});

const without = (
  name: string,
  file: string,
  text: string,
  red: Mutation["red"],
  replacement = "",
): Mutation => ({ name, file: `${PROXY}${file}`, edits: [[text, replacement]], red });

/** A name or prefix is taken off a list of what never goes on. */
const goesOn = (what: string, text: string, replacement: string, titles: string): Mutation =>
  without(
    `the client's ${what} goes on`,
    "outgoing-headers.ts",
    text,
    headersTest(`^field 9: ${titles}.* never goes on over HTTP/1.1`),
    replacement,
  );

export const mutations: readonly Mutation[] = [
  // The identity headers, one by one.
  without(
    "no Authorization header",
    "steps/identity.ts",
    'all = ["Authorization", `Bearer ${token}`, ...headers];',
    callersTest("every request with the proxy's token names a user"),
    "all = [...headers];",
  ),
  without(
    "no Impersonate-User header",
    "identity-headers.ts",
    'const headers = ["Impersonate-User", latin1OfUtf8(username)];',
    callersTest("every request with the proxy's token names a user"),
    "latin1OfUtf8(username);\n  const headers: string[] = [];",
  ),
  without(
    "no Impersonate-Group header",
    "identity-headers.ts",
    'headers.push("Impersonate-Group", latin1OfUtf8(group));',
    identityTest("^a user without groups has the automatic one"),
  ),
  without(
    "no Impersonate-Extra header",
    "identity-headers.ts",
    "headers.push(name, latin1OfUtf8(value));",
    identityTest("^a credential ID is the certificate's"),
    "void name;",
  ),
  without(
    "no original-user-info",
    "identity-headers.ts",
    "if (original !== undefined) {",
    identityTest("^who may, acts as exactly that user"),
    "if (original === identity) {",
  ),
  without(
    "the forwarder leaves our identity headers out",
    "outgoing-headers.ts",
    "for (const part of request.identityHeaders) {\n    headers.push(part);\n  }",
    headersTest("^field 2: what Connection names otherwise"),
  ),
  // What a client says of somebody's identity.
  goesOn("Authorization", 'new Set(["authorization", ', "new Set([", "Authorization: Bearer stolen"),
  goesOn("Forwarded", '"forwarded", "x-real-ip"', '"x-real-ip"', "Forwarded:"),
  goesOn("X-Real-IP", '"x-real-ip", "audit-id"', '"audit-id"', "X-Real-IP:"),
  goesOn("Audit-ID", ', "audit-id"]);', "]);", "Audit-ID:"),
  goesOn("Impersonate-*", '["impersonate-", ', "[", "Impersonate-User:"),
  goesOn("X-Remote-*", '"x-remote-", ', "", "X-Remote-Anything:"),
  goesOn("X-Forwarded-*", '"x-forwarded-", ', "", "X-Forwarded-Host:"),
  goesOn("X-Lanyard-*", ', "x-lanyard-"]', "]", "X-Lanyard-Through-Proxy:"),
  without(
    "the front proxy's configured names go on",
    "outgoing-headers.ts",
    "frontProxy.usernameHeaders.includes(name) ||",
    headersTest("^field 9: names that the front proxy is configured with"),
  ),
  without(
    "a bearer in Sec-WebSocket-Protocol goes on",
    "outgoing-headers.ts",
    ".filter((protocol) => !protocol.toLowerCase().startsWith(BEARER_PROTOCOL))",
    headersTest("^S13: a bearer in Sec-WebSocket-Protocol"),
  ),
  // Hop by hop.
  without(
    "headers of one hop go on",
    "outgoing-headers.ts",
    'HOP_BY_HOP.has(lower) ||\n      lower.startsWith("proxy-")',
    headersTest("^field 9: (Keep-Alive|TE|Upgrade|HTTP2-Settings).* over HTTP/1.1"),
    'lower.startsWith("proxy-")',
  ),
  without(
    "Proxy-* goes on",
    "outgoing-headers.ts",
    'lower.startsWith("proxy-") ||\n      named.includes(lower)',
    headersTest("^field 9: Proxy-Authorization.* over HTTP/1.1"),
    "named.includes(lower)",
  ),
  without(
    "what Connection names goes on",
    "outgoing-headers.ts",
    "named.includes(lower) ||",
    headersTest("^field 2: what Connection names otherwise"),
  ),
  {
    name: "identity headers are put in before the strip",
    file: `${PROXY}outgoing-headers.ts`,
    edits: [
      [
        "const { rawHeaders, frontProxy } = request;\n  const named",
        "const { frontProxy } = request;\n  const rawHeaders = [...request.identityHeaders, ...request.rawHeaders];\n  const named",
      ],
      ["for (const part of request.identityHeaders) {\n    headers.push(part);\n  }", ""],
    ],
    red: headersTest("^field 2: what Connection names otherwise"),
  },
  without(
    "Connection may name identity headers",
    "request-form.ts",
    'connectionOptions(rawHeaders).some((option) => tellsIdentity(option, frontProxy) || option === "host")',
    headersTest("^field 2: Connection naming Impersonate-User in a list"),
    "rawHeaders.length < 0",
  ),
  // The per-request certificate check.
  {
    name: "no certificate expires",
    file: "src/pki/certificate-verification.ts",
    edits: [
      ["if (now > certificate.notAfter.getTime()) {", "if (now < 0) {"],
      ["request.now <= known.notAfter.getTime()", "request.now > 0"],
    ],
    red: rotationTest("^a certificate that expires on an open connection"),
  },
  {
    name: "a remembered certificate does not expire",
    file: "src/pki/certificate-verification.ts",
    edits: [["request.now <= known.notAfter.getTime()", "request.now > 0"]],
    red: rotationTest("^a certificate that expires on an open connection"),
  },
  {
    name: "a certificate is valid before its time",
    file: "src/pki/certificate-verification.ts",
    edits: [["if (now < certificate.notBefore.getTime()) {", "if (now < 0) {"]],
    red: certificatesTest("^wrong CA, expired, not yet valid"),
  },
  {
    name: "any signature makes a chain",
    file: "src/pki/certificate-verification.ts",
    edits: [["good = subject.x509.verify(issuer.x509.publicKey);", "good = true;"]],
    red: certificatesTest("^wrong CA, expired, not yet valid"),
  },
  {
    name: "a certificate for servers names users",
    file: "src/pki/certificate-verification.ts",
    edits: [["if (usages !== undefined && !usages.includes(usage)", "if (usages !== undefined && now < 0"]],
    red: certificatesTest("^wrong CA, expired, not yet valid"),
  },
  {
    name: "the trust of the first request counts for ever",
    file: "src/concierge/request/presented-certificate.ts",
    edits: [["if (loaded?.pem !== pem) {", "if (loaded === undefined) {"]],
    red: rotationTest("^a rotated signer counts at the next request"),
  },
  {
    name: "certificates are not judged at all",
    file: "src/concierge/request/presented-certificate.ts",
    edits: [
      [
        "return loaded.verifier.verify({\n        certificate: presented.leaf,\n        intermediates: presented.intermediates,\n        now,\n      });",
        "return { chain: [presented.leaf], notBefore: new Date(now), notAfter: new Date(now) };",
      ],
    ],
    red: certificatesTest("^wrong CA, expired, not yet valid"),
  },
  without(
    "any certificate is a front proxy's",
    "certificate-callers.ts",
    "frontProxy.identify(certificate, rawHeaders));\n    return identity",
    callersTest("^its headers count with its certificate alone"),
    '{\n      void frontProxy;\n      return { username: headerValues(rawHeaders, configuration.usernameHeaders[0] ?? "")[0] ?? "", groups: [], extra: {} };\n    });\n    return identity',
  ),
  // Upgrades.
  without(
    "any 101 opens the tunnel",
    "tunnel.ts",
    "agreed?.toLowerCase() !== wanted.toLowerCase() ||",
    upgradesTest("^field 12: a 101 with another protocol"),
  ),
  without(
    "a 101 without Connection opens the tunnel",
    "tunnel.ts",
    '||\n            !connectionOptions(headers).includes("upgrade")',
    upgradesTest("^field 12: a 101 with no Connection header"),
  ),
  without(
    "early bytes do not wait for the 101",
    "tunnel.ts",
    "if (!switched || upstream === undefined) {",
    upgradesTest("^field 13: "),
    "if (upstream === undefined) {",
  ),
  without(
    "any protocol is upgraded to",
    "request-form.ts",
    "if (upgrade && !UPGRADES.has(value.toLowerCase())) {",
    upgradesTest("^field 11: an upgrade to h2c"),
    "if (upgrade && UPGRADES.size === 0) {",
  ),
  // The form of a request.
  without(
    "two Hosts pass",
    "request-form.ts",
    "if (hosts !== 1) {",
    smugglingTest("two Hosts"),
    "if (hosts === 0) {",
  ),
  without(
    "the absolute form passes",
    "request-form.ts",
    "const TARGET = /^\\/[",
    smugglingTest("absolute form"),
    "const TARGET = /^[",
  ),
  without(
    "dot segments pass",
    "request-form.ts",
    'segment === "." || segment === ".."',
    smugglingTest("%2e%2e"),
    'segment === "..."',
  ),
  without(
    "two Authorizations pass the form",
    "request-form.ts",
    "if (authorizations > 1) {",
    smugglingTest("two Authorizations"),
    "if (authorizations > 2) {",
  ),
  without(
    "an underscore is a dash",
    "request-form.ts",
    'name.includes("_") && tellsIdentity',
    headersTest("^field 1: Impersonate_User"),
    'name.includes(" ") && tellsIdentity',
  ),
  // The steps.
  without("no request-form step", "pipeline.ts", "createRequestFormStep({ state }),", {
    file: `${PROXY}pipeline.test.ts`,
    titles: "^the steps and their order",
  }),
  without(
    "no bytes step",
    "pipeline.ts",
    "createBytesStep(),",
    identityTest("^control characters, bare CR and LF"),
  ),
  without(
    "no deny-list step",
    "pipeline.ts",
    'createDenyListStep({ name: "deny-list", state, clock }),',
    {
      file: `${PROXY}refused-callers.test.ts`,
      titles: "^the final user of a nested|^a hit is a 401|^before it has",
    },
    "",
  ),
  without(
    "no deny-list step for the final user",
    "pipeline.ts",
    'createDenyListStep({ name: "deny-list-final-user", state, clock }),',
    { file: `${PROXY}refused-callers.test.ts`, titles: "^the final user of a nested" },
  ),
  without("no review of the request", "pipeline.ts", "createAuthorizationStep({ authorizer, log }),", {
    file: "test/security/proxy-sessions.test.ts",
    titles: "^field 14: ",
  }),
  without(
    "a session needs get only",
    "steps/authorization.ts",
    '? [attributes, { ...attributes, verb: "create" }]',
    { file: "test/security/proxy-sessions.test.ts", titles: "^field 14: " },
    "? [attributes]",
  ),
  without(
    "everybody may impersonate",
    "steps/nested-impersonation.ts",
    "return decision.allowed;",
    identityTest("^who may not impersonate does not"),
    "return true;",
  ),
  without(
    "impersonation headers that nobody knows are ignored",
    "pipeline.ts",
    "createLeftoverImpersonationStep(),",
    identityTest("^Impersonate-Foo: x is refused"),
  ),
  // Whose credential.
  without(
    "an own bearer is anybody's (S13)",
    "authentication.ts",
    "if (bearers === undefined || presented.every((token) => token === undefined)) {",
    { file: `${PROXY}own-bearers.test.ts`, titles: "^a bad one in the header is a 401" },
    "if (bearers === undefined || presented.length > 0) {",
  ),
  without(
    "an own bearer may name another than the certificate",
    "authentication.ts",
    "if (bearers.some(({ identity }) => identity.username !== caller.identity.username)) {",
    { file: `${PROXY}own-bearers.test.ts`, titles: "^field 7: " },
    "if (bearers.length > 9) {",
  ),
  without("an own bearer is passed through", "steps/identity.ts", "|| bearers?.isOurs(bearer) === true", {
    file: `${PROXY}own-bearers.test.ts`,
    titles: "^it is never passed through",
  }),
  without(
    "anybody's token vouches for a UID",
    "steps/identity.ts",
    "if (reviewed === undefined || !sameUser(withAuthenticatedGroup(reviewed), identity)) {",
    callersTest("^field 7: |^a UID that nobody can vouch for"),
    "if (reviewed === undefined) {",
  ),
  without(
    "anonymous goes on as the proxy",
    "steps/identity.ts",
    'caller.method === "anonymous" && !nested',
    callersTest("every request with the proxy's token names a user"),
    'caller.method === "x509" && nested',
  ),
];
