// Runs inside the network of a node cluster: an OIDC issuer that Pods can reach, an authenticator for it, and a number of
// exchanges through the kube-apiserver. Prints one JSON line: the last credential, and whom the servers take it for. Arguments: address
// to listen on; number of exchanges, or `once` for one whose answer is printed whatever it says; and, to ask the impersonation proxy too, its URL
// and its CA (base64 of PEM).
import { eventually } from "../integration/harness/eventually.ts";
import { exchangeObject, exchangePath, whoAmIBody, whoAmIPath } from "../integration/harness/exchange.ts";
import { call } from "../integration/harness/http.ts";
import { apiServer, kubectl, startNodeIssuer } from "./node-issuer.ts";

const [address = "127.0.0.1", count = "1", proxyServer, proxyCaData = ""] = process.argv.slice(2);
const { server, caPem } = apiServer();

const authenticator = { kind: "JWTAuthenticator", name: "node-tier" } as const;
const issuer = await startNodeIssuer(address, authenticator.name);
await eventually(
  "phase Ready of the authenticator",
  async () =>
    kubectl(["get", "jwtauthenticator", authenticator.name, "--output=jsonpath={.status.phase}"]) === "Ready",
  { seconds: 60, intervalMilliseconds: 500 },
);
const token = await issuer.getIdToken({ username: "ada" });
const exchange = () =>
  call({
    server,
    caPem,
    path: exchangePath,
    body: JSON.stringify(exchangeObject(token, authenticator)),
  });
if (count === "once") {
  const { status, text } = await exchange();
  await issuer.stop();
  console.log(JSON.stringify({ status, text }));
  process.exit();
}
interface Exchanged {
  readonly status: {
    readonly credential?: { readonly clientCertificateData: string; readonly clientKeyData: string };
  };
}
// A replica that does not lead takes the authenticator into force once it sees the leader's verdict (contract 4.7).
const answers: boolean[] = [];
let credential: Exchanged["status"]["credential"];
await eventually(`${count} exchanges in a row`, async () => {
  const { status, text } = await exchange();
  const answer = JSON.parse(text) as Exchanged;
  answers.push(status === 201 && answer.status.credential !== undefined);
  credential = answer.status.credential ?? credential;
  return answers.length >= Number(count) && answers.slice(-Number(count)).every(Boolean);
});
const whoAmI = (at: { readonly server: string; readonly caPem: string }) =>
  call({
    ...at,
    path: whoAmIPath,
    body: whoAmIBody,
    caller: {
      certificatePem: credential?.clientCertificateData ?? "",
      privateKeyPem: credential?.clientKeyData ?? "",
    },
  });
const seen = async (at: Parameters<typeof whoAmI>[0]): Promise<unknown> =>
  JSON.parse((await whoAmI(at)).text);
const result = {
  exchanges: answers.length,
  credential,
  whoAmI: await seen({ server, caPem }),
  ...(proxyServer === undefined
    ? {}
    : {
        whoAmIThroughProxy: await seen({
          server: proxyServer,
          caPem: Buffer.from(proxyCaData, "base64").toString("utf8"),
        }),
      }),
};
await issuer.stop();
console.log(JSON.stringify(result));
