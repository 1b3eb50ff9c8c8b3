// Runs inside the network of a node cluster: logs a user in through the impersonation proxy, with no credential but a token
// of a real OIDC issuer, and writes the kubeconfig that kubectl then uses. Arguments: address to listen on, the proxy's URL, its CA
// (base64 of PEM), the file to write. The token is left beside it, in FILE.token.
import { writeFileSync } from "node:fs";
import { eventually } from "../integration/harness/eventually.ts";
import { exchangeObject, exchangePath } from "../integration/harness/exchange.ts";
import { call } from "../integration/harness/http.ts";
import { startNodeIssuer } from "./node-issuer.ts";

const [address = "", server = "", caData = "", file = ""] = process.argv.slice(2);
const authenticator = { kind: "JWTAuthenticator", name: "proxy-users" } as const;
const issuer = await startNodeIssuer(address, authenticator.name);
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
