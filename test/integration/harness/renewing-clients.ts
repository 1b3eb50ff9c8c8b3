import { Agent } from "node:https";
import type { IssuedCertificate } from "./exchange.ts";
import type { Answer } from "./http.ts";
import { type Load, startLoad } from "./load.ts";
import type { ProxyClient } from "./proxy.ts";

export interface RenewingClientsOptions {
  readonly proxies: readonly ProxyClient[];
  readonly perSecond: number;
  readonly path: string;
  /** The certificate that somebody who logs in now would have. */
  newest(): IssuedCertificate;
}

export interface RenewingClients extends Load {
  readonly figures: RenewingFigures;
}

export interface RenewingFigures {
  /** Requests on connections that were made with a certificate when the load began. */
  readonly byFirstCertificates: number;
  /** Connections that were made on purpose: every renewal, and one request in ten. */
  readonly logins: number;
  /**
   * Answers 429 with `Retry-After` that the kube-apiserver gave, and that were asked again as client-go does: they say
   * that this machine stalls.
   */
  readonly repeated: number;
}

interface Client {
  readonly agent: Agent;
  readonly certificate: IssuedCertificate;
  readonly proxy: ProxyClient;
  readonly first: boolean;
  requests: number;
}

const clientCount = 20;
const lastingClients = 4;
/** At 100 requests a second for 20 clients, one renewal of each in 10 s. */
const requestsPerCertificate = 50;
const attempts = 5;

/**
 * Users of the proxy at a steady rate: some keep their first connection all the time, most renew their certificate, and with it
 * their connection, as they go, and one request in ten comes from somebody who has just logged in.
 */
export function startRenewingClients(options: RenewingClientsOptions): RenewingClients {
  const { proxies, newest } = options;
  const figures = { byFirstCertificates: 0, logins: 0, repeated: 0 };
  let opened = 0;
  const open = (first: boolean): Client => {
    const proxy = proxies[opened++ % proxies.length];
    if (proxy === undefined) {
      throw new Error("there is no proxy");
    }
    return {
      agent: new Agent({ keepAlive: true, maxSockets: 4 }),
      certificate: newest(),
      proxy,
      first,
      requests: 0,
    };
  };
  const clients = Array.from({ length: clientCount }, () => open(true));
  let turn = 0;

  const ask = async ({ proxy, agent, certificate }: Client): Promise<Answer> => {
    for (let attempt = 1; ; attempt++) {
      const answer = await proxy.call(options.path, { caller: certificate, agent });
      const retryAfter = Number(answer.headers["retry-after"]);
      if (answer.status !== 429 || !(retryAfter >= 0) || attempt === attempts || !isOfApiServer(answer)) {
        return answer;
      }
      figures.repeated++;
      await new Promise((resolve) => setTimeout(resolve, retryAfter * 1000));
    }
  };
  const load = startLoad({
    perSecond: options.perSecond,
    expectedStatus: 200,
    send: async () => {
      turn++;
      if (turn % 10 === 0) {
        figures.logins++;
        const visitor = open(false);
        try {
          return await ask(visitor);
        } finally {
          visitor.agent.destroy();
        }
      }
      const index = turn % clientCount;
      let client = clients[index];
      if (client === undefined) {
        throw new Error("there is no client");
      }
      if (index >= lastingClients && client.requests >= requestsPerCertificate) {
        figures.logins++;
        // What is under way finishes: an agent that is destroyed would break it off.
        retire(client.agent);
        client = open(false);
        clients[index] = client;
      }
      client.requests++;
      if (client.first) {
        figures.byFirstCertificates++;
      }
      return ask(client);
    },
  });
  return {
    figures,
    result: load.result,
    stop: async () => {
      const result = await load.stop();
      clients.forEach(({ agent }) => agent.destroy());
      return result;
    },
  };
}

/** Idle connections of a retired agent end after a while. */
function retire(agent: Agent): void {
  setTimeout(() => agent.destroy(), 35_000).unref();
}

/** Shed by the kube-apiserver's priority and fairness, not by the proxy. */
function isOfApiServer({ headers }: Answer): boolean {
  return headers["x-kubernetes-pf-flowschema-uid"] !== undefined;
}
