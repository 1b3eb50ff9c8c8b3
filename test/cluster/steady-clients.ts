// Runs inside the network of a node cluster, as a child with a channel: an OIDC issuer that Pods can reach, and users of the Concierge at a
// steady rate. The argument is a JSON `ClientsOrder`; what it is told, and what it answers, are the types of `clients.ts`.
import { readFileSync } from "node:fs";
import type { Agent } from "node:https";
import { parse } from "yaml";
import { eventually } from "../integration/harness/eventually.ts";
import { exchangeObject, exchangePath, issuedCertificate } from "../integration/harness/exchange.ts";
import { call } from "../integration/harness/http.ts";
import type { Answer } from "../integration/harness/http.ts";
import { startLoad } from "../integration/harness/load.ts";
import type { Load } from "../integration/harness/load.ts";
import type { ClientsAnswer, ClientsCommand, ClientsOrder, LoadReport, LoadReports } from "./clients.ts";
import { startNodeIssuer } from "./node-issuer.ts";
import { createHttp2Reads } from "./steady-reads.ts";
import { startSteadyWatch } from "./steady-watch.ts";
import type { SteadyWatch } from "./steady-watch.ts";

const order = JSON.parse(process.argv[2] ?? "") as ClientsOrder;
const { clusters } = parse(readFileSync(process.env["KUBECONFIG"] ?? "", "utf8")) as {
  clusters: { cluster: { server: string; "certificate-authority-data": string } }[];
};
const server = clusters[0]?.cluster.server ?? "";
const fromBase64 = (text: string): string => Buffer.from(text, "base64").toString("utf8");
const caPem = fromBase64(clusters[0]?.cluster["certificate-authority-data"] ?? "");
const authenticator = { kind: "JWTAuthenticator", name: "steady" } as const;

const issuer = await startNodeIssuer(order.issuerAddress, authenticator.name);
const body = JSON.stringify(exchangeObject(await issuer.getIdToken({ username: "ada" }), authenticator));
const exchange = { server, caPem, path: exchangePath, body };
const proxy = { server: order.proxyServer, caPem: fromBase64(order.proxyCaData) };
// Each replica takes the authenticator into force once it has seen the leader's verdict.
let row = 0;
const credential = await eventually("20 exchanges in a row", async () => {
  const answer = await call(exchange);
  row = answer.status === 201 && answer.text.includes("clientCertificateData") ? row + 1 : 0;
  return row >= 20 && issuedCertificate(answer);
});
const tls = { ca: proxy.caPem, cert: credential.certificatePem, key: credential.privateKeyPem };
const http2 = createHttp2Reads(order.proxyServer, tls, 4);

let shed = 0;
/** Asks again, as client-go does, when the kube-apiserver sheds the request and says when to come back. */
async function patiently(ask: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const answer = await ask();
    const seconds = Number(answer.headers["retry-after"]);
    if (answer.status !== 429 || !(seconds >= 0) || attempt === 10) {
      return answer;
    }
    shed += 1;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

let stale = 0;
/** A read on a kept connection that turns out to be closed goes out once more, as in Go's client. */
async function readOverHttp1(agent: Agent): Promise<Answer> {
  const read = (): Promise<Answer> => call({ ...proxy, path: order.readPath, caller: credential, agent });
  try {
    return await read();
  } catch (error) {
    const { reusedSocket, code } = error as { readonly reusedSocket?: boolean; readonly code?: string };
    if (reusedSocket !== true || (code !== "ECONNRESET" && code !== "EPIPE")) {
      throw error;
    }
    stale += 1;
    return read();
  }
}

interface Running {
  readonly load: Load;
  readonly startedAt: number;
}
let running: Readonly<Record<"exchanges" | "reads", Running>> | undefined;
let watches: readonly SteadyWatch[] = [];
let before = { refused: 0, shed: 0, stale: 0 };

function start({ exchangesPerSecond, readsPerSecond }: ClientsCommand & { readonly do: "start" }): void {
  let turn = 0;
  before = { refused: http2.refused, shed, stale };
  const startedAt = Date.now();
  running = {
    exchanges: {
      startedAt,
      load: startLoad({
        perSecond: exchangesPerSecond,
        expectedStatus: 201,
        send: async (agent) => {
          const answer = await patiently(() => call({ ...exchange, agent }));
          // A refusal is an answer 201, too.
          return answer.text.includes("clientCertificateData")
            ? answer
            : { ...answer, status: -answer.status };
        },
      }),
    },
    reads: {
      startedAt,
      load: startLoad({
        perSecond: readsPerSecond,
        expectedStatus: 200,
        send: (agent) => {
          turn += 1;
          return patiently(() => (turn % 2 === 0 ? http2.get(order.readPath) : readOverHttp1(agent)));
        },
      }),
    },
  };
}

async function finish(): Promise<LoadReports> {
  const report = async ({ load, startedAt }: Running): Promise<LoadReport> => {
    const seconds = (Date.now() - startedAt) / 1000;
    const { sent, failures, slowestMilliseconds } = await load.stop();
    return {
      perSecond: Math.round((sent / seconds) * 10) / 10,
      sent,
      slowestMilliseconds,
      failures: failures.map(({ at, reason }) => ({ at: startedAt + at, reason })),
    };
  };
  if (running === undefined) {
    throw new Error("nothing was started");
  }
  const [exchanges, reads] = await Promise.all([report(running.exchanges), report(running.reads)]);
  running = undefined;
  return {
    exchanges,
    reads,
    refused: http2.refused - before.refused,
    shed: shed - before.shed,
    stale: stale - before.stale,
  };
}

function watch(count: number): void {
  watches.forEach((each) => each.close());
  watches = Array.from({ length: count }, (_, index) =>
    startSteadyWatch({
      protocol: index % 2 === 0 ? "HTTP/1.1" : "HTTP/2",
      server: order.proxyServer,
      path: order.watchPath,
      tls,
    }),
  );
}

async function obey(command: ClientsCommand): Promise<ClientsAnswer> {
  if (command.do === "finish") {
    return { loads: await finish() };
  }
  if (command.do === "watch") {
    watch(command.count);
  }
  if (command.do === "start") {
    start(command);
  }
  return { watches: watches.map((each) => each.history()) };
}

process.on("message", (command: ClientsCommand) => {
  obey(command).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.({});
