import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

import { createManualClock, systemClock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import { silentLogger } from "../telemetry/log.ts";
import { KubernetesApiError } from "./api-error.ts";
import { createKubernetesClient, type KubernetesClientOptions } from "./client.ts";
import type { KubernetesEndpoint } from "./configuration.ts";
import type { KubernetesClient, WatchEvent } from "./kubernetes-client.ts";
import { configMaps, type ConfigMap, type KubernetesObject, type ResourceType } from "./objects.ts";
import { emptyMetadata, subjectAccessReviews, tokenRequests } from "./resources.ts";
import { eventually } from "./testing/eventually.ts";
import { createTestApiServer, type TestApiServer } from "./testing/test-api-server.ts";

const key = { namespace: "default", name: "one" };
const authenticators: ResourceType<KubernetesObject> = {
  group: "authentication.concierge.pinniped.dev",
  version: "v1alpha1",
  kind: "JWTAuthenticator",
  plural: "jwtauthenticators",
  namespaced: false,
};

describe("the Kubernetes client", () => {
  let server: TestApiServer;
  let folder: string;
  const clients: KubernetesClient[] = [];

  const connect = (
    endpoint: Partial<KubernetesEndpoint> = {},
    options: Partial<KubernetesClientOptions> = {},
  ): KubernetesClient => {
    const client = createKubernetesClient({
      endpoint: { serverUrl: server.serverUrl, certificateAuthority: { text: server.caPem }, ...endpoint },
      clock: systemClock,
      log: silentLogger,
      userAgent: "lanyard/test",
      ...options,
    });
    clients.push(client);
    return client;
  };

  beforeEach(async () => {
    server = await createTestApiServer();
    folder = await mkdtemp(join(tmpdir(), "kube-client-"));
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await server.close();
    await rm(folder, { recursive: true });
  });

  it("makes 20 calls in a row over one connection, in HTTP/1.1 though HTTP/2 is offered", async () => {
    const client = connect();
    for (let call = 0; call < 20; call++) {
      await client.get(configMaps, key);
    }
    assert.equal(server.connectionCount(), 1);
    assert.equal(server.requests.length, 20);
  });

  it("queues calls beyond its connections, beside any number of watches", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    const inFlight: number[] = [];
    let running = 0;
    const client = connect(
      {},
      {
        shortConnections: 4,
        metrics: {
          connection: () => {},
          inFlight: (pool, change) => {
            running += pool === "short" ? change : 0;
            inFlight.push(running);
          },
          ended: () => {},
        },
      },
    );
    const ending = new AbortController();
    const { resourceVersion } = await client.list(configMaps, { namespace: "default" });
    const watches = Array.from({ length: 30 }, async () => {
      for await (const _ of client.watch(configMaps, {
        resourceVersion,
        namespace: "default",
        timeoutSeconds: 300,
        signal: ending.signal,
      })) {
        // Nothing comes.
      }
    });
    await eventually("30 watches", () => server.openWatches() === 30);
    await Promise.all(Array.from({ length: 100 }, () => client.get(configMaps, key)));
    assert.ok(server.connectionCount() <= 34, String(server.connectionCount()));
    assert.equal(Math.max(...inFlight), 100);
    assert.equal(running, 0);
    ending.abort();
    await Promise.all(watches);
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });

  it("speaks TLS 1.3 only", async () => {
    const old = await createTestApiServer({ maxVersion: "TLSv1.2" });
    try {
      const client = connect({ serverUrl: old.serverUrl, certificateAuthority: { text: old.caPem } });
      await assert.rejects(client.get(configMaps, key), { code: "kubernetes.unreachable", httpStatus: 503 });
      assert.equal(old.requests.length, 0);
    } finally {
      await old.close();
    }
  });

  it("refuses a server of another CA, and one of another name", async () => {
    const other = await createTestApiServer();
    try {
      await assert.rejects(connect({ certificateAuthority: { text: other.caPem } }).get(configMaps, key), {
        code: "kubernetes.unreachable",
      });
      await assert.rejects(connect({ tlsServerName: "other.test" }).get(configMaps, key), {
        code: "kubernetes.unreachable",
      });
      assert.equal(server.requests.length, 0);
      await connect({ tlsServerName: "api.test" }).get(configMaps, key);
    } finally {
      await other.close();
    }
  });

  it("never takes an empty CA for the public roots", async () => {
    await assert.rejects(connect({ certificateAuthority: { text: "" } }).get(configMaps, key), {
      code: "kubernetes.configuration.invalid",
    });
  });

  it("reads the token again after a 401 and tries once more, and tells no token", async () => {
    const file = join(folder, "token");
    await writeFile(file, "old-token\n");
    const client = connect({ token: { file } });
    server.intercept((request, response) => {
      if (request.headers.authorization === "Bearer new-token") {
        return false;
      }
      response.writeHead(401).end();
      return true;
    });
    await assert.rejects(client.get(configMaps, key), (error: unknown) => {
      assert.ok(error instanceof KubernetesApiError);
      assert.equal(error.reason, "Unauthorized");
      assert.doesNotMatch(JSON.stringify(error) + error.message, /old-token/);
      return true;
    });
    assert.equal(server.requests.length, 1, "the token is the same: no second try");
    await writeFile(file, "new-token\n");
    await client.create(configMaps, { apiVersion: "v1", kind: "ConfigMap", metadata: key });
    assert.deepEqual(
      server.requests.map(({ headers }) => headers.authorization),
      ["Bearer old-token", "Bearer old-token", "Bearer new-token"],
    );
  });

  it("picks up a new token file by itself", async () => {
    const file = join(folder, "token");
    const clock = createManualClock();
    await writeFile(file, "first");
    const client = connect({ token: { file } }, { clock });
    await client.get(configMaps, key);
    await writeFile(file, "second one");
    await client.get(configMaps, key);
    await clock.advance(5_000);
    await client.get(configMaps, key);
    assert.deepEqual(
      server.requests.map(({ headers }) => headers.authorization),
      ["Bearer first", "Bearer first", "Bearer second one"],
    );
  });

  it("follows a new CA while an old watch goes on", async () => {
    const file = join(folder, "ca.crt");
    await writeFile(file, server.caPem);
    const clock = createManualClock();
    const client = connect({ certificateAuthority: { file } }, { clock });
    const events: WatchEvent<ConfigMap>[] = [];
    const { resourceVersion } = await client.list(configMaps, { namespace: "default" });
    const ending = new AbortController();
    const watching = (async () => {
      for await (const event of client.watch(configMaps, {
        resourceVersion,
        namespace: "default",
        timeoutSeconds: 300,
        signal: ending.signal,
      })) {
        events.push(event);
      }
    })();
    await eventually("a watch", () => server.openWatches() === 1);
    await writeFile(file, await server.changeAuthority());
    await clock.advance(5_000);
    const before = server.connectionCount();
    await client.get(configMaps, key);
    assert.equal(server.connectionCount(), before + 1, "a new generation has connections of its own");
    server.put("one", "1");
    await eventually("an event on the old connection", () => events.length === 1);
    ending.abort();
    await watching;
    await eventually("the old generation is drained", () => server.openConnections() === 1);
  });

  it("comes back by itself when server and CA file change under it, and ignores half a file", async () => {
    const file = join(folder, "ca.crt");
    await writeFile(file, server.caPem);
    const clock = createManualClock();
    const client = connect({ certificateAuthority: { file } }, { clock });
    await client.get(configMaps, key);
    const newCa = await server.changeAuthority();
    server.cutConnections();
    await eventually("cut", () => server.openConnections() === 0);
    await assert.rejects(client.get(configMaps, key), { code: "kubernetes.unreachable" });
    await writeFile(file, newCa);
    await client.get(configMaps, key);
    await writeFile(file, newCa.slice(0, 100));
    await clock.advance(5_000);
    await client.get(configMaps, key);
  });

  it("ends a watch with an error when it is closed", async () => {
    const client = connect();
    const { resourceVersion } = await client.list(configMaps, { namespace: "default" });
    const watch = client.watch(configMaps, { resourceVersion, namespace: "default", timeoutSeconds: 300 });
    const rejected = assert.rejects(watch[Symbol.asyncIterator]().next(), { code: "kubernetes.aborted" });
    await eventually("a watch", () => server.openWatches() === 1);
    await client.close();
    await rejected;
    await assert.rejects(client.get(configMaps, key), { code: "kubernetes.aborted" });
  });

  it("repeats a GET whose connection was reset, never a write", async () => {
    const client = connect();
    let resets = 0;
    server.intercept((_, response) => {
      resets++;
      response.socket?.destroy();
      return true;
    });
    await assert.rejects(client.get(configMaps, key), { code: "kubernetes.unreachable" });
    assert.equal(resets, 2);
    await assert.rejects(client.create(configMaps, { apiVersion: "v1", kind: "ConfigMap", metadata: key }), {
      code: "kubernetes.unreachable",
    });
    assert.equal(resets, 3);
  });

  it("turns refusals into KubernetesApiError, with Retry-After", async () => {
    const client = connect();
    server.intercept((_, response) => {
      response.writeHead(429, { "retry-after": "7" }).end("slow down");
      return true;
    });
    await assert.rejects(client.get(configMaps, key), (error: unknown) => {
      assert.ok(error instanceof KubernetesApiError);
      assert.equal(error.code, "kubernetes.toomanyrequests");
      assert.equal(error.httpStatus, 429);
      assert.equal(error.status.details?.retryAfterSeconds, 7);
      return true;
    });
    const raw = await client.raw({ method: "GET", path: "/version" });
    assert.deepEqual([raw.status, raw.text], [429, "slow down"]);
  });

  it("bounds time and size", async () => {
    const client = connect({}, { maximumResponseBytes: 1000 });
    server.intercept((request, response) => {
      if (request.url.pathname === "/large") {
        response.end("x".repeat(1001));
      }
      return true;
    });
    await assert.rejects(client.raw({ method: "GET", path: "/hang", timeoutMilliseconds: 50 }), {
      code: "kubernetes.unreachable",
      message: `no answer from the API server at ${new URL(server.serverUrl).host} within 50 ms`,
    });
    await assert.rejects(client.raw({ method: "GET", path: "/large" }), {
      code: "kubernetes.response.too-large",
    });
    const controller = new AbortController();
    const aborted = client.raw({ method: "GET", path: "/hang", signal: controller.signal });
    await eventually("the request", () => server.requests.length === 3);
    controller.abort();
    await assert.rejects(aborted, { code: "kubernetes.aborted" });
  });

  it("refuses names that would change the path, and a server's nonsense", async () => {
    const client = connect();
    for (const name of ["", ".", "..", "a/b", "a%2fb"]) {
      await assert.rejects(client.get(configMaps, { namespace: "default", name }), {
        code: "kubernetes.name.invalid",
      });
    }
    assert.equal(server.requests.length, 0);
    server.intercept((_, response) => {
      response.end("{ not JSON but secret");
      return true;
    });
    await assert.rejects(client.get(configMaps, key), (error: unknown) => {
      assert.ok(error instanceof LanyardError);
      assert.equal(error.code, "kubernetes.response.malformed");
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });

  it("gives list items their kind", async () => {
    server.put("one", "1");
    const { items } = await connect().list(configMaps, { namespace: "default" });
    assert.deepEqual([items[0]?.apiVersion, items[0]?.kind], ["v1", "ConfigMap"]);
  });

  it("rewrites group suffixes as contract 1.2 says", async () => {
    const client = connect({}, { apiGroupSuffix: "example.com" });
    const owner = { apiVersion: "login.concierge.pinniped.dev/v1", kind: "X", name: "x", uid: "u" };
    const object = {
      apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
      kind: "JWTAuthenticator",
      metadata: { name: "a", ownerReferences: [owner] },
    };
    assert.deepEqual(await client.create(authenticators, object), object);
    assert.deepEqual(await client.update(authenticators, object), object);
    assert.deepEqual(await client.updateStatus(authenticators, object), object);
    await client.delete(authenticators, { name: "a" }, { uid: "u1" });
    const bodies = server.requests.map(({ body }) => JSON.parse(body) as KubernetesObject);
    assert.deepEqual(
      server.requests.map(({ method, url }) => `${method} ${url.pathname}`),
      [
        "POST /apis/authentication.concierge.example.com/v1alpha1/jwtauthenticators",
        "PUT /apis/authentication.concierge.example.com/v1alpha1/jwtauthenticators/a",
        "PUT /apis/authentication.concierge.example.com/v1alpha1/jwtauthenticators/a/status",
        "DELETE /apis/authentication.concierge.example.com/v1alpha1/jwtauthenticators/a",
      ],
    );
    for (const body of bodies.slice(0, 3)) {
      assert.equal(body.apiVersion, "authentication.concierge.example.com/v1alpha1");
    }
    assert.deepEqual(
      bodies.slice(0, 3).map(({ metadata }) => metadata.ownerReferences?.[0]?.apiVersion),
      ["login.concierge.example.com/v1", "login.concierge.example.com/v1", "login.concierge.pinniped.dev/v1"],
    );
    assert.deepEqual(bodies[3], { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid: "u1" } });
  });

  it("sends reviews and subresource requests where they belong", async () => {
    const client = connect();
    await client.review(subjectAccessReviews, {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      metadata: emptyMetadata,
      spec: { user: "a" },
    });
    await client.review(
      tokenRequests,
      { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", metadata: emptyMetadata, spec: {} },
      undefined,
      { key: { namespace: "ns", name: "sa" }, subresource: "token" },
    );
    assert.deepEqual(
      server.requests.map(({ url }) => url.pathname),
      [
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        "/api/v1/namespaces/ns/serviceaccounts/sa/token",
      ],
    );
  });

  it("watches through any chunk boundary and breaks on broken frames", async () => {
    const client = connect();
    const frame = Buffer.from(
      `${JSON.stringify({ type: "ADDED", object: { metadata: { name: "é中😀" }, data: { a: "é中😀" } } })}\n`,
    );
    let chunks: readonly Uint8Array[] = [];
    server.intercept(async (request, response) => {
      if (request.kind === "watch") {
        for (const chunk of chunks) {
          response.write(chunk);
          await new Promise((resolve) => setImmediate(resolve));
        }
        response.end();
      }
      return true;
    });
    const read = async (): Promise<string[]> => {
      const names: string[] = [];
      for await (const event of client.watch(configMaps, { timeoutSeconds: 300 })) {
        names.push(`${event.object.metadata.name} ${event.object.data?.["a"]}`);
      }
      return names;
    };
    chunks = [...frame, ...frame].map((byte) => Uint8Array.of(byte));
    assert.deepEqual(await read(), ["é中😀 é中😀", "é中😀 é中😀"]);
    chunks = [Buffer.concat([frame, frame, frame])];
    assert.equal((await read()).length, 3);
    for (const bad of [
      frame.subarray(0, -5),
      Buffer.from('{"type":"ADDED"}\n'),
      Buffer.from('{"type":"NEW","object":{}}\n'),
      Buffer.from("{]\n"),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    ]) {
      chunks = [frame, bad];
      await assert.rejects(read(), { code: "kubernetes.watch.broken" });
    }
  });

  it("leaves no socket and no timer behind", async () => {
    const client = connect();
    const ending = new AbortController();
    const watching = (async () => {
      const { resourceVersion } = await client.list(configMaps, { namespace: "default" });
      for await (const _ of client.watch(configMaps, {
        resourceVersion,
        namespace: "default",
        timeoutSeconds: 300,
        signal: ending.signal,
      })) {
        // Nothing comes.
      }
    })();
    await eventually("a watch", () => server.openWatches() === 1);
    ending.abort();
    await watching;
    await eventually("the watch's end", () => server.openWatches() === 0);
    await client.close();
    await eventually("no connection", () => server.openConnections() === 0);
    await server.close();
    await eventually("nothing left", () => leftovers().length === 0);
  });
});

function leftovers(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name));
}
