import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { systemClock } from "../../clock.ts";
import { createTestContext } from "../http/testing/context.ts";
import type { CallbackListener } from "./callback-listener.ts";
import { startCallbackListener } from "./callback-listener.ts";

const STATE = "0123456789abcdef0123456789abcdef";
const ISSUER = "https://sup.example.com:8443/fd";
const SECURITY_HEADERS = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "x-xss-protection": "1; mode=block",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-dns-prefetch-control": "off",
  "cache-control": "no-cache,no-store,max-age=0,must-revalidate",
  pragma: "no-cache",
  expires: "0",
};

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe("the callback listener", { timeout: 80_000 }, () => {
  const context = createTestContext();
  let listener: CallbackListener<string>;
  let codes: string[];
  let redeem: (code: string, redirectUri: string) => Promise<string>;

  beforeEach(async () => {
    codes = [];
    context.lines.length = 0;
    redeem = (code, redirectUri) => {
      codes.push(code);
      assert.equal(redirectUri, listener.redirectUri);
      return Promise.resolve(`token for ${code}`);
    };
    listener = await startCallbackListener({
      port: 0,
      issuer: ISSUER,
      state: STATE,
      log: context.log,
      clock: systemClock,
      redeem: (code, redirectUri) => redeem(code, redirectUri),
    });
  });
  afterEach(() => listener.close());

  async function send(
    method: string,
    path: string,
    options: { headers?: Record<string, string>; body?: string } = {},
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const call = request(
      new URL(path, listener.redirectUri),
      { method, headers: options.headers ?? {} },
      (answer) => {
        let body = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk: string) => {
          body += chunk;
        });
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
      },
    );
    call.on("error", reject);
    call.end(options.body);
    return await promise;
  }

  async function isOpen(): Promise<boolean> {
    const pending = Symbol("pending");
    return (await Promise.race([listener.outcome.catch(() => {}), Promise.resolve(pending)])) === pending;
  }

  const callback = (parameters: Record<string, string>): string =>
    `/callback?${new URLSearchParams(parameters).toString()}`;

  test("waits on 127.0.0.1", () => {
    assert.match(listener.redirectUri, /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
  });

  test("OPTIONS with an Origin is answered for the issuer's pages and keeps listening", async () => {
    const answer = await send("OPTIONS", "/callback", {
      headers: { origin: "https://evil.example.com", "access-control-request-headers": "content-type, x-a" },
    });
    assert.equal(answer.status, 204);
    assert.equal(answer.body, "");
    assertHeaders(answer, {
      ...SECURITY_HEADERS,
      "access-control-allow-origin": "https://sup.example.com:8443",
      vary: "*",
      "access-control-allow-credentials": "false",
      "access-control-allow-methods": "GET, POST, OPTIONS",
      "access-control-allow-private-network": "true",
      "access-control-allow-headers": "content-type, x-a",
    });
    assert.deepEqual(context.lines, [
      {
        level: "info",
        message: "Pinniped: Got CORS preflight request from browser",
        values: { origin: "https://evil.example.com" },
      },
    ]);
    assert.equal(await isOpen(), true);
  });

  test("OPTIONS without an Origin is a 400 and keeps listening", async () => {
    const answer = await send("OPTIONS", "/callback");
    assert.equal(answer.status, 400);
    assertHeaders(answer, SECURITY_HEADERS);
    assert.equal(context.lines[0]?.message, "Pinniped: Got OPTIONS request without origin header");
    assert.equal(await isOpen(), true);
  });

  for (const method of ["PUT", "DELETE", "HEAD", "PATCH"]) {
    test(`${method} is a 405 and keeps listening`, async () => {
      const answer = await send(method, callback({ state: STATE, code: "c" }));
      assert.equal(answer.status, 405);
      assertHeaders(answer, { ...SECURITY_HEADERS, "content-type": "text/plain; charset=utf-8" });
      assert.deepEqual(context.lines[0], {
        level: "info",
        message: "Pinniped: Got unexpected request on callback listener",
        values: { method },
      });
      assert.equal(await isOpen(), true);
    });
  }

  const successes: readonly [name: string, call: () => Promise<Answer>][] = [
    ["GET with a query", () => send("GET", callback({ state: STATE, code: "c-1" }))],
    [
      "POST with a form",
      () =>
        send("POST", "/callback", {
          headers: { "content-type": "application/x-www-form-urlencoded;charset=UTF-8" },
          body: `code=c-1&state=${STATE}`,
        }),
    ],
  ];
  for (const [name, call] of successes) {
    test(`${name} ends the login`, async () => {
      const answer = await call();
      assert.equal(answer.status, 200);
      assert.equal(answer.body, "you have been logged in and may now close this tab");
      assertHeaders(answer, {
        ...SECURITY_HEADERS,
        "content-type": "text/plain; charset=utf-8",
        "access-control-allow-origin": "https://sup.example.com:8443",
        vary: "*",
      });
      assert.deepEqual(codes, ["c-1"]);
      assert.equal(await listener.outcome, "token for c-1");
    });
  }

  const failures: readonly [
    name: string,
    parameters: Record<string, string>,
    status: number,
    body: string,
    error: string,
  ][] = [
    [
      "a wrong state",
      { state: "other", code: "c" },
      403,
      "Forbidden: missing or invalid state parameter\n",
      "missing or invalid state parameter",
    ],
    [
      "no state",
      { code: "c" },
      403,
      "Forbidden: missing or invalid state parameter\n",
      "missing or invalid state parameter",
    ],
    [
      "an error",
      { state: STATE, error: "access_denied" },
      400,
      'Bad Request: login failed with code "access_denied"\n',
      'login failed with code "access_denied"',
    ],
    [
      "an error with a description",
      { state: STATE, error: "server_error", error_description: "try\nlater" },
      400,
      'Bad Request: login failed with code "server_error": try later\n',
      'login failed with code "server_error": try later',
    ],
    [
      "neither code nor error",
      { state: STATE },
      400,
      'Bad Request: login failed with code ""\n',
      'login failed with code ""',
    ],
  ];
  for (const [name, parameters, status, body, message] of failures) {
    test(`${name} ends the login with ${status}`, async () => {
      const answer = await send("GET", callback(parameters));
      assert.equal(answer.status, status);
      assert.equal(answer.body, body);
      assertHeaders(answer, { ...SECURITY_HEADERS, "content-type": "text/plain; charset=utf-8" });
      await assert.rejects(listener.outcome, { message });
      assert.deepEqual(codes, []);
    });
  }

  test("a posted form counts only as a form", async () => {
    const answer = await send("POST", callback({ state: STATE, code: "c" }), {
      headers: { "content-type": "text/plain" },
      body: `code=c-1&state=${STATE}`,
    });
    assert.equal(answer.status, 403);
  });

  test("a code that is refused ends the login with 400", async () => {
    redeem = () => Promise.reject(new Error("the token endpoint answered 400: invalid_grant"));
    const answer = await send("GET", callback({ state: STATE, code: "c" }));
    assert.equal(answer.status, 400);
    const text =
      "could not complete authorization code exchange: the token endpoint answered 400: invalid_grant";
    assert.equal(answer.body, `Bad Request: ${text}\n`);
    await assert.rejects(listener.outcome, { message: text });
  });

  test("a second hit redeems nothing", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    redeem = (code) => {
      codes.push(code);
      return promise;
    };
    const first = send("GET", callback({ state: STATE, code: "c-1" }));
    const redeeming = async (): Promise<void> => {
      while (codes.length === 0) {
        await new Promise((next) => setImmediate(next));
      }
    };
    await redeeming();
    const second = await send("GET", callback({ state: STATE, code: "c-2" }));
    assert.equal(second.status, 409);
    resolve("done");
    assert.equal((await first).status, 200);
    assert.deepEqual(codes, ["c-1"]);
  });

  for (const path of ["/", "/callback/", "/callback/x", "/Callback", "//callback", "/favicon.ico"]) {
    test(`${path} is not the path`, async () => {
      const answer = await rawGet(`${path}?code=c&state=${STATE}`, `127.0.0.1:${port()}`);
      assert.match(answer, /^HTTP\/1\.1 404 /);
      assert.equal(await isOpen(), true);
    });
  }

  const port = (): string => new URL(listener.redirectUri).port;
  const rawGet = async (path: string, host: string): Promise<string> => {
    const socket = connect(Number(port()), "127.0.0.1");
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    let answer = "";
    for await (const chunk of socket) {
      answer += String(chunk);
    }
    return answer;
  };

  test("requests that name another host are refused", async () => {
    for (const host of [
      "evil.example.com",
      `evil.example.com:${port()}`,
      "127.0.0.1",
      "127.0.0.1:1",
      "0.0.0.0",
    ]) {
      const answer = await rawGet(`/callback?code=c&state=${STATE}`, host);
      assert.match(answer, /^HTTP\/1\.1 403 [^]*Forbidden: wrong Host/, host);
    }
    assert.equal(await isOpen(), true);
    assert.deepEqual(codes, []);
    assert.match(await rawGet(`/callback?code=c&state=${STATE}`, `localhost:${port()}`), /^HTTP\/1\.1 200 /);
  });

  test("a host without IPv4 waits on [::1]", async () => {
    const other = await startCallbackListener({
      port: 0,
      issuer: ISSUER,
      state: STATE,
      log: context.log,
      clock: systemClock,
      redeem: (code) => Promise.resolve(code),
      addresses: ["192.0.2.1", "::1"],
    });
    assert.match(other.redirectUri, /^http:\/\/\[::1\]:\d+\/callback$/);
    assert.equal((await fetch(`${other.redirectUri}?code=c-6&state=${STATE}`)).status, 200);
    assert.equal(await other.outcome, "c-6");
    await other.close();
  });

  test("a port that is taken is an error", async () => {
    const busy = createServer().unref();
    await new Promise<void>((resolve) => {
      busy.listen(0, "127.0.0.1", resolve);
    });
    const { port } = busy.address() as AddressInfo;
    await assert.rejects(
      startCallbackListener({
        port,
        issuer: ISSUER,
        state: STATE,
        log: context.log,
        clock: systemClock,
        redeem: () => Promise.resolve(""),
      }),
      /EADDRINUSE/,
    );
    busy.close();
  });

  test("closing waits no longer than 100 ms for a connection that does nothing", async () => {
    const socket = connect(Number(port()), "127.0.0.1");
    socket.on("error", () => {});
    await new Promise<void>((resolve) => {
      socket.once("connect", resolve);
    });
    socket.write("GET /callback HTTP/1.1\r\n");
    const start = Date.now();
    await listener.close();
    assert.ok(Date.now() - start < 1000);
    socket.destroy();
  });
});

function assertHeaders(answer: Answer, expected: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(answer.headers[name], value, name);
  }
}
