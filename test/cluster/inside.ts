// Runs inside the network of a node cluster: an OIDC issuer that Pods can reach, an authenticator for it, and a number of
// exchanges through the kube-apiserver. Prints one JSON line: the last credential, and whom the servers take it for. Arguments: address
// to listen on; number of exchanges, or `once` for one whose answer is printed whatever it says; and, to ask the impersonation proxy too, its URL
// and its CA (base64 of PEM).
import { readFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { parse } from "yaml";
import { createLoopbackCertificate } from "../oidc/certificates.ts";
import { startIssuer } from "../oidc/issuer.ts";
import { eventually } from "../integration/harness/eventually.ts";
import {
  authenticationGroup,
  exchangeObject,
  exchangePath,
  whoAmIBody,
  whoAmIPath,
} from "../integration/harness/exchange.ts";
import { call } from "../integration/harness/http.ts";

const [address = "127.0.0.1", count = "1", proxyServer, proxyCaData = ""] = process.argv.slice(2);
const kubeconfig = parse(readFileSync(process.env["KUBECONFIG"] ?? "", "utf8")) as {
  clusters: {
    cluster: { server: string; "certificate-authority-data"?: string; "certificate-authority"?: string };
  }[];
};
const { cluster } = kubeconfig.clusters[0] ?? { cluster: { server: "" } };
const caPem = cluster["certificate-authority"]
  ? readFileSync(cluster["certificate-authority"], "utf8")
  : Buffer.from(cluster["certificate-authority-data"] ?? "", "base64").toString("utf8");

const issuer = await startIssuer({
  users: [{ username: "ada", groups: ["engineers"] }],
  certificate: await createLoopbackCertificate({ ipAddresses: [address], dnsNames: [] }),
  host: address,
  listenAddress: address,
});
const authenticator = { kind: "JWTAuthenticator", name: "node-tier" } as const;
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
await eventually(
  "phase Ready of the authenticator",
  async () =>
    kubectl(["get", "jwtauthenticator", authenticator.name, "--output=jsonpath={.status.phase}"]) === "Ready",
  { seconds: 60, intervalMilliseconds: 500 },
);
const token = await issuer.getIdToken({ username: "ada" });
const exchange = () =>
  call({
    server: cluster.server,
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
  whoAmI: await seen({ server: cluster.server, caPem }),
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

function kubectl(args: readonly string[], input?: object): string {
  const { status, stdout, stderr } = spawnSync("kubectl", [...args], {
    encoding: "utf8",
    input: input === undefined ? "" : JSON.stringify(input),
  });
  if (status !== 0) {
    throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  }
  return stdout;
}
