import assert from "node:assert/strict";
import { createHash, createHmac, generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { test } from "node:test";
import { decodeProtectedHeader, jwtVerify } from "jose";
import { createManualClock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import { createHolder } from "../state/holder.ts";
import type { BearerKeys } from "../state/proxy.ts";
import { createBearerIssuer } from "./bearer-credential.ts";
import { bearerAudience } from "./bearer-token-format.ts";
import { createBearerVerifier, isOwnBearer } from "./bearer-verification.ts";

const audience = bearerAudience("11111111-cluster", "22222222-issuer");
const tokenID = "ab".repeat(32);
const jane: Identity = {
  username: "jane",
  groups: ["z", "a", "ü"],
  extra: {
    "example.com/team": ["one", "two"],
    "authentication.kubernetes.io/credential-id": ["JTI=upstream"],
  },
};

function newKey(): { kid: string; privateKey: KeyObject; publicKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ format: "der", type: "spki" });
  return { kid: createHash("sha256").update(spki).digest("base64url"), privateKey, publicKey };
}

function createWorld() {
  const clock = createManualClock(Date.UTC(2026, 5, 1, 12, 0, 0, 700));
  const key = newKey();
  const keysOf = (...trusted: (typeof key)[]): BearerKeys => ({
    signing: trusted[0],
    trusted: new Map(trusted.map(({ kid, publicKey }) => [kid, publicKey])),
  });
  const bearerKeys = createHolder<BearerKeys | undefined>(keysOf(key));
  const audiences = createHolder<string | undefined>(audience);
  const options = { clock, bearerKeys, bearerAudience: audiences };
  const issuer = createBearerIssuer(options);
  const { verify } = createBearerVerifier(options);
  const lifetime = (seconds = 300, backdate = 300) => {
    const second = Math.floor(clock.now() / 1000);
    return { notBefore: new Date((second - backdate) * 1000), notAfter: new Date((second + seconds) * 1000) };
  };
  const issue = (identity = jane) => issuer({ identity, lifetime: lifetime(), tokenID });
  return { clock, key, keysOf, bearerKeys, audiences, issuer, verify, lifetime, issue };
}

type World = ReturnType<typeof createWorld>;

const segment = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const es256 = (key: KeyObject, input: string, dsaEncoding: "ieee-p1363" | "der" = "ieee-p1363"): string =>
  sign("sha256", Buffer.from(input), { key, dsaEncoding }).toString("base64url");

/** A token with everything as it is issued but for what a test changes; `claims` may be JSON text. */
function forge(
  { key, clock }: World,
  options: {
    readonly header?: unknown;
    readonly claims?: Readonly<Record<string, unknown>> | string;
    readonly signature?: (input: string) => string;
  } = {},
): string {
  const header = options.header ?? { alg: "ES256", typ: "lanyard-proxy+jwt", kid: key.kid };
  const claims =
    typeof options.claims === "string" ? options.claims : { ...good(clock.now()), ...options.claims };
  const input = `${segment(header)}.${segment(claims)}`;
  return `${input}.${(options.signature ?? ((text) => es256(key.privateKey, text)))(input)}`;
}

function good(now: number): Record<string, unknown> {
  const second = Math.floor(now / 1000);
  return {
    iss: audience,
    aud: audience,
    sub: "jane",
    groups: ["a"],
    iat: second,
    nbf: second - 300,
    exp: second + 300,
    jti: "0123456789abcdef",
    src: tokenID,
  };
}

test("S9: a bearer credential has exactly this header and these claims, and jose agrees", async () => {
  const { key, issue, clock } = createWorld();
  const credential = await issue();
  assert.deepEqual(decodeProtectedHeader(credential.token), {
    alg: "ES256",
    typ: "lanyard-proxy+jwt",
    kid: key.kid,
  });
  const { payload } = await jwtVerify(credential.token, key.publicKey, {
    algorithms: ["ES256"],
    issuer: audience,
    audience,
    typ: "lanyard-proxy+jwt",
    currentDate: new Date(clock.now()),
  });
  const second = Math.floor(clock.now() / 1000);
  assert.deepEqual(payload, {
    iss: audience,
    aud: audience,
    sub: "jane",
    groups: ["z", "a", "ü"],
    extra: { "example.com/team": ["one", "two"] },
    iat: second,
    nbf: second - 300,
    exp: second + 300,
    jti: credential.jti,
    src: tokenID,
  });
  assert.equal(credential.notAfter.getTime(), (second + 300) * 1000);
  assert.notEqual((await issue()).jti, credential.jti);
});

