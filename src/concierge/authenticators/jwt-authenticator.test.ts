import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";
import type { CryptoKey, JWK } from "jose";
import { createScriptedHttp } from "../../../test/oidc/scripted-http.ts";
import { createManualClock } from "../../clock.ts";
import { namedClaims } from "../../identity/claims-mapping.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createJwksSource } from "./jwks-source.ts";
import { createJwtAuthenticator } from "./jwt-authenticator.ts";
import type { JwtAuthenticatorOptions } from "./jwt-authenticator.ts";

const ISSUER = "https://issuer.example";
const JWKS = `${ISSUER}/jwks`;
const AUDIENCE = "cluster-a";
const { signal } = new AbortController();

interface Key {
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

async function makeKey(algorithm: string, kid?: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), ...(kid === undefined ? {} : { kid }) };
  return { algorithm, privateKey, publicKey, jwk };
}

const rsa = await makeKey("RS256", "rsa");
const ec = await makeKey("ES256", "ec");
const other = await makeKey("RS256", "rsa");

async function setUp(options: Partial<JwtAuthenticatorOptions> = {}, keys: readonly Key[] = [rsa, ec]) {
  const http = createScriptedHttp();
  const clock = createManualClock();
  http.answer(JWKS, { json: { keys: keys.map((key) => key.jwk) } });
  const jwks = createJwksSource({ url: new URL(JWKS), http, clock, log: silentLogger });
  await jwks.start(signal);
  const authenticator = createJwtAuthenticator({
    issuer: ISSUER,
    audience: AUDIENCE,
    jwks,
    http,
    clock,
    log: silentLogger,
    ...options,
  });
  const now = Math.floor(clock.now() / 1000);
  const claims = { iss: ISSUER, aud: AUDIENCE, exp: now + 300, username: "jane" };
  const login = (token: string) => authenticator.authenticate(token, signal);
  const sign = (extra: Record<string, unknown> = {}, key: Key = rsa, header: Record<string, unknown> = {}) =>
    new SignJWT({ ...claims, ...extra })
      .setProtectedHeader({ alg: key.algorithm, kid: key.jwk.kid, ...header } as { alg: string })
      .sign(key.privateKey);
  const fetches = () => http.requests.filter((request) => request.url.href === JWKS).length;
  return { http, clock, now, claims, login, sign, fetches, authenticator };
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

test("a good token becomes an identity", async () => {
  const { login, sign, now } = await setUp();
  // The credential must not outlive the token (S7).
  const tokenExpiresAt = (now + 300) * 1000;
  for (const key of [rsa, ec]) {
    assert.deepEqual(
      await login(await sign({ groups: ["a", "b"], jti: "id-1", aud: ["x", AUDIENCE] }, key)),
      {
        username: "jane",
        groups: ["a", "b"],
        extra: { "authentication.kubernetes.io/credential-id": ["JTI=id-1"] },
        tokenExpiresAt,
      },
    );
  }
  assert.deepEqual(await login(await sign({ groups: "one", jti: "" })), {
    username: "jane",
    groups: ["one"],
    extra: {},
    tokenExpiresAt,
  });
});

test("what is not a JWT of the issuer is somebody else's", async () => {
  const { login, sign, claims, fetches } = await setUp();
  for (const token of [
    "",
    "x",
    "a.b.c",
    `${part({})}.${part([ISSUER])}.`,
    await sign({ iss: "https://other.example" }),
    await sign({ iss: `${ISSUER}/` }),
    await sign({ iss: undefined }),
    await sign({ iss: [ISSUER] }),
    `${await sign()}.x.y`,
    ` ${await sign()}`,
    `${part({ alg: "RS256" })}.${Buffer.from(`{"iss":"${ISSUER}","username":"\xff"}`, "latin1").toString("base64url")}.AA`,
    `${part({ alg: "none" })}.${part(claims)}.${"A".repeat(65_536)}`,
  ]) {
    assert.equal(await login(token), undefined, token.slice(0, 80));
  }
  assert.equal(fetches(), 1);
});

test("random bytes never log in nor break anything", async () => {
  const { login, sign } = await setUp();
  const good = await sign();
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.base64String()),
      async (text) => {
        assert.equal(await login(text), undefined);
      },
    ),
    { numRuns: 300 },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.nat(good.length - 1),
      fc.constantFrom("A", "Z", "a", "z", "0", "9", "-", "_", ".", "=", " ", "\n"),
      async (position, character) => {
        const changed = `${good.slice(0, position)}${character}${good.slice(position + 1)}`;
        // The last character of a segment holds bits that decode to nothing.
        const decode = (token: string): string =>
          token
            .split(".")
            .map((segment) => Buffer.from(segment, "base64url").toString("hex"))
            .join(".");
        if (decode(changed) === decode(good) && /^[\w.-]*$/.test(changed)) {
          return;
        }
        const result = await login(changed).catch(() => undefined);
        assert.equal(result, undefined, changed);
      },
    ),
    { numRuns: 300 },
  );
});

