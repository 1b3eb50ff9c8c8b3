import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { stringify } from "yaml";
import { authenticatorStatuses } from "../../hack/demo/authenticator-statuses.ts";
import { startStandaloneServer, type StandaloneServer } from "../../hack/demo/standalone-server.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { inlineBundle } from "./harness/authenticators.ts";
import { eventually } from "./harness/eventually.ts";
import {
  authenticationGroup,
  type AuthenticatorName,
  exchangeObject,
  exchangePath,
  type IssuedCertificate,
  issuedCertificate,
  seenUser,
  whoAmIBody,
  whoAmIPath,
} from "./harness/exchange.ts";
import { type Answer, call } from "./harness/http.ts";

const clientId = "standalone-test";
const company: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
/** The only name that counts, where the configuration gives none. */
const credentialIssuerName = "lanyard-concierge-credential-issuer";

describe("a CredentialIssuer in a folder of manifests", () => {
  let folder: string;
  let issuer: TestIssuer;
  let server: StandaloneServer;
  let token: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-standalone-test-"));
    issuer = await startIssuer({ clientId, users: [{ username: "jane", groups: ["apes"] }] });
    mkdirSync(join(folder, "manifests"), { mode: 0o700 });
    manifest("authenticator.yaml", {
      apiVersion: `${authenticationGroup}/v1alpha1`,
      kind: company.kind,
      metadata: { name: company.name },
      spec: { issuer: issuer.issuerUrl, audience: clientId, tls: inlineBundle(issuer.caPem) },
    });
    credentialIssuer({
      lifetimeSeconds: 120,
      maximumLifetimeSeconds: 900,
      backdateSeconds: 10,
      refreshLeadSeconds: 5,
      boundToToken: false,
    });
    const configFile = join(folder, "concierge.yaml");
    const stateFolder = join(folder, "state");
    writeFileSync(
      configFile,
      stringify({ log: { level: "info" }, standalone: { stateFolder, listenAddress: "127.0.0.1:0" } }),
    );
    server = await startStandaloneServer({
      manifestsFolder: join(folder, "manifests"),
      configFile,
      workingFolder: folder,
      logFile: join(folder, "server.log"),
    });
    await eventually("the authenticator", async () =>
      authenticatorStatuses(stateFolder).some(({ phase }) => phase === "Ready"),
    );
    token = await issuer.getIdToken({ username: "jane" });
  });
  after(async () => {
    await server.stop();
    await issuer.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const manifest = (file: string, object: object): void => {
    const path = join(folder, "manifests", file);
    writeFileSync(`${path}.new`, stringify(object), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  };
  const credentialIssuer = (clientCertificate: object): void =>
    manifest("credential-issuer.yaml", {
      apiVersion: "config.concierge.pinniped.dev/v1alpha1",
      kind: "CredentialIssuer",
      metadata: { name: credentialIssuerName },
      spec: { impersonationProxy: { mode: "disabled", service: {} }, clientCertificate },
    });
  const post = (more: object = {}): Promise<Answer> => {
    const object = exchangeObject(token, company) as { readonly spec: object };
    return call({
      server: server.address,
      caPem: server.caPem,
      path: exchangePath,
      body: JSON.stringify({ ...object, spec: { ...object.spec, ...more } }),
    });
  };
  /** Seconds from now to each of the ends. */
  const secondsOf = (issued: IssuedCertificate): { granted: number; back: number; lead: number } => {
    const { validFromDate, validToDate } = new X509Certificate(issued.certificatePem);
    return {
      granted: Math.round((validToDate.getTime() - Date.now()) / 1000),
      back: Math.round((Date.now() - validFromDate.getTime()) / 1000),
      lead: (validToDate.getTime() - Date.parse(issued.expirationTimestamp)) / 1000,
    };
  };
  const about = (actual: number, expected: number): void =>
    assert.ok(Math.abs(actual - expected) <= 5, `${actual} is not about ${expected}`);

  it("its lifetimes hold, and requests stay below its bound", async () => {
    const plain = secondsOf(issuedCertificate(await post()));
    about(plain.granted, 120);
    about(plain.back, 10);
    assert.equal(plain.lead, 5);
    about(secondsOf(issuedCertificate(await post({ expirationSeconds: 600 }))).granted, 600);
    about(secondsOf(issuedCertificate(await post({ expirationSeconds: 5000 }))).granted, 900);
  });

  it("a caller's key is certified, and no key is in the answer", async () => {
    execFileSync(
      "openssl",
      [
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        ["-subj", "/CN=somebody else", "-keyout", "own.key", "-out", "own.csr"],
      ].flat(),
      { cwd: folder, stdio: "ignore" },
    );
    const own = readFileSync(join(folder, "own.key"), "utf8");
    const answer = await post({
      certificateSigningRequest: readFileSync(join(folder, "own.csr"), "utf8"),
    });
    assert.doesNotMatch(answer.text, /clientKeyData/);
    const { certificatePem } = issuedCertificate(answer);
    const certificate = new X509Certificate(certificatePem);
    assert.ok(createPublicKey(own).equals(certificate.publicKey));
    const seen = await call({
      server: server.address,
      caPem: server.caPem,
      path: whoAmIPath,
      body: whoAmIBody,
      caller: { certificatePem, privateKeyPem: own },
    });
    assert.equal(seenUser(seen).username, "jane");
  });

  it("what is no certificate signing request is refused with the field's name", async () => {
    const answer = await post({ certificateSigningRequest: "hello" });
    assert.equal(answer.status, 422, answer.text);
    assert.match(answer.text, /"field":"spec\.certificateSigningRequest"/);
  });

  it("an edit counts without a restart", async () => {
    credentialIssuer({ lifetimeSeconds: 60 });
    await eventually("the new lifetime", async () => {
      const { granted, back } = secondsOf(issuedCertificate(await post()));
      return granted <= 60 && back >= 295;
    });
  });
});