test("S17: what is issued comes back, with its own credential ID and not the upstream one", async () => {
  const { issue, verify } = createWorld();
  const { token, jti, notAfter } = await issue();
  for (const round of ["first", "remembered"]) {
    assert.deepEqual(
      verify(token),
      {
        identity: {
          username: "jane",
          groups: ["z", "a", "ü"],
          extra: {
            "example.com/team": ["one", "two"],
            "authentication.kubernetes.io/credential-id": [`JTI=${jti}`],
          },
        },
        jti,
        tokenID,
        expiresAt: notAfter.getTime(),
      },
      round,
    );
  }
  assert.ok(isOwnBearer(token));
  const plain = await issue({ username: "joe", groups: [], extra: {} });
  assert.ok(!Buffer.from(plain.token.split(".")[1] ?? "", "base64url").includes("extra"));
});

test("nothing is issued without key or audience, for a UID, for a lifetime that is over, or over 48 KiB", async () => {
  const { issuer, issue, bearerKeys, audiences, lifetime, keysOf, key } = createWorld();
  const groups = (count: number): Identity => ({
    username: "jane",
    groups: Array.from({ length: count }, (_, index) => `group-${String(index).padStart(25, "0")}`),
    extra: {},
  });
  assert.ok((await issue(groups(1000))).token.length > 40_000);
  await assert.rejects(issue(groups(1200)), {
    code: "bearer.tooLarge",
    message: /^bearer credential of \d+ bytes for a user in 1200 groups is longer than 49152 bytes$/,
  });
  await assert.rejects(issue({ ...jane, uid: "1" }), { code: "bearer.uidUnsupported" });
  await assert.rejects(issuer({ identity: jane, lifetime: lifetime(0), tokenID }), {
    code: "bearer.lifetime",
  });
  audiences.set(undefined);
  await assert.rejects(issue(), { code: "bearer.noAudience" });
  bearerKeys.set({ ...keysOf(key), signing: undefined });
  await assert.rejects(issue(), { code: "bearer.noKey" });
  bearerKeys.set(undefined);
  await assert.rejects(issue(), { code: "bearer.noKey" });
});

test("S4: expiry, keys and audience count at every look, whatever was verified before", async () => {
  const world = createWorld();
  const { clock, key, keysOf, bearerKeys, audiences, verify, issue } = world;
  const { token } = await issue();
  verify(token);
  const other = newKey();
  bearerKeys.set(keysOf(other, key));
  verify(token);
  bearerKeys.set(keysOf(other));
  assert.throws(() => verify(token), {
    code: "bearer.header",
    httpStatus: 401,
    publicMessage: "Unauthorized",
  });
  bearerKeys.set(undefined);
  assert.throws(() => verify(token), { code: "bearer.noKey" });
  bearerKeys.set(keysOf(key));
  audiences.set(bearerAudience("other", "cluster"));
  assert.throws(() => verify(token), { code: "bearer.audience" }, "S22");
  audiences.set(undefined);
  assert.throws(() => verify(token), { code: "bearer.noAudience" });
  audiences.set(audience);
  await clock.advance(299_000);
  verify(token);
  await clock.advance(300);
  assert.throws(() => verify(token), { code: "bearer.expired" });
  const early = forge(world, {
    claims: {
      nbf: Math.floor(clock.now() / 1000) + 1,
      iat: Math.floor(clock.now() / 1000) + 1,
      exp: Math.floor(clock.now() / 1000) + 60,
    },
  });
  assert.throws(() => verify(early), { code: "bearer.notYetValid" });
  await clock.advance(1000);
  verify(early);
});