test("algorithms that need no private key are refused before any key is looked for", async () => {
  const { login, claims, fetches } = await setUp();
  const spki = new TextEncoder().encode(await exportSPKI(rsa.publicKey));
  const hmac = await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "rsa" }).sign(spki);
  const attempts = [
    hmac,
    `${part({ alg: "none" })}.${part(claims)}.`,
    `${part({ alg: "NONE" })}.${part(claims)}.AA`,
  ];
  attempts.push(`${part({ alg: "RS256", kid: "rsa", crit: ["x"], x: 1 })}.${part(claims)}.AA`);
  for (const token of attempts) {
    await assert.rejects(login(token), /oidc: verify token: /, token);
  }
  assert.equal(fetches(), 1);
  const unencoded = `${part({ alg: "RS256", kid: "rsa", b64: false, crit: ["b64"] })}.${part(claims)}.AA`;
  await assert.rejects(login(unencoded), /oidc: verify token: /);
  await assert.rejects(setUp({ algorithms: ["HS256"] }), TypeError);
  await assert.rejects(setUp({ algorithms: ["none"] }), TypeError);
  await assert.rejects(setUp({ algorithms: [] }), TypeError);
});

test("only RS256 and ES256, unless more are passed in", async () => {
  const ps = await makeKey("PS256", "ps");
  const strict = await setUp({}, [ps]);
  await assert.rejects(strict.login(await strict.sign({}, ps)), /oidc: verify token: /);
  const wide = await setUp({ algorithms: ["RS256", "PS256"] }, [ps]);
  assert.equal((await wide.login(await wide.sign({}, ps)))?.username, "jane");
});

test("the key is chosen by the issuer's set alone", async () => {
  const { login, sign, claims } = await setUp();
  const stranger = await makeKey("RS256", "rsa");
  const embedded = { jwk: stranger.jwk, jku: "https://evil.example/jwks", x5u: "https://evil.example/x" };
  await assert.rejects(login(await sign({}, stranger, embedded)), /signature verification failed/);
  await assert.rejects(login(await sign({}, rsa, { kid: "ec" })), /oidc: verify token: /);
  await assert.rejects(login(await sign({}, rsa, { kid: "../rsa" })), /oidc: verify token: /);
  await assert.rejects(login(await sign({}, rsa, { kid: "__proto__" })), /oidc: verify token: /);
  assert.equal((await login(await sign({}, rsa, { kid: undefined })))?.username, "jane");
  const [header, , signature] = (await sign()).split(".");
  await assert.rejects(login(`${header}.${part({ ...claims, username: "root" })}.${signature}`), /signature/);
});

test("without a kid every key that fits is tried", async () => {
  const keys = await Promise.all([makeKey("RS256"), makeKey("RS256"), makeKey("RS256")]);
  const { login, sign, fetches } = await setUp({}, keys);
  for (const key of keys) {
    assert.equal((await login(await sign({}, key)))?.username, "jane");
  }
  await assert.rejects(login(await sign({}, other, { kid: undefined })), /signature verification failed/);
  assert.equal(fetches(), 2);
});

test("a duplicated claim is read the same way before and after verification", async () => {
  const { login } = await setUp();
  const { subtle } = globalThis.crypto;
  const raw = async (payload: string): Promise<string> => {
    const input = `${part({ alg: "RS256", kid: "rsa" })}.${Buffer.from(payload).toString("base64url")}`;
    const signature = await subtle.sign("RSASSA-PKCS1-v1_5", rsa.privateKey, Buffer.from(input));
    return `${input}.${Buffer.from(signature).toString("base64url")}`;
  };
  const rest = `"aud":"${AUDIENCE}","exp":99999999999`;
  const lastWins = `{"iss":"${ISSUER}","username":"a","username":"b",${rest}}`;
  assert.equal((await login(await raw(lastWins)))?.username, "b");
  assert.equal(
    await login(await raw(`{"iss":"${ISSUER}","iss":"https://x.example","username":"a",${rest}}`)),
    undefined,
  );
  assert.equal(
    (await login(await raw(`{"iss":"${ISSUER}","__proto__":{"username":"root"},"username":"a",${rest}}`)))
      ?.username,
    "a",
  );
  await assert.rejects(
    login(await raw(`{"iss":"${ISSUER}","__proto__":{"username":"root"},${rest}}`)),
    /missing/,
  );
  await assert.rejects(
    login(await raw(`{"iss":"${ISSUER}","username":"a","aud":"${AUDIENCE}","exp":1e999}`)),
    /finite/,
  );
});

