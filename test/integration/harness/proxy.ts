import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { Agent, request } from "node:https";
import type { CredentialIssuer } from "../../../src/resources/credential-issuer.ts";
import { type Installation, kubectl, type Replica, tail } from "./concierge.ts";
import { eventually } from "./eventually.ts";
import { type Answer, type Call, type Caller, call } from "./http.ts";

/** The impersonation proxy of one replica, as its clients see it: they know its CA from the CredentialIssuer alone. */
export interface ProxyClient {
  readonly replica: Replica;
  readonly server: string;
  readonly caPem: string;
  call(path: string, options?: Partial<Call>): Promise<Answer>;
  /** One request on an HTTP/2 connection of its own. */
  callHttp2(path: string, options?: Http2Call): Promise<Answer>;
  /** Opens a watch on a connection of its own and answers once the server has answered. */
  watch(path: string, options?: Pick<Call, "caller" | "headers">): Promise<OpenWatch>;
  watchHttp2(path: string, options?: Pick<Call, "caller" | "headers">): Promise<OpenWatch>;
}

export interface Http2Call {
  readonly caller?: Caller;
  /** A list is sent as one header each. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string;
}

export interface OpenWatch {
  readonly status: number;
  readonly headers: Answer["headers"];
  /** How it ended: whole, or broken off. */
  readonly ended: Promise<"end" | "broken">;
  readonly isOpen: boolean;
  /** What came so far. */
  text(): string;
  /** The client goes. */
  close(): void;
}

/** Waits until a replica's proxy listens with the certificate that the CredentialIssuer vouches for. */
export async function proxyAt(installation: Installation, replica: Replica): Promise<ProxyClient> {
  const caPem = await eventually(
    `the proxy's strategy\n${tail(replica)}`,
    () => proxyCaPem(installation),
    // Helm's hooks and the leader's election come before it.
    { intervalMilliseconds: 250 },
  );
  const server = `https://localhost:${replica.proxyPort}`;
  const client = createProxyClient(replica, server, caPem);
  await eventually(`the proxy of ${replica.podName}\n${tail(replica)}`, () =>
    client.call("/version").then(() => true),
  );
  return client;
}

/** What the CredentialIssuer tells clients to trust; undefined while the proxy does not listen. */
export async function proxyCaPem({ cluster, app }: Installation): Promise<string | undefined> {
  const issuer = JSON.parse(
    await kubectl(cluster, ["get", "credentialissuer", `${app}-config`, "--output=json"]),
  ) as CredentialIssuer;
  const strategy = issuer.status?.strategies.find(({ type }) => type === "ImpersonationProxy");
  const data = strategy?.frontend?.impersonationProxyInfo?.certificateAuthorityData;
  return strategy?.status === "Success" && data !== undefined
    ? Buffer.from(data, "base64").toString("utf8")
    : undefined;
}

/** Changes `spec.impersonationProxy` of the CredentialIssuer, as an administrator would; null removes a field. */
export async function configureProxy({ cluster, app }: Installation, fields: object): Promise<void> {
  await kubectl(cluster, [
    "patch",
    "credentialissuer",
    `${app}-config`,
    "--type=merge",
    `--patch=${JSON.stringify({ spec: { impersonationProxy: fields } })}`,
  ]);
}

