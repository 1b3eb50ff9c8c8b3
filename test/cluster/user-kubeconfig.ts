// Runs inside the network of a node cluster: logs a user in through the impersonation proxy, with no credential but a token
// of a real OIDC issuer, and writes the kubeconfig that kubectl then uses. Arguments: address to listen on, the proxy's URL, its CA
// (base64 of PEM), the file to write. The token is left beside it, in FILE.token.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createLoopbackCertificate } from "../oidc/certificates.ts";
import { startIssuer } from "../oidc/issuer.ts";
import { eventually } from "../integration/harness/eventually.ts";
import { authenticationGroup, exchangeObject, exchangePath } from "../integration/harness/exchange.ts";
import { call } from "../integration/harness/http.ts";

const [address = "", server = "", caData = "", file = ""] = process.argv.slice(2);
const issuer = await startIssuer({
  users: [{ username: "ada", groups: ["engineers"] }],
  certificate: await createLoopbackCertificate({ ipAddresses: [address], dnsNames: [] }),
  host: address,
  listenAddress: address,
});
const authenticator = { kind: "JWTAuthenticator", name: "proxy-users" } as const;
kubectl(["apply", "--filename=-"], {
  apiVersion: `${authenticationGroup}/v1alpha1`,
  kind: authenticator.kind,
  metadata: { name: authenticator.name },
  spec: {
    issuer: issuer.issuerUrl,
    audience: issuer.clientId,
    tls: { certificateAuthorityData: Buffer.from(issuer.caPem).toString("base64") },
  },
});
const token = await issuer.getIdToken({ username: "ada" });
interface Credential {
  readonly clientCertificateData?: string;
  readonly clientKeyData?: string;
  readonly token?: string;
}
const { credential, answer } = await eventually("an exchange through the proxy", async () => {
  const { status, text } = await call({
    server,
    caPem: Buffer.from(caData, "base64").toString("utf8"),
    path: exchangePath,
    body: JSON.stringify(exchangeObject(token, authenticator)),
  });
  const object = status === 201 ? (JSON.parse(text) as { status: { credential?: Credential } }) : undefined;
  return object?.status.credential === undefined
    ? undefined
    : { credential: object.status.credential, answer: text };
});
await issuer.stop();
writeFileSync(`${file}.token`, token, { mode: 0o600 });
const base64 = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : Buffer.from(text).toString("base64");
writeFileSync(
  file,
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "proxy", cluster: { server, "certificate-authority-data": caData } }],
    users: [
      {
        name: "ada",
        user: {
          "client-certificate-data": base64(credential.clientCertificateData),
          "client-key-data": base64(credential.clientKeyData),
          token: credential.token,
        },
      },
    ],
    contexts: [{ name: "proxy", context: { cluster: "proxy", user: "ada", namespace: "work" } }],
    "current-context": "proxy",
  }),
  { mode: 0o600 },
);
console.log(JSON.stringify({ bytes: answer.length }));

function kubectl(args: readonly string[], input: object): void {
  const { status, stderr } = spawnSync("kubectl", [...args], {
    encoding: "utf8",
    input: JSON.stringify(input),
  });
  if (status !== 0) {
    throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  }
}