test("the audience must be ours", async () => {
  const { login, sign } = await setUp();
  for (const aud of [
    undefined,
    "",
    "cluster-b",
    [],
    ["cluster-b"],
    { [AUDIENCE]: 1 },
    1,
    `${AUDIENCE} `,
    [[AUDIENCE]],
  ]) {
    await assert.rejects(login(await sign({ aud })), /oidc: verify token: /, JSON.stringify(aud));
  }
});

test("exp has no leeway, nbf a minute", async () => {
  const { login, sign, now, clock } = await setUp();
  assert.equal((await login(await sign({ exp: now + 1, iat: now + 9999 })))?.username, "jane");
  for (const exp of [now, now - 1, now - 30, undefined, `${now + 300}`, null]) {
    await assert.rejects(login(await sign({ exp })), /oidc: verify token: /, String(exp));
  }
  const short = await sign({ exp: now + 10 });
  await clock.advance(9_999);
  assert.equal((await login(short))?.username, "jane");
  await clock.advance(1);
  await assert.rejects(login(short), /oidc: verify token: token is expired/);
  const later = now + 10;
  assert.equal((await login(await sign({ nbf: later + 60 })))?.username, "jane");
  await assert.rejects(login(await sign({ nbf: later + 61 })), /oidc: verify token: "nbf"/);
});

test("username and groups must have their types", async () => {
  const { login, sign } = await setUp();
  for (const username of [undefined, null, 1, true, ["jane"], {}]) {
    await assert.rejects(
      login(await sign({ username })),
      /^ClaimsRefusal: oidc: username claim "username" is /,
    );
  }
  for (const groups of [null, 1, true, {}, [1], ["a", null], [["a"]]]) {
    await assert.rejects(
      login(await sign({ groups })),
      /^ClaimsRefusal: oidc: groups claim "groups" is neither/,
    );
  }
  const named = await setUp({ rules: namedClaims("sub", "roles") });
  assert.deepEqual(await named.login(await named.sign({ sub: "", roles: ["r"] })), {
    username: "",
    groups: ["r"],
    extra: {},
    tokenExpiresAt: (named.now + 300) * 1000,
  });
});

test("an e-mail that is not verified is no username", async () => {
  const { login, sign } = await setUp({ rules: namedClaims("email", "groups") });
  assert.equal((await login(await sign({ email: "a@b" })))?.username, "a@b");
  assert.equal((await login(await sign({ email: "a@b", email_verified: true })))?.username, "a@b");
  for (const verified of [false, "true", 1, null]) {
    await assert.rejects(login(await sign({ email: "a@b", email_verified: verified })), /email not verified/);
  }
  const byName = await setUp();
  assert.equal((await byName.login(await byName.sign({ email_verified: false })))?.username, "jane");
});

test("the old spelling of one issuer is accepted", async () => {
  const { login, sign } = await setUp({ issuer: "https://accounts.google.com" });
  assert.equal((await login(await sign({ iss: "accounts.google.com" })))?.username, "jane");
  assert.equal((await login(await sign({ iss: "https://accounts.google.com" })))?.username, "jane");
  const plain = await setUp();
  assert.equal(await plain.login(await plain.sign({ iss: "accounts.google.com" })), undefined);
});

test("a storm of unknown keys causes one fetch in 30 seconds", async () => {
  const { login, sign, clock, fetches } = await setUp();
  const tokens = await Promise.all(
    Array.from({ length: 100 }, (_, index) => sign({}, rsa, { kid: `k${index}` })),
  );
  await Promise.all(tokens.map((token) => assert.rejects(login(token))));
  assert.equal(fetches(), 2);
  await clock.advance(29_999);
  await assert.rejects(login(tokens[0] ?? ""));
  assert.equal(fetches(), 2);
  await clock.advance(1);
  await Promise.all(tokens.map((token) => assert.rejects(login(token))));
  assert.equal(fetches(), 3);
});