function createProxyClient(replica: Replica, server: string, caPem: string): ProxyClient {
  const session = (caller: Caller = {}): ClientHttp2Session => {
    const opened = connectHttp2(server, {
      ca: caPem,
      ...(caller.certificatePem === undefined
        ? {}
        : { cert: caller.certificatePem, key: caller.privateKeyPem }),
      // Many groups come back, too.
      maxHeaderListPairs: 10_000,
      maxSendHeaderBlockLength: 4 * 1024 * 1024,
    });
    return opened;
  };
  const bearer = ({ bearerToken }: Caller = {}): Record<string, string> =>
    bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` };
  return {
    replica,
    server,
    caPem,
    call: (path, options = {}) => call({ server, caPem, path, ...options }),
    callHttp2: (path, { caller, headers, body } = {}) =>
      new Promise((resolve, reject) => {
        const connection = session(caller);
        connection.setTimeout(30_000, () => connection.destroy(new Error("no answer within 30 s")));
        connection.once("error", reject);
        const stream = connection.request(
          {
            ":path": path,
            ":method": body === undefined ? "GET" : "POST",
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...bearer(caller),
            ...headers,
          },
          { endStream: body === undefined },
        );
        let status = 0;
        let received: Answer["headers"] = {};
        const chunks: Buffer[] = [];
        stream.once("error", reject);
        stream.once("response", (all) => {
          status = all[":status"] ?? 0;
          received = all;
        });
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.once("end", () => {
          connection.destroy();
          resolve({ status, headers: received, text: Buffer.concat(chunks).toString("utf8") });
        });
        if (body !== undefined) {
          stream.end(body);
        }
      }),
    watch: (path, { caller = {}, headers = {} } = {}) =>
      new Promise((resolve, reject) => {
        const outgoing = request(
          new URL(path, server),
          {
            ca: caPem,
            headers: { ...bearer(caller), ...headers },
            ...(caller.certificatePem === undefined
              ? {}
              : { cert: caller.certificatePem, key: caller.privateKeyPem }),
            agent: new Agent({ keepAlive: false }),
          },
          (response) => {
            outgoing.off("error", reject);
            outgoing.on("error", () => {});
            const { statusCode: status = 0 } = response;
            resolve(
              follow(response, { status, headers: response.headers }, () => outgoing.destroy(), {
                isWhole: () => response.complete,
              }),
            );
          },
        );
        outgoing.on("error", reject);
        outgoing.end();
      }),
    watchHttp2: (path, { caller, headers = {} } = {}) =>
      new Promise((resolve, reject) => {
        const connection = session(caller);
        connection.on("error", reject);
        const stream = connection.request({ ":path": path, ...bearer(caller), ...headers });
        let failed = false;
        stream.on("error", (error) => {
          failed = true;
          reject(error);
        });
        stream.once("response", (all) => {
          const status = all[":status"] ?? 0;
          resolve(
            follow(stream, { status, headers: all }, () => connection.destroy(), {
              isWhole: () => !failed && stream.rstCode === 0 && stream.readableEnded,
              closed: () => connection.close(),
            }),
          );
        });
      }),
  };
}

function follow(
  stream: NodeJS.ReadableStream,
  answer: Pick<OpenWatch, "status" | "headers">,
  close: () => void,
  { isWhole, closed = () => {} }: { isWhole(): boolean; closed?(): void },
): OpenWatch {
  const chunks: Buffer[] = [];
  let isOpen = true;
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("error", () => {});
  const ended = new Promise<"end" | "broken">((resolve) => {
    stream.once("close", () => {
      isOpen = false;
      closed();
      resolve(isWhole() ? "end" : "broken");
    });
  });
  return {
    ...answer,
    ended,
    get isOpen() {
      return isOpen;
    },
    text: () => Buffer.concat(chunks).toString("utf8"),
    close,
  };
}

/** The ending of a watch within a limit, and how long that took, milliseconds since `since` (`performance.now`). */
export async function endingOf(
  what: string,
  watch: OpenWatch,
  { since, limitMilliseconds }: { readonly since: number; readonly limitMilliseconds: number },
): Promise<{ readonly how: "end" | "broken"; readonly after: number }> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what} is open after ${limitMilliseconds} ms`)),
      Math.max(0, limitMilliseconds - (performance.now() - since)),
    );
  });
  try {
    const how = await Promise.race([watch.ended, tooLate]);
    return { how, after: Math.round(performance.now() - since) };
  } finally {
    clearTimeout(timer);
  }
}

/** Lines of a replica's log that are audit events, as objects. */
export function auditLines(replica: Replica): readonly AuditLine[] {
  return replica
    .log()
    .split("\n")
    .filter((line) => line.includes('"auditEvent":true'))
    .map((line) => JSON.parse(line) as AuditLine);
}

export interface AuditLine {
  readonly message: string;
  readonly auditID: string;
  readonly code?: number;
  readonly end?: string;
  readonly refusedBy?: string;
  readonly reason?: string;
  readonly path?: string;
  readonly resource?: string;
  readonly verb?: string;
  readonly clientAuditID?: string;
  readonly authenticatedBy?: string;
  readonly personalInfo?: {
    readonly username?: string;
    readonly groups?: readonly string[];
    readonly originalUsername?: string;
  };
}