/** Each is refused with this code, before and after a good token was seen. */
const hostile: Readonly<Record<string, readonly [string, (world: World) => string | Promise<string>]>> = {
  "alg none": [
    "bearer.header",
    (world) =>
      forge(world, {
        header: { alg: "none", typ: "lanyard-proxy+jwt", kid: world.key.kid },
        signature: () => "",
      }),
  ],
  "alg None with the right header's length": [
    "bearer.header",
    (world) => forge(world, { header: { alg: "None ", typ: "lanyard-proxy+jwt", kid: world.key.kid } }),
  ],
  "no signature": ["bearer.signature", (world) => forge(world, { signature: () => "" })],
  "HS256 with the public key as secret": [
    "bearer.header",
    (world) => {
      const pem = world.key.publicKey.export({ format: "pem", type: "spki" });
      return forge(world, {
        header: { alg: "HS256", typ: "lanyard-proxy+jwt", kid: world.key.kid },
        signature: (input) => createHmac("sha256", pem).update(input).digest("base64url"),
      });
    },
  ],
  "HS256 under an ES256 header": [
    "bearer.signature",
    (world) => {
      const pem = world.key.publicKey.export({ format: "pem", type: "spki" });
      return forge(world, {
        signature: (input) => createHmac("sha512", pem).update(input).digest("base64url"),
      });
    },
  ],
  ES384: [
    "bearer.header",
    (world) => forge(world, { header: { alg: "ES384", typ: "lanyard-proxy+jwt", kid: world.key.kid } }),
  ],
  "typ JWT": [
    "bearer.header",
    (world) => forge(world, { header: { alg: "ES256", typ: "JWT", kid: world.key.kid } }),
  ],
  "no typ": ["bearer.header", (world) => forge(world, { header: { alg: "ES256", kid: world.key.kid } })],
  "no kid": [
    "bearer.header",
    (world) => forge(world, { header: { alg: "ES256", typ: "lanyard-proxy+jwt" } }),
  ],
  "kid traversal": [
    "bearer.header",
    (world) =>
      forge(world, { header: { alg: "ES256", typ: "lanyard-proxy+jwt", kid: "../../../../dev/null" } }),
  ],
  "kid __proto__": [
    "bearer.header",
    (world) => forge(world, { header: '{"alg":"ES256","typ":"lanyard-proxy+jwt","kid":"__proto__"}' }),
  ],
  "another key of the attacker's": [
    "bearer.header",
    (world) => {
      const own = newKey();
      return forge(world, {
        header: { alg: "ES256", typ: "lanyard-proxy+jwt", kid: own.kid },
        signature: (input) => es256(own.privateKey, input),
      });
    },
  ],
  "another key under our kid": [
    "bearer.signature",
    (world) => forge(world, { signature: (input) => es256(newKey().privateKey, input) }),
  ],
  ...Object.fromEntries(
    (
      [
        ["jwk", newKey().publicKey.export({ format: "jwk" })],
        ["jku", "https://attacker.example/keys"],
        ["x5u", "https://attacker.example/chain"],
        ["x5c", ["AAAA"]],
        ["crit", ["exp"]],
        ["b64", false],
        ["zip", "DEF"],
      ] as const
    ).map(([name, value]) => [
      `${name} in the header, signed with our key`,
      [
        "bearer.header",
        (world: World) =>
          forge(world, {
            header: { alg: "ES256", typ: "lanyard-proxy+jwt", kid: world.key.kid, [name]: value },
          }),
      ],
    ]),
  ),
  "b64 false with crit": [
    "bearer.header",
    (world) =>
      forge(world, {
        header: { alg: "ES256", typ: "lanyard-proxy+jwt", kid: world.key.kid, b64: false, crit: ["b64"] },
      }),
  ],
  "alg twice in the header": [
    "bearer.header",
    (world) =>
      forge(world, {
        header: `{"alg":"none","typ":"lanyard-proxy+jwt","kid":"${world.key.kid}","alg":"ES256"}`,
      }),
  ],
  "two audiences": ["bearer.audience", (world) => forge(world, { claims: { aud: [audience, "other"] } })],
  "one audience in a list": ["bearer.audience", (world) => forge(world, { claims: { aud: [audience] } })],
  "S22: another cluster's audience": [
    "bearer.audience",
    (world) => {
      const other = bearerAudience("another", "cluster");
      return forge(world, { claims: { iss: other, aud: other } });
    },
  ],
  "another issuer": ["bearer.audience", (world) => forge(world, { claims: { iss: `${audience}x` } })],
  ...Object.fromEntries(
    ["sub", "groups", "iat", "nbf", "exp", "jti", "src"].map((name) => [
      `no ${name}`,
      ["bearer.claims", (world: World) => forge(world, { claims: { [name]: undefined } })],
    ]),
  ),
  ...Object.fromEntries(
    ["iss", "aud"].map((name) => [
      `no ${name}`,
      ["bearer.audience", (world: World) => forge(world, { claims: { [name]: undefined } })],
    ]),
  ),
  "an empty sub": ["bearer.claims", (world) => forge(world, { claims: { sub: "" } })],
  "sub as a list": ["bearer.claims", (world) => forge(world, { claims: { sub: ["jane"] } })],
  "groups as a string": ["bearer.claims", (world) => forge(world, { claims: { groups: "system:masters" } })],
  "a number among the groups": ["bearer.claims", (world) => forge(world, { claims: { groups: ["a", 1] } })],
  "extra as a list": ["bearer.claims", (world) => forge(world, { claims: { extra: [] } })],
  "extra null": ["bearer.claims", (world) => forge(world, { claims: { extra: null } })],
  "extra with a string": ["bearer.claims", (world) => forge(world, { claims: { extra: { "a.b/c": "d" } } })],
  "a credential ID of its own": [
    "bearer.claims",
    (world) =>
      forge(world, { claims: { extra: { "authentication.kubernetes.io/credential-id": ["JTI=other"] } } }),
  ],
  "src that is no tokenID": ["bearer.claims", (world) => forge(world, { claims: { src: "x" } })],
  "jti with a line break": [
    "bearer.claims",
    (world) => forge(world, { claims: { jti: "0123456789abcdef\n" } }),
  ],
  "exp as text": ["bearer.claims", (world) => forge(world, { claims: { exp: "9999999999" } })],
  "exp with a fraction": [
    "bearer.claims",
    (world) => forge(world, { claims: { exp: Math.floor(world.clock.now() / 1000) + 60.5 } }),
  ],
  "a huge exp": ["bearer.claims", (world) => forge(world, { claims: { exp: 1e300 } })],
  "exp beyond a day": [
    "bearer.claims",
    (world) => forge(world, { claims: { exp: Math.floor(world.clock.now() / 1000) + 86_401 } }),
  ],
  "a negative exp": ["bearer.claims", (world) => forge(world, { claims: { exp: -1 } })],
  "exp null": ["bearer.claims", (world) => forge(world, { claims: { exp: null } })],
  "nbf after iat": [
    "bearer.claims",
    (world) => forge(world, { claims: { nbf: Math.floor(world.clock.now() / 1000) + 1 } }),
  ],
  "sub twice": [
    "bearer.malformed",
    (world) =>
      forge(world, {
        claims: JSON.stringify(good(world.clock.now())).replace('"sub":"jane"', '"sub":"root","sub":"jane"'),
      }),
  ],
  "a number in another form": [
    "bearer.malformed",
    (world) =>
      forge(world, { claims: JSON.stringify(good(world.clock.now())).replace(/"exp":(\d+)/, '"exp":$1.0') }),
  ],
  "a name in another form": [
    "bearer.malformed",
    (world) =>
      forge(world, { claims: JSON.stringify(good(world.clock.now())).replace("jane", "j\\u0061ne") }),
  ],
  "invalid UTF-8 in a name": [
    "bearer.malformed",
    (world) => {
      const [before = "", after = ""] = JSON.stringify(good(world.clock.now())).split("jane");
      const bytes = Buffer.concat([Buffer.from(before), Buffer.from([0x6a, 0xff]), Buffer.from(after)]);
      const input = `${segment({ alg: "ES256", typ: "lanyard-proxy+jwt", kid: world.key.kid })}.${bytes.toString("base64url")}`;
      return `${input}.${es256(world.key.privateKey, input)}`;
    },
  ],
  "claims as a list": ["bearer.malformed", (world) => forge(world, { claims: "[]" })],
  "claims null": ["bearer.malformed", (world) => forge(world, { claims: "null" })],
  "claims that are no JSON": ["bearer.malformed", (world) => forge(world, { claims: "{" })],
  "a zero signature": [
    "bearer.signature",
    (world) => forge(world, { signature: () => Buffer.alloc(64).toString("base64url") }),
  ],
  "a DER signature": [
    "bearer.signature",
    (world) => forge(world, { signature: (input) => es256(world.key.privateKey, input, "der") }),
  ],
  "a longer signature": [
    "bearer.signature",
    (world) =>
      forge(world, {
        signature: (input) =>
          Buffer.concat([
            Buffer.from(es256(world.key.privateKey, input), "base64url"),
            Buffer.alloc(1),
          ]).toString("base64url"),
      }),
  ],
  "a signature with padding": [
    "bearer.signature",
    (world) => forge(world, { signature: (input) => `${es256(world.key.privateKey, input)}==` }),
  ],
  "a signature with a line break": [
    "bearer.signature",
    (world) => forge(world, { signature: (input) => `${es256(world.key.privateKey, input)}\n` }),
  ],
  "four parts": ["bearer.malformed", (world) => `${forge(world)}.x`],
  "two parts": ["bearer.malformed", (world) => forge(world).split(".").slice(0, 2).join(".")],
  "five parts": ["bearer.malformed", (world) => `${forge(world)}.x.y`],
  nothing: ["bearer.malformed", () => ""],
  "48 KiB and one byte": [
    "bearer.tooLarge",
    (world) => {
      const token = forge(world);
      return token + "A".repeat(48 * 1024 + 1 - token.length);
    },
  ],
  "changed claims under a signature that was remembered": [
    "bearer.signature",
    async (world) => {
      const { token } = await world.issue();
      world.verify(token);
      const [header, , signature] = token.split(".");
      return `${header}.${segment({ ...good(world.clock.now()), sub: "root" })}.${signature}`;
    },
  ],
};

