// Runs inside the network of a node cluster: an OIDC issuer that Pods can reach, an authenticator for it, and a steady load of exchanges
// through the kube-apiserver. Prints a line when the load begins and one JSON line with its result. Arguments: address to
// listen on; exchanges per second; seconds.
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../integration/harness/eventually.ts";
import { exchangeObject, exchangePath, issuedCertificate } from "../integration/harness/exchange.ts";
import { call } from "../integration/harness/http.ts";
import { startLoad } from "../integration/harness/load.ts";
import { apiServer, kubectl, startNodeIssuer } from "./node-issuer.ts";

const [address = "127.0.0.1", perSecond = "1", seconds = "1"] = process.argv.slice(2);
const { server, caPem } = apiServer();
const authenticator = { kind: "JWTAuthenticator", name: "steady" } as const;
const issuer = await startNodeIssuer(address, authenticator.name);
const token = await issuer.getIdToken({ username: "ada" });
const body = JSON.stringify(exchangeObject(token, authenticator));
const milliseconds: number[] = [];
const exchange = async (agent?: Parameters<typeof call>[0]["agent"]): ReturnType<typeof call> => {
  const began = performance.now();
  const answer = await call({
    server,
    caPem,
    path: exchangePath,
    body,
    ...(agent === undefined ? {} : { agent }),
  });
  issuedCertificate(answer);
  milliseconds.push(performance.now() - began);
  return answer;
};
const ready = ["get", "jwtauthenticator", authenticator.name, "--output=jsonpath={.status.phase}"];
await eventually("phase Ready of the authenticator", async () => kubectl(ready) === "Ready", {
  seconds: 60,
  intervalMilliseconds: 500,
});
await eventually("a first exchange", async () => (await exchange()).status === 201, { seconds: 60 });
milliseconds.length = 0;

console.log("begin");
const load = startLoad({ perSecond: Number(perSecond), expectedStatus: 201, send: exchange });
await delay(Number(seconds) * 1000);
const { sent, failures } = await load.stop();
await issuer.stop();
const sorted = milliseconds.toSorted((a, b) => a - b);
const quantile = (share: number): number =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
console.log(
  JSON.stringify({ sent, failures, median: quantile(0.5), p99: quantile(0.99), slowest: quantile(1) }),
);