test("a new key is found at the first token, also under an old kid", async () => {
  const { http, login, sign, clock, fetches } = await setUp();
  const fresh = await makeKey("ES256", "new");
  http.answer(JWKS, { json: { keys: [fresh.jwk] } });
  assert.equal((await login(await sign({}, fresh)))?.username, "jane");
  await clock.advance(30_000);
  const replaced = await makeKey("ES256", "new");
  http.answer(JWKS, { json: { keys: [replaced.jwk] } });
  assert.equal((await login(await sign({}, replaced)))?.username, "jane");
  assert.equal(fetches(), 3);
});

test("tokens of a withdrawn key stop within 5 minutes", async () => {
  const { http, login, sign, clock } = await setUp();
  const token = await sign({ exp: Math.floor(clock.now() / 1000) + 3600 });
  http.answer(JWKS, { json: { keys: [] } });
  assert.equal((await login(token))?.username, "jane");
  await clock.advance(300_000);
  await assert.rejects(login(token), /oidc: verify token: /);
});

test("logins go on while the issuer is away, for a day", async () => {
  const { http, login, sign, clock, claims } = await setUp();
  http.answer(JWKS, { failure: "connection refused" });
  const token = await sign({ exp: claims.exp + 10 * 86_400 });
  await clock.advance(86_400_000);
  assert.equal((await login(token))?.username, "jane");
  await clock.advance(1000);
  await assert.rejects(login(token), /too|enough/);
  http.answer(JWKS, { json: { keys: [rsa.jwk] } });
  await clock.advance(30_000);
  assert.equal((await login(token))?.username, "jane");
});

test("groups may be fetched from where the token says (distributed claims)", async () => {
  const { http, login, sign, claims } = await setUp();
  const DIRECTORY = "https://directory.example";
  http.answer(`${DIRECTORY}/.well-known/openid-configuration`, {
    json: { issuer: DIRECTORY, jwks_uri: `${DIRECTORY}/keys` },
  });
  http.answer(`${DIRECTORY}/keys`, { json: { keys: [ec.jwk] } });
  const groupsToken = await sign({ ...claims, iss: DIRECTORY, groups: ["far"] }, ec);
  http.answer(`${DIRECTORY}/groups`, { status: 200, text: groupsToken });
  const pointer = (source: unknown) => ({ _claim_names: { groups: "src" }, _claim_sources: { src: source } });
  const good = pointer({ endpoint: `${DIRECTORY}/groups`, access_token: "secret" });
  assert.deepEqual((await login(await sign(good)))?.groups, ["far"]);
  const call = http.requests.find((request) => request.url.pathname === "/groups");
  assert.equal(call?.headers?.["authorization"], "Bearer secret");
  assert.deepEqual((await login(await sign({ ...good, groups: ["near"] })))?.groups, ["near"]);
  assert.deepEqual((await login(await sign(pointer({ JWT: groupsToken }))))?.groups, []);
  assert.deepEqual((await login(await sign({ _claim_names: { other: "src" } })))?.groups, []);
  const expand = /^JwtRefusal: oidc: /;
  await assert.rejects(login(await sign({ _claim_names: { groups: "src" } })), expand);
  await assert.rejects(login(await sign({ _claim_names: { groups: "x" }, _claim_sources: {} })), expand);
  await assert.rejects(login(await sign(pointer({ endpoint: "http://directory.example/groups" }))), expand);
  await assert.rejects(login(await sign(pointer({ endpoint: `${DIRECTORY}/none` }))), /404/);
  const audience = await sign({ ...claims, iss: DIRECTORY, groups: ["far"], aud: "cluster-b" }, ec);
  http.answer(`${DIRECTORY}/groups`, { status: 200, text: audience });
  await assert.rejects(login(await sign(good)), expand);
  http.answer(`${DIRECTORY}/groups`, {
    status: 200,
    text: await sign({ iss: DIRECTORY, groups: ["far"] }, rsa),
  });
  await assert.rejects(login(await sign(good)), expand);
});

test("no message holds a token or a claim's value", async () => {
  const { login, sign } = await setUp();
  const faulty = [{ username: 1 }, { aud: "secret-value" }, { exp: 1 }, { groups: "x", nbf: 99999999999 }];
  for (const claims of faulty) {
    const token = await sign({ ...claims, sub: "secret-value" });
    await assert.rejects(login(token), (error: Error) => {
      assert.ok(!error.message.includes("secret-value") && !error.message.includes(token.slice(0, 20)));
      return true;
    });
  }
});