test("S9, S13: hostile tokens are refused with 401 and never quoted", async (context) => {
  for (const [name, [code, make]] of Object.entries(hostile)) {
    await context.test(name, async () => {
      const world = createWorld();
      world.verify(forge(world));
      const token = await make(world);
      assert.throws(
        () => world.verify(token),
        (error) => {
          assert.ok(error instanceof LanyardError);
          assert.deepEqual([error.code, error.httpStatus, error.publicMessage], [code, 401, "Unauthorized"]);
          for (const part of token.split(".").filter((each) => each.length > 3)) {
            assert.ok(!error.message.includes(part), "the message quotes the token");
          }
          return true;
        },
      );
      world.verify(forge(world));
    });
  }
});

test("S13: what claims to be of a Lanyard is decided here, everything else is not", async () => {
  const world = createWorld();
  const unsigned = (claims: unknown) => `${segment({ alg: "RS256" })}.${segment(claims)}.x`;
  const own = {
    "issued here": (await world.issue()).token,
    "our header and nothing behind it": (await world.issue()).token.split(".")[0] ?? "",
    "our issuer under another header": unsigned({ iss: audience }),
    "our issuer, escaped": unsigned(`{"iss":"\\u0075rn:lanyard:x"}`),
    "S22: another cluster": unsigned({ iss: bearerAudience("a", "b") }),
    "longer than any token": "x".repeat(65 * 1024),
  };
  for (const [name, token] of Object.entries(own)) {
    assert.ok(isOwnBearer(token), name);
  }
  const foreign = {
    "a ServiceAccount's": unsigned({ iss: "https://kubernetes.default.svc" }),
    opaque: "abcdef",
    "opaque with dots": "a.b.c",
    "no object": unsigned("null"),
    "iss as a list": unsigned({ iss: [audience] }),
    "our audience alone": unsigned({ aud: audience }),
  };
  for (const [name, token] of Object.entries(foreign)) {
    assert.ok(!isOwnBearer(token), name);
  }
});

test("remembering is bounded and does not change what is decided", async () => {
  const { issue, verify } = createWorld();
  const first = (await issue()).token;
  verify(first);
  for (let index = 0; index < 4200; index++) {
    verify((await issue({ username: `user-${index}`, groups: [], extra: {} })).token);
  }
  assert.equal(verify(first).identity.username, "jane");
});
