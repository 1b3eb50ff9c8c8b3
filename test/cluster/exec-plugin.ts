// A credential plugin for client-go (client.authentication.k8s.io/v1) that buys a credential at the proxy with a token from a file.
// Arguments: the proxy's URL, a file with its CA in PEM, a file with the token, the lifetime to ask for in seconds, a file that gets a
// line for every credential: `certificate` or `token`.
import { appendFileSync, readFileSync } from "node:fs";
import { exchangeObject, exchangePath } from "../integration/harness/exchange.ts";
import { call } from "../integration/harness/http.ts";

const [server = "", caFile = "", tokenFile = "", seconds = "60", log = ""] = process.argv.slice(2);
const object = exchangeObject(readFileSync(tokenFile, "utf8"), {
  kind: "JWTAuthenticator",
  name: "proxy-users",
}) as { readonly spec: object };
const { status, text } = await call({
  server,
  caPem: readFileSync(caFile, "utf8"),
  path: exchangePath,
  body: JSON.stringify({ ...object, spec: { ...object.spec, expirationSeconds: Number(seconds) } }),
});
const credential =
  status === 201
    ? (JSON.parse(text) as { status: { credential?: { token?: string } } }).status.credential
    : undefined;
if (credential === undefined) {
  throw new Error(`no credential: ${status} ${text}`);
}
appendFileSync(log, credential.token === undefined ? "certificate\n" : "token\n");
console.log(
  JSON.stringify({
    apiVersion: "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    status: credential,
  }),
);
